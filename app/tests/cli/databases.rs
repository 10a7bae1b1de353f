//! Databases that are not there, cannot be written or are none: the error names the file and the
//! way out.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::{SOON, text};
use crate::support::*;

/// A workspace with a table of three rows.
fn workspace(sentence: &str) -> Workspace {
    let ws = Workspace::new(sentence).of("t");
    ws.sql(
        &ws.source(),
        "CREATE TABLE t(k INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2), (3)",
    );
    ws
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// Lets the rules of files bind the command, though it be root that starts it.
fn bound_by_modes(command: &mut Command) -> &mut Command {
    const CAP_DAC_OVERRIDE: libc::c_ulong = 1;
    // SAFETY: prctl is async-signal-safe; it takes a right from the new process, and fails for one
    // that has none to lose.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0);
            Ok(())
        })
    }
}

#[test]
fn a_source_that_is_no_database_is_named() {
    let ws = workspace("a wrong --source is a clear error");
    fs::write(
        ws.path("text.db"),
        "no database, though long enough to be one\n".repeat(99),
    )
    .expect("it can be written");
    fs::create_dir(ws.path("folder")).expect("it can be made");
    let wrong = [
        ("missing.db", "no such file"),
        ("text.db", "is not a SQLite database"),
        ("folder", "is a folder"),
        ("text.db/below", "text.db/below"),
    ];
    for (name, what) in wrong {
        for args in [&["--capture", "triggers"], &["--capture", "none"]] {
            let source = text(ws.path(name));
            let args = [&["--source", &source], &args[..]].concat();
            ws.producer(&args)
                .code(1)
                .says("error: ")
                .says(&source)
                .says(what)
                .says("way out: ")
                .says("--source");
        }
    }
    assert!(!ws.path("missing.db").exists(), "it was made all the same");
    ws.producer(&["--table", "nothing"])
        .code(1)
        .says("nothing")
        .says("--table");
}

#[test]
fn a_sink_that_is_no_database_is_named() {
    let ws = workspace("a wrong --sink is a clear error");
    ws.producer(&[]).ok();
    fs::write(
        ws.path("text.db"),
        "no database, though long enough to be one\n".repeat(99),
    )
    .expect("it can be written");
    fs::create_dir(ws.path("folder")).expect("it can be made");
    let wrong = [
        ("text.db", "no SQLite database"),
        ("folder", "is a folder"),
        ("source.db", "is the source of a ferry already"),
    ];
    for (name, what) in wrong {
        let sink = text(ws.path(name));
        ws.consumer(&["--sink", &sink, "--until-caught-up"])
            .code(1)
            .says("error: ")
            .says(&sink)
            .says(what)
            .says("way out: ")
            .says("--sink");
    }
    let below = ws.consumer(&["--sink", &text(ws.path("text.db/sink.db"))]).code(1);
    below
        .says(&format!(
            "error: cannot make the folder {} for the sink",
            text(ws.path("text.db"))
        ))
        .says("way out: ");
    ws.consumer(&["--sink", &text(ws.path("new/deep/sink.db")), "--until-caught-up"])
        .ok();
    ws.verify(&["--sink", &text(ws.path("new/deep/sink.db"))])
        .ok()
        .says("equal");
}

#[test]
fn databases_that_cannot_be_written_are_named() {
    let ws = workspace("a read-only source or sink is a clear error with the way out");
    let folder = ws.path("locked");
    fs::create_dir(&folder).expect("it can be made");
    let (source, sink) = (folder.join("source.db"), folder.join("sink.db"));
    fs::copy(ws.source(), &source).expect("it can be copied");
    let brokers = ws.cluster().brokers();
    let run = |name: &str, args: &[&str]| {
        let mut command = ws.command(name);
        bound_by_modes(command.args(["--brokers", &brokers, "--topic", ws.topic()]).args(args));
        Process::start(&mut command).wait(SOON)
    };
    let (from, into) = (text(source.clone()), text(sink.clone()));
    let ship = ["--source", &from, "--table", "t"];
    let land = ["--sink", &into, "--until-caught-up"];

    set_mode(&source, 0o444);
    set_mode(&folder, 0o555);
    run("producer", &ship)
        .code(1)
        .says(&format!("error: the source database {from} cannot be written"))
        .says("way out: make the file and its folder writable")
        .says("--capture none");
    // A source that is only read needs no more than that.
    run("producer", &[&ship[..], &["--capture", "none"]].concat())
        .ok()
        .says("3 rows shipped");
    run("consumer", &land)
        .code(1)
        .says("error: ")
        .says(&into)
        .says("way out: ")
        .says("--sink");

    set_mode(&folder, 0o755);
    run("consumer", &land).ok().says("3 rows landed");
    set_mode(&sink, 0o444);
    run("consumer", &land)
        .code(1)
        .says(&format!("error: {into}: the sink is read-only"))
        .says("way out: make the file writable");
    ws.verify(&["--source", &from, "--sink", &into])
        .ok()
        .says("t: 3 rows, equal");

    set_mode(&source, 0o000);
    run("producer", &ship)
        .code(1)
        .says("error: ")
        .says(&from)
        .says("way out: ");
}
