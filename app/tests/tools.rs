//! What the tests stand on does what it says: a fault strikes as often as it was told to, a failure
//! is seen.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::*;

/// A shell that runs these commands.
fn shell(commands: &str) -> Process {
    Process::start(Command::new("sh").args(["-c", commands]))
}

/// What the failure of a closure says.
fn failure(work: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(work)).expect_err("it did not fail");
    panic.downcast_ref::<String>().cloned().expect("it fails with a text")
}

#[test]
fn a_failure_shows_command_status_and_outputs() {
    let run = shell("echo one; echo two >&2; exit 3")
        .wait(Duration::from_secs(10))
        .code(3);
    assert_eq!((run.stdout(), run.stderr()), ("one\n", "two\n"));
    let told = failure(|| drop(run.ok()));
    for part in [
        "exit status: 3",
        "echo one; echo two",
        "stdout:\none\n",
        "stderr:\ntwo\n",
    ] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
}

#[test]
fn every_wait_for_a_process_has_an_end() {
    let mut process = shell("echo begun; exec sleep 60");
    assert_eq!(process.wait_for_line("beg", Duration::from_secs(10)), "begun");
    let told = failure(|| drop(process.wait_for_line("never", Duration::from_millis(50))));
    assert!(told.contains("the time is up") && told.contains("begun"), "{told}");
    let told = failure(|| drop(process.wait(Duration::from_millis(50))));
    assert!(told.contains("runs longer than"), "{told}");
    let told = failure(|| drop(shell("exit 1").wait_for_line("never", Duration::from_secs(10))));
    assert!(told.contains("the process ended"), "{told}");
}

#[test]
fn a_kill_strikes_only_what_runs() {
    let mut process = shell("echo begun; exec sleep 60");
    process.wait_for_line("begun", Duration::from_secs(10));
    process.kill9();
    let mut done = shell("echo begun");
    done.wait_for_line("begun", Duration::from_secs(10));
    assert!(wait_until(Duration::from_secs(10), || !done.is_running()));
    let told = failure(|| drop(done.kill9()));
    assert!(told.contains("it has ended already"), "{told}");
}

#[test]
fn memory_and_cpu_time_are_measured() {
    let eat = "x = b'x' * 200_000_000\nprint('full', flush=True)\nfor _ in range(10_000_000): pass";
    let began = Instant::now();
    let mut process = Process::start(Command::new("python3").args(["-c", eat]));
    process.wait_for_line("full", Duration::from_secs(20));
    let peak = process.peak_memory();
    assert!((200_000_000..400_000_000).contains(&peak), "{peak}");
    let run = process.wait(Duration::from_secs(60)).ok();
    let cpu_time = run.cpu_time;
    // One thread takes no longer on the processor than by the clock, but for the clock's ticks.
    let most = began.elapsed() + Duration::from_millis(50);
    assert!(
        run.peak_memory >= peak && cpu_time > Duration::from_millis(100) && cpu_time < most,
        "{cpu_time:?} of {most:?}"
    );
}

#[test]
fn chance_can_be_repeated() {
    let numbers = |seed| {
        let mut random = Random::seeded(seed);
        (
            random.next(),
            random.below(10),
            random.bytes(11),
            *random.pick(&[1, 2, 3]),
        )
    };
    assert_eq!(numbers(7), numbers(7));
    assert_ne!(numbers(7), numbers(8));
    assert_eq!(Random::seeded(0).next(), 0xE220_A839_7B1D_CDAF); // splitmix64's own first number
}

#[test]
fn the_proxy_passes_and_strikes_as_told() {
    let proxy = Proxy::new();
    let cluster = Cluster::own(Config {
        proxy: Some(&proxy),
        ..Config::default()
    });
    cluster.create_topic("struck", 1, &[]);
    let through = cluster.brokers();
    let send = |text: &str| {
        let patient = [
            "-X",
            "retry.backoff.ms=50",
            "-X",
            "reconnect.backoff.max.ms=100",
            "-X",
            "message.timeout.ms=20000",
        ];
        kcat(
            &cluster,
            &[&["-b", &through, "-P", "-E", "-t", "struck"], &patient[..]].concat(),
            text.as_bytes(),
        );
    };
    let log = || kcat(&cluster, &["-C", "-t", "struck", "-e", "-q"], b"");

    send("passed\n");
    assert_eq!((log().as_str(), proxy.struck()), ("passed\n", 0));
    // The broker has it, the client does not know: it sends again.
    proxy.set(Fault::LoseAnswer(Request::Produce, 1));
    send("doubled\n");
    assert_eq!((log().as_str(), proxy.struck()), ("passed\ndoubled\ndoubled\n", 1));
    proxy.set(Fault::LoseRequest(Request::Produce, 2));
    send("late\n");
    assert_eq!(
        (log().as_str(), proxy.struck()),
        ("passed\ndoubled\ndoubled\nlate\n", 2)
    );
    proxy.set(Fault::Delay(Request::Metadata, Duration::from_millis(300)));
    let asked = Process::start(Command::new("kcat").args(["-b", &through, "-L"]))
        .wait(Duration::from_secs(20))
        .ok();
    assert!(
        proxy.struck() >= 1 && asked.waited >= Duration::from_millis(300),
        "{:?}",
        asked.waited
    );
    proxy.set(Fault::Pass);
    let mut reading = Process::start(Command::new("kcat").args(["-b", &through, "-C", "-u", "-t", "struck"]));
    reading.wait_for_line("late", Duration::from_secs(20));
    proxy.set(Fault::Cut);
    assert!(proxy.struck() >= 1, "no connection was there to be cut");
    reading.wait_for_line("Disconnected", Duration::from_secs(20));
}

#[test]
fn others_write_with_a_python_client() {
    let cluster = Cluster::shared();
    cluster.create_topic("from-python", 1, &[]);
    let script = "import sys\ntry:\n    from kafka import KafkaProducer\n    p = KafkaProducer(bootstrap_servers=sys.argv[1])\n    p.send('from-python', b'hello')\nexcept ImportError:\n    from confluent_kafka import Producer\n    p = Producer({'bootstrap.servers': sys.argv[1]})\n    p.produce('from-python', b'hello')\np.flush()";
    Process::start(Command::new(python()).args(["-c", script, &cluster.brokers()]))
        .wait(Duration::from_secs(60))
        .ok();
    assert_eq!(kcat(&cluster, &["-C", "-t", "from-python", "-e", "-q"], b""), "hello\n");
}

#[test]
fn a_table_travels_through_a_workspace() {
    let ws = Workspace::new("the commands find each other").of("things");
    ws.sql(
        &ws.source(),
        "CREATE TABLE things(k INTEGER PRIMARY KEY, v); INSERT INTO things(v) VALUES (1), (NULL), ('x')",
    );
    ship_and_land(&ws);
    assert_eq!(ws.number(&ws.sink(), "SELECT count(*) FROM things"), 3);
    ws.sql(&ws.sink(), "UPDATE things SET v = 2 WHERE k = 1");
    let told = failure(|| assert_equal(&ws));
    assert!(
        told.contains("v is 1 (integer) in the source, 2 (integer) in the sink"),
        "{told}"
    );
}
