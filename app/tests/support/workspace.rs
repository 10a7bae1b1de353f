//! A folder for one test, with its two databases and the commands run on them.

use std::cell::{OnceCell, RefCell};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs, thread};

use rusqlite::Connection;
use rusqlite::types::Value;

use super::{Cluster, Process, Run, new_folder, number};

/// How long a command may take that a test waits for.
const LIMIT: Duration = Duration::from_secs(120);

/// How long a group waits for a consumer that was killed.
pub(super) const SESSION: &str = "2s";

/// A test's own folder, topic and databases. The cluster starts when a command first needs it.
pub(crate) struct Workspace {
    sentence: String,
    folder: PathBuf,
    topic: String,
    table: RefCell<Option<String>>,
    cluster: OnceCell<Cluster>,
    /// Other brokers than the cluster's plain listener.
    brokers: Option<String>,
    settings: RefCell<Vec<(String, String)>>,
    past_the_proxy: bool,
    /// The client of the commands whose arguments name none; the product chooses where this is
    /// none too.
    client: RefCell<Option<String>>,
}

impl Workspace {
    /// A workspace on the shared cluster. The sentence is what the test is to show.
    pub(crate) fn new(sentence: &str) -> Self {
        Self {
            sentence: sentence.to_owned(),
            folder: new_folder("test"),
            topic: format!("topic-{}", number()),
            table: RefCell::new(None),
            cluster: OnceCell::new(),
            brokers: None,
            settings: RefCell::default(),
            past_the_proxy: false,
            // The one that all tests of a run are tried with.
            client: RefCell::new(env::var("ROWFERRY_TEST_CLIENT").ok()),
        }
    }

    /// A workspace on a cluster of one's own.
    pub(crate) fn on(cluster: &Cluster, sentence: &str) -> Self {
        let workspace = Self::new(sentence);
        let _ = workspace.cluster.set(cluster.clone());
        workspace
    }

    /// Leads the commands to the brokers themselves where a proxy stands before the cluster.
    pub(crate) fn past_the_proxy(mut self) -> Self {
        self.past_the_proxy = true;
        self
    }

    /// Where the commands find the cluster.
    fn brokers(&self) -> String {
        match &self.brokers {
            Some(brokers) => brokers.clone(),
            None if self.past_the_proxy => self.cluster().direct(),
            None => self.cluster().brokers(),
        }
    }

    /// Has the commands that start from now on speak to Kafka through this client, whatever the run
    /// is for.
    pub(crate) fn by(self, client: &str) -> Self {
        self.go_on_by(client);
        self
    }

    /// The same in mid-flight.
    pub(crate) fn go_on_by(&self, client: &str) {
        self.client.replace(Some(client.to_owned()));
    }

