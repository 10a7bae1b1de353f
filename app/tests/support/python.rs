//! A Python with a Kafka client of its own, for records that others write and read.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs, process};

/// An interpreter with the module `kafka` or `confluent_kafka`: that of ROWFERRY_TEST_PYTHON,
/// python3, or a virtual environment with kafka-python, made on the first use in the user's cache
/// folder.
pub(crate) fn python() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        if let Some(named) = env::var_os("ROWFERRY_TEST_PYTHON").map(PathBuf::from) {
            assert!(
                has_client(&named),
                "ROWFERRY_TEST_PYTHON ({}) has no module kafka or confluent_kafka",
                named.display()
            );
            return named;
        }
        let installed = PathBuf::from("python3");
        if has_client(&installed) {
            return installed;
        }
        let cache = env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(env::home_dir()?.join(".cache")));
        let folder = cache.expect("HOME or XDG_CACHE_HOME is set").join("rowferry");
        let made = folder.join("python-kafka");
        if !has_client(&made.join("bin/python")) {
            make(&folder, &made);
        }
        made.join("bin/python")
    })
}

fn has_client(python: &Path) -> bool {
    ["kafka", "confluent_kafka"].iter().any(|module| {
        let run = Command::new(python).args(["-c", &format!("import {module}")]).output();
        run.is_ok_and(|output| output.status.success())
    })
}

/// Makes the virtual environment beside its place and moves it there, so that it is there whole or
/// not at all.
fn make(folder: &Path, place: &Path) {
    let draft = folder.join(format!("python-kafka-{}", process::id()));
    fs::create_dir_all(folder).unwrap_or_else(|e| panic!("cannot make {}: {e}", folder.display()));
    run(
        "python3 with venv (apt-get install python3-venv)",
        Command::new("python3").args(["-m", "venv"]).arg(&draft),
    );
    let client = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "kafka-python",
    ];
    run(
        "the Python package kafka-python (or ROWFERRY_TEST_PYTHON)",
        Command::new(draft.join("bin/python")).args(client),
    );
    let _ = fs::remove_dir_all(place); // one that has no client
    if fs::rename(&draft, place).is_err() {
        let _ = fs::remove_dir_all(&draft); // another run was faster
    }
    assert!(
        has_client(&place.join("bin/python")),
        "{} has no module kafka",
        place.display()
    );
}

fn run(what: &str, command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("these tests need {what}: {e}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "these tests need {what}:\n{command:?}\n{stderr}"
    );
}
