//! The built commands as processes. Every wait has a limit, and no process outlives its test.

use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::wait_until;

/// What one stream of a process has written so far.
type Output = Arc<Mutex<Vec<u8>>>;

/// A command that runs. It is killed when this is dropped or when the thread that started it ends.
pub(crate) struct Process {
    child: Child,
    command: String,
    stdout: Output,
    stderr: Output,
    readers: Vec<JoinHandle<()>>,
    status: Option<ExitStatus>,
    peak_memory: u64,
    cpu_time: Duration,
}

impl Process {
    /// Starts a command with nothing on its stdin and both outputs collected.
    pub(crate) fn start(command: &mut Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // SAFETY: prctl is async-signal-safe and touches only the new process.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        let words: Vec<_> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .collect();
        let text = words
            .iter()
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ");
        let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start {text}: {e}"));
        let (stdout, stderr) = (Output::default(), Output::default());
        let readers = vec![
            collect(child.stdout.take().expect("stdout is piped"), stdout.clone()),
            collect(child.stderr.take().expect("stderr is piped"), stderr.clone()),
        ];
        Self {
            child,
            command: text,
            stdout,
            stderr,
            readers,
            status: None,
            peak_memory: 0,
            cpu_time: Duration::ZERO,
        }
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        if self.status.is_none() {
            self.measure();
            self.status = self
                .child
                .try_wait()
                .unwrap_or_else(|e| panic!("cannot wait for {}: {e}", self.command));
        }
        self.status.is_none()
    }

    /// What it has written so far, to stdout and then to stderr.
    pub(crate) fn output(&self) -> String {
        text(&self.stdout) + &text(&self.stderr)
    }

    /// The first whole line with `text` in it, on either stream; fails when it has not come within
    /// `limit` or the process ends without.
    pub(crate) fn wait_for_line(&mut self, text: &str, limit: Duration) -> String {
        self.wait_for_lines(text, 1, limit).remove(0)
    }

    /// The first `count` whole lines with `text` in them.
    pub(crate) fn wait_for_lines(&mut self, text: &str, count: usize, limit: Duration) -> Vec<String> {
        let end = Instant::now() + limit;
        loop {
            let running = self.is_running();
            if !running {
                self.read_to_end();
            }
            let output = self.output();
            let whole = if running {
                output.rfind('\n').map_or("", |at| &output[..at])
            } else {
                &output[..]
            };
            let lines: Vec<String> = whole
                .lines()
                .filter(|line| line.contains(text))
                .map(str::to_owned)
                .collect();
            if lines.len() >= count {
                return lines;
            }
            let why = match running {
                false => "the process ended",
                true if Instant::now() >= end => "the time is up",
                true => {
                    thread::sleep(Duration::from_millis(5));
                    continue;
                }
            };
            let found = lines.len();
            panic!(
                "{why} ({limit:?}), and {found} of {count} lines with \"{text}\" came\n{}",
                self.describe()
            );
        }
    }

    /// Sends it a signal such as `libc::SIGINT`.
    pub(crate) fn signal(&mut self, signal: i32) {
        assert!(
            self.is_running(),
            "it has ended already and gets no signal {signal}\n{}",
            self.describe()
        );
        // SAFETY: the child is not yet waited for, so the id is still its own.
        let sent = unsafe { libc::kill(self.child.id() as i32, signal) };
        assert_eq!(sent, 0, "signal {signal}: {}", std::io::Error::last_os_error());
    }

    /// Kills it with SIGKILL, in mid-flight: fails when it had ended by itself before.
    pub(crate) fn kill9(mut self) -> Run {
        self.signal(libc::SIGKILL);
        self.killed()
    }

    /// Waits for its end by a SIGKILL that was sent; fails when it had ended by itself before.
    pub(crate) fn killed(self) -> Run {
        let run = self.wait(Duration::from_secs(10));
        assert_eq!(
            run.status.signal(),
            Some(libc::SIGKILL),
            "it had ended before it was killed\n{run}"
        );
        run
    }

    /// Kills it if it still runs, at whatever it is.
    pub(crate) fn stop(&mut self) {
        if self.status.is_none() {
            let _ = self.child.kill();
            self.status = self.child.wait().ok();
        }
    }

