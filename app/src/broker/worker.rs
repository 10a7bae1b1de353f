//! A thread that owns a client. Nobody waits for one without a limit. A client that met an error, a
//! panic or a limit is never used again.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel, sync_channel};

use crate::broker::config::ClientConfig;
use crate::broker::deadline::{self, Deadline};
use crate::broker::error::KafkaError;
use crate::broker::transport::{ClientMemory, Transport};

type Job = Box<dyn FnOnce(&mut Option<Transport>) -> bool + Send>;

/// A client and its thread, both made when there is work.
#[derive(Debug)]
pub(super) struct Worker {
    config: Arc<ClientConfig>,
    memory: ClientMemory,
    thread: Option<Thread>,
}

#[derive(Debug)]
struct Thread {
    jobs: Sender<Job>,
    deadline: Deadline,
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.deadline.give_up();
    }
}

impl Worker {
    pub(super) fn new(config: Arc<ClientConfig>, memory: ClientMemory) -> Self {
        Self {
            config,
            memory,
            thread: None,
        }
    }

    /// Hands over a job; `done` gets what came of it, on the worker's thread. Returns the job's
    /// deadline. After an error, `abandon` is the caller's duty.
    pub(super) fn start<R: 'static>(
        &mut self,
        job: impl FnOnce(&mut Transport) -> Result<R, KafkaError> + Send + 'static,
        done: impl FnOnce(Result<R, KafkaError>) + Send + 'static,
    ) -> Deadline {
        let config = &self.config;
        let thread = self.thread.get_or_insert_with(|| {
            let (jobs, inbox) = channel::<Job>();
            deadline::spawn("kafka-client", move || {
                let mut client = None;
                while let Ok(job) = inbox.recv() {
                    if !job(&mut client) {
                        break;
                    }
                }
            });
            let deadline = Deadline::within(config.limit);
            Thread { jobs, deadline }
        });
        let deadline = thread.deadline.clone();
        // Nobody but this worker gives its thread up.
        let _ = deadline.begin(config.limit);
        let (config, memory, of_job) = (config.clone(), self.memory.clone(), deadline.clone());
        let job: Job = Box::new(move |client| {
            let answer = deadline::contained(|| {
                let client = match client {
                    Some(client) => client,
                    None => client.insert(Transport::connect(&config, &of_job, &memory)?),
                };
                job(client)
            });
            let well = answer.is_ok();
            done(answer);
            well
        });
        // A job that is not taken is dropped with its `done`, which whoever waits for it notices.
        let _ = thread.jobs.send(job);
        deadline
    }

    /// Runs a job and waits for it, no longer than each of its requests may take and than the user
    /// wants.
    pub(super) fn call<R: Send + 'static>(
        &mut self,
        job: impl FnOnce(&mut Transport) -> Result<R, KafkaError> + Send + 'static,
    ) -> Result<R, KafkaError> {
        let (done, answer) = sync_channel(1);
        let deadline = self.start(job, move |result| {
            let _ = done.send(result);
        });
        let answer = deadline::wait(&answer, &deadline, self.config.limit, &self.config.stop);
        if answer.is_err() {
            self.abandon();
        }
        answer
    }

    /// Leaves the thread and its client to themselves; the next job gets new ones.
    fn abandon(&mut self) {
        self.thread = None;
    }
}