    /// The codecs that its client knows, in the order of their numbers on the wire.
    pub(crate) fn codecs(&self) -> &'static [&'static str] {
        match self.client.borrow().as_deref() {
            Some("native") => &["none", "gzip", "snappy", "lz4", "zstd"],
            _ => &["none", "gzip", "snappy"],
        }
    }

    /// Names the table that producer and verify are called with from now on; without it they choose
    /// by themselves.
    pub(crate) fn of(self, table: &str) -> Self {
        self.table.replace(Some(table.to_owned()));
        self
    }

    /// Has the commands talk to another listener, with these settings in their environment.
    pub(crate) fn through(mut self, brokers: &str, settings: &[(&str, &str)]) -> Self {
        self.brokers = Some(brokers.to_owned());
        settings.iter().for_each(|(name, value)| self.set(name, value));
        self
    }

    /// Another setting in the environment of the commands that are started from now on.
    pub(crate) fn set(&self, name: &str, value: &str) {
        self.settings.borrow_mut().push((name.to_owned(), value.to_owned()));
    }

    /// The cluster that the commands talk to.
    pub(crate) fn cluster(&self) -> &Cluster {
        self.cluster.get_or_init(Cluster::shared)
    }

    /// The topic of this test alone.
    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    /// The source database.
    pub(crate) fn source(&self) -> PathBuf {
        self.path("source.db")
    }

    /// The sink database.
    pub(crate) fn sink(&self) -> PathBuf {
        self.path("sink.db")
    }

    /// A file in the folder of this test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A connection as a user's program has it: it waits for locks up to 60 s.
    pub(crate) fn connection(&self, database: &Path) -> Connection {
        let connection = Connection::open(database).unwrap_or_else(|e| panic!("{}: {e}", database.display()));
        connection
            .busy_timeout(Duration::from_secs(60))
            .expect("a timeout can be set");
        connection
    }

    /// Runs statements on a database, which is made when it is not there.
    #[track_caller]
    pub(crate) fn sql(&self, database: &Path, statements: &str) {
        let done = self.connection(database).execute_batch(statements);
        done.unwrap_or_else(|e| panic!("{}: {e}\n{statements}", database.display()));
    }

    /// All rows of a query.
    #[track_caller]
    pub(crate) fn rows(&self, database: &Path, query: &str) -> Vec<Vec<Value>> {
        let connection = self.connection(database);
        let read = || -> rusqlite::Result<Vec<Vec<Value>>> {
            let mut statement = connection.prepare(query)?;
            let width = statement.column_count();
            statement
                .query_map([], |row| (0..width).map(|i| row.get(i)).collect())?
                .collect()
        };
        read().unwrap_or_else(|e| panic!("{}: {e}\n{query}", database.display()))
    }

    /// The one integer that a query gives.
    #[track_caller]
    pub(crate) fn number(&self, database: &Path, query: &str) -> i64 {
        match self.rows(database, query).concat()[..] {
            [Value::Integer(number)] => number,
            ref other => panic!("not one integer but {other:?}: {query}"),
        }
    }

    /// Runs the producer to its end; `--brokers`, `--source` and `--topic` are this test's unless
    /// the arguments say other.
    pub(crate) fn producer(&self, args: &[&str]) -> Run {
        self.start_producer(args).wait(LIMIT)
    }

    /// Runs the consumer to its end; `--brokers`, `--sink` and `--topic` are this test's unless the
    /// arguments say other.
    pub(crate) fn consumer(&self, args: &[&str]) -> Run {
        self.start_consumer(args).wait(LIMIT)
    }

    /// Runs verify to its end; `--source` and `--sink` are this test's unless the arguments say
    /// other.
    pub(crate) fn verify(&self, args: &[&str]) -> Run {
        self.start_verify(args).wait(LIMIT)
    }

    /// Starts a producer that the test goes on beside.
    pub(crate) fn start_producer(&self, args: &[&str]) -> Process {
        let (brokers, source) = (self.brokers(), self.source());
        let flags = [
            ("--brokers", brokers.as_str()),
            ("--source", path(&source)),
            ("--topic", &self.topic),
        ];
        let table = self.table.borrow();
        let table = table.iter().map(|table| ("--table", table.as_str()));
        self.start("producer", args, flags.into_iter().chain(table))
    }

    /// Starts a consumer that the test goes on beside.
    pub(crate) fn start_consumer(&self, args: &[&str]) -> Process {
        let (brokers, sink) = (self.brokers(), self.sink());
        // The consumers of a group share a sink.
        let given = args.iter().skip_while(|&&arg| arg != "--sink").nth(1);
        let file = given.map_or(sink.as_path(), |given| Path::new(given)).file_name();
        let group = format!("{}-{}", self.topic, file.unwrap_or_default().display());
        let flags = [
            ("--brokers", brokers.as_str()),
            ("--sink", path(&sink)),
            ("--topic", &self.topic),
            ("--session-timeout", SESSION),
        ];
        let group = (!args.contains(&"--partitions")).then_some(("--group", group.as_str()));
        self.start("consumer", args, flags.into_iter().chain(group))
    }

    /// Starts verify beside the test.
    pub(crate) fn start_verify(&self, args: &[&str]) -> Process {
        let (source, sink) = (self.source(), self.sink());
        let files = [("--source", path(&source)), ("--sink", path(&sink))];
        let table = self.table.borrow();
        let table = table.iter().map(|table| ("--table", table.as_str()));
        self.start("verify", args, files.into_iter().chain(table))
    }

    /// Starts one of the built commands, with those flags added that the arguments do not hold.
    fn start<'a>(&self, name: &str, args: &[&str], flags: impl Iterator<Item = (&'a str, &'a str)>) -> Process {
        let mut command = self.command(name);
        for (flag, value) in flags {
            let is_given = |flag: &str| {
                args.iter().any(|arg| {
                    arg.strip_prefix(flag)
                        .is_some_and(|x| x.is_empty() || x.starts_with('='))
                })
            };
            let instead = flag == "--topic" && is_given("--topic-prefix");
            if !is_given(flag) && !instead {
                command.args([flag, value]);
            }
        }
        Process::start(command.args(args))
    }

    /// One of the built commands in a clean environment, without arguments, in the folder of this
    /// test.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = Command::new(built(name));
        command.current_dir(&self.folder).env_remove("RUST_LOG");
        for (setting, _) in env::vars_os().filter(|(setting, _)| setting.to_string_lossy().starts_with("ROWFERRY_")) {
            command.env_remove(setting);
        }
        command.envs(self.client.borrow().iter().map(|client| ("ROWFERRY_CLIENT", client)));
        command.envs(self.settings.borrow().iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("this does not hold: {}", self.sentence);
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Ships all, lands all, and finds both sides equal.
#[track_caller]
pub(crate) fn ship_and_land(workspace: &Workspace) {
    workspace.producer(&[]).ok();
    workspace.consumer(&["--until-caught-up"]).ok();
    assert_equal(workspace);
}

/// Fails unless verify finds both sides equal.
#[track_caller]
pub(crate) fn assert_equal(workspace: &Workspace) {
    workspace.verify(&[]).ok().says("equal");
}

/// Where cargo has put one of the commands: a floor above the test binary.
fn built(name: &str) -> PathBuf {
    let test = env::current_exe().expect("a test has a path");
    test.ancestors()
        .nth(2)
        .expect("it lies in target/<profile>/deps")
        .join(name)
}

fn path(path: &Path) -> &str {
    path.to_str().expect("the temporary folder has a plain name")
}
