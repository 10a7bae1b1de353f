//! The demo, as README's first command runs it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs, thread};

use crate::support::*;

/// The demo builds the three programs first.
const LIMIT: Duration = Duration::from_secs(400);

/// A fresh copy of the checkout, in the same place in each run, so that it is built once.
fn copy() -> PathBuf {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("demo");
    let _ = fs::remove_dir_all(&copy);
    fs::create_dir_all(&copy).unwrap_or_else(|e| panic!("cannot make {}: {e}", copy.display()));
    let parts = ["Cargo.toml", "Cargo.lock", "app", "server_up.sh", "server_down.sh"];
    let mut cp = Command::new("cp");
    cp.arg("-Rp").args(parts.map(|part| top().join(part))).arg(&copy);
    Process::start(&mut cp).wait(Duration::from_secs(60)).ok();
    copy
}

/// A cluster of the copy's own, on free ports; it is stopped with the test.
struct Demo {
    copy: PathBuf,
    work: Workspace,
    ports: [u16; 2],
}

impl Demo {
    /// One of the copy's scripts, where no Docker engine answers.
    fn script(&self, script: &str, args: &[&str]) -> Process {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .parent()
            .expect("a folder of the target");
        let no_docker = self.work.path("bin");
        let path = env::var("PATH").expect("PATH is set");
        let mut command = Command::new("sh");
        command.arg(script).args(args).current_dir(&self.copy);
        for (setting, _) in env::vars().filter(|(setting, _)| setting.starts_with("ROWFERRY_")) {
            command.env_remove(setting);
        }
        command
            .env("PATH", format!("{}:{path}", no_docker.display()))
            .env("ROWFERRY_CLUSTER_DIR", self.work.path("cluster"))
            .env("ROWFERRY_KAFKA_PORT", self.ports[0].to_string())
            .env("ROWFERRY_ZOOKEEPER_PORT", self.ports[1].to_string())
            .env("ROWFERRY_BROKERS", format!("localhost:{}", self.ports[0]))
            .env("CARGO_TARGET_DIR", self.copy.join("target"))
            .env("CARGO_BUILD_BUILD_DIR", target); // what is compiled already is not compiled anew
        Process::start(&mut command)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let run = self
            .script("server_down.sh", &["--native", "-v"])
            .wait(Duration::from_secs(60));
        if !thread::panicking() {
            run.ok().says("removed");
        }
    }
}

#[test]
fn the_demo_ends_with_equal_databases_and_can_be_run_again() {
    let work = Workspace::new("sh app/demo.sh twice: both end well and say equal");
    let docker = work.path("bin/docker");
    fs::create_dir(work.path("bin")).expect("it can be made");
    fs::write(&docker, "#!/bin/sh\necho 'no engine here' >&2\nexit 1\n").expect("it can be written");
    Process::start(Command::new("chmod").arg("+x").arg(&docker))
        .wait(Duration::from_secs(10))
        .ok();
    let demo = Demo {
        copy: copy(),
        work,
        ports: [free_port(), free_port()],
    };
    let first = demo.script("app/demo.sh", &[]).wait(LIMIT).ok();
    first
        .says("The cluster serves.")
        .says("1,000 rows shipped")
        .says("1,000 rows landed")
        .says("users: 1000 rows, equal")
        .says("Both databases hold the same rows.")
        .says("sh server_down.sh");
    let again = demo.script("app/demo.sh", &[]).wait(LIMIT).ok();
    again
        .says("0 rows shipped")
        .says("0 rows landed")
        .says("users: 1000 rows, equal");
    assert!(demo.copy.join("data/source.db").exists() && demo.copy.join("data/sink.db").exists());
    // A new cluster, as the demo itself says: the log is gone, and a new one can be exactly as
    // long.
    for change in ["SELECT 1", "UPDATE users SET name = name || '!'"] {
        demo.script("server_down.sh", &["--native", "-v"])
            .wait(LIMIT)
            .ok()
            .says("removed");
        demo.work.sql(&demo.copy.join("data/source.db"), change);
        let anew = demo.script("app/demo.sh", &[]).wait(LIMIT).ok();
        anew.says("the topic was made anew, and holds nothing of what was sent before")
            .says("a full pass of its source begins at")
            .says("users: 1000 rows, equal");
    }
}
