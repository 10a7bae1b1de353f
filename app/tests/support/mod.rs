//! What the tests stand on: a cluster, a folder for each test, the commands as processes, and small
//! tools around them.

mod cluster;
mod ferry;
pub(crate) mod hostile;
mod kcat;
pub(crate) mod message_set;
mod process;
mod proxy;
mod python;
mod random;
mod workspace;

pub(crate) use cluster::{Cluster, Config, default_stack, free_port};
pub(crate) use ferry::{Ferry, Writer};
pub(crate) use kcat::{Record, kcat, kcat_reaches, read_records, write_records};
pub(crate) use process::{Process, Run};
pub(crate) use proxy::{Fault, Proxy, Request};
pub(crate) use python::python;
pub(crate) use random::Random;
pub(crate) use workspace::{Workspace, assert_equal, ship_and_land};

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The top folder of the checkout, where server_up.sh lies.
pub(crate) fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in a folder of the checkout")
}

/// A number that no other call in this test process gets.
fn number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A new folder below the system's temporary one, for this test process alone.
fn new_folder(what: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("rowferry-{what}-{}-{}", std::process::id(), number()));
    let _ = std::fs::remove_dir_all(&folder); // what an earlier process with this id may have left
    std::fs::create_dir_all(&folder).unwrap_or_else(|e| panic!("cannot make {}: {e}", folder.display()));
    folder
}

/// Waits until `done` says so; false when it has not within `limit`.
pub(crate) fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    while !done() {
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}