    /// Waits for its end; fails, and kills it, when that takes longer than `limit`.
    pub(crate) fn wait(mut self, limit: Duration) -> Run {
        let started = Instant::now();
        if !wait_until(limit, || !self.is_running()) {
            panic!("it runs longer than {limit:?}\n{}", self.describe());
        }
        self.read_to_end();
        Run {
            command: self.command.clone(),
            status: self.status.expect("it has ended"),
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
            waited: started.elapsed(),
            peak_memory: self.peak_memory,
            cpu_time: self.cpu_time,
        }
    }

    /// The most memory it has held so far, in bytes (VmHWM).
    pub(crate) fn peak_memory(&mut self) -> u64 {
        self.measure();
        self.peak_memory
    }

    /// Reads what the system knows of the process; a process that has ended keeps its last figures.
    fn measure(&mut self) {
        let id = self.child.id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        if let Some(kib) = peak.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok()) {
            self.peak_memory = self.peak_memory.max(kib * 1024);
        }
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // The name of the command may hold anything, so count from its closing bracket: state, 10
        // more, utime, stime.
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        if let [user, system] = fields.get(11..13).unwrap_or_default() {
            let ticks: u64 = user.parse::<u64>().unwrap_or(0) + system.parse::<u64>().unwrap_or(0);
            // SAFETY: sysconf only reads a constant of the system.
            let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as u64;
            self.cpu_time = self.cpu_time.max(Duration::from_millis(ticks * 1000 / per_second));
        }
    }

    /// Waits for the end of both outputs, after the end of the process.
    fn read_to_end(&self) {
        let read = wait_until(Duration::from_secs(10), || {
            self.readers.iter().all(JoinHandle::is_finished)
        });
        assert!(
            read,
            "it ended, but a process that it started holds its outputs\n{}",
            self.describe()
        );
    }

    fn describe(&self) -> String {
        let status = self
            .status
            .map_or("still running".to_owned(), |status| status.to_string());
        describe(&self.command, &status, &text(&self.stdout), &text(&self.stderr))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A command that has ended.
pub(crate) struct Run {
    pub status: ExitStatus,
    /// How long the wait for its end took.
    pub waited: Duration,
    /// The most memory it was seen to hold, in bytes (VmHWM, looked at every 10 ms).
    pub peak_memory: u64,
    /// The CPU time it was seen to use.
    pub cpu_time: Duration,
    command: String,
    stdout: String,
    stderr: String,
}

impl Run {
    /// Fails unless it ended with exit code 0.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.code(0)
    }

    /// Fails unless it ended with this exit code.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "another exit code was due\n{self}");
        self
    }

    /// Fails unless one of its outputs holds this text.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(
            self.stdout.contains(text) || self.stderr.contains(text),
            "it does not say \"{text}\"\n{self}"
        );
        self
    }

    /// Fails if one of its outputs holds this text.
    #[track_caller]
    pub(crate) fn never_says(self, text: &str) -> Self {
        assert!(
            !self.stdout.contains(text) && !self.stderr.contains(text),
            "it says \"{text}\"\n{self}"
        );
        self
    }

    /// All that it wrote to stdout.
    pub(crate) fn stdout(&self) -> &str {
        &self.stdout
    }

    /// All that it wrote to stderr.
    pub(crate) fn stderr(&self) -> &str {
        &self.stderr
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&describe(
            &self.command,
            &self.status.to_string(),
            &self.stdout,
            &self.stderr,
        ))
    }
}

fn describe(command: &str, status: &str, stdout: &str, stderr: &str) -> String {
    let line = "-".repeat(80);
    format!("{line}\ncommand: {command}\nstatus: {status}\nstdout:\n{stdout}\nstderr:\n{stderr}\n{line}")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.lock().expect("no reader panics")).into_owned()
}

/// Copies a stream into memory until its end.
fn collect(mut stream: impl Read + Send + 'static, output: Output) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut chunk = [0; 8192];
        loop {
            match stream.read(&mut chunk) {
                Ok(0) => return,
                Ok(n) => output.lock().expect("no reader panics").extend_from_slice(&chunk[..n]),
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return,
            }
        }
    })
}
