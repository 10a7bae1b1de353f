//! A run that is cut between each two steps of its beginning, on a file that has forgotten
//! something.

use super::*;

const NOTED: &str = "behind the note of the fences";

/// A file that has forgotten one round of changes, and has made another one.
fn forgetful(w: Workspace) -> Workspace {
    w.sql(&w.source(), &format!("{ITEMS} {}", more_items(1, 300)));
    ship_and_land(&w);
    let backup = take_backup(&w, "backup.db");
    change_some(&w, 1);
    ship_and_land(&w);
    put_back(&w, &backup);
    change_some(&w, 2);
    w
}

#[test]
fn a_beginning_that_is_cut_at_any_step_is_made_up_for_by_the_next_run() {
    let proxy = Proxy::new();
    let cluster = Cluster::own(Config {
        proxy: Some(&proxy),
        ..Config::default()
    });
    cut_before_the_note(&cluster, &proxy);
    let many = usize::MAX;
    for (step, fault) in [
        (
            "before anything is read back",
            Fault::SwallowAnswer(Request::Fetch, many),
        ),
        ("before the first fence", Fault::LoseRequest(Request::Produce, many)),
        ("behind the first fence", Fault::LoseRequestAfter(Request::Produce, 1)),
        ("behind the second fence", Fault::LoseRequestAfter(Request::Produce, 2)),
        (
            "behind all fences, none of them known",
            Fault::SwallowAnswer(Request::Produce, many),
        ),
        (
            "behind the note of the fences",
            Fault::LoseRequestAfter(Request::Produce, 3),
        ),
    ] {
        let w = forgetful(Workspace::on(&cluster, step).of("items"));
        for _ in 0..2 {
            proxy.set(fault);
            let mut cut = w.start_producer(&[]);
            let struck = wait_until(SOON, || proxy.struck() > 0);
            assert!(struck, "{step}: the fault does not strike\n{}", cut.output());
            cut.signal(libc::SIGKILL);
            cut.wait(SOON);
            proxy.set(Fault::Pass);
        }
        w.consumer(&["--until-caught-up"]).ok();
        change_some(&w, 3);
        let run = becomes_equal(&w);
        // What is noted is in the outbox.
        if step != NOTED {
            run.says(AGAIN);
        }
    }
}

/// All fences are known to the run, and the file is locked when it is to note them.
fn cut_before_the_note(cluster: &Cluster, proxy: &Proxy) {
    let w = forgetful(Workspace::on(cluster, "fences that are not noted are read back").of("items"));
    let ends = || w.cluster().latest(w.topic()).iter().sum::<i64>();
    let before = ends();
    proxy.set(Fault::Delay(Request::Produce, Duration::from_secs(3)));
    let mut cut = w.start_producer(&[]);
    assert!(
        wait_until(SOON, || ends() == before + 3),
        "no fences were sent\n{}",
        cut.output()
    );
    let user = w.connection(&w.source());
    user.execute_batch("BEGIN EXCLUSIVE").expect("the lock is free");
    cut.wait_for_line("another process holds the lock", SOON);
    cut.signal(libc::SIGKILL);
    cut.wait(SOON);
    user.execute_batch("ROLLBACK").expect("the lock is given back");
    proxy.set(Fault::Pass);
    becomes_equal(&w).says(AGAIN);
}
