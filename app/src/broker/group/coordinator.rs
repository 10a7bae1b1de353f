//! The broker that coordinates a consumer group: asked over a plain connection, and looked for anew
//! whenever that breaks.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use kafka_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse, GroupId, TopicName};
use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};

use crate::broker::config::ClientConfig;
use crate::broker::connection::bounds::Answer;
use crate::broker::connection::{Connection, ConnectionError};
use crate::broker::deadline;
use crate::broker::error::KafkaError;
use crate::broker::{error_codes, metadata};

/// The coordinator of one group.
#[derive(Debug)]
pub(super) struct Coordinator {
    config: Arc<ClientConfig>,
    group: String,
    /// While it stands.
    connection: Option<Connection>,
}

impl Coordinator {
    pub(super) fn new(config: Arc<ClientConfig>, group: &str) -> Self {
        Self {
            config,
            group: group.to_string(),
            connection: None,
        }
    }

    pub(super) fn group(&self) -> &str {
        &self.group
    }

    pub(super) fn group_id(&self) -> GroupId {
        GroupId(text(&self.group))
    }

    pub(super) fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// Sends a request and reads its answer.
    pub(super) fn ask<Q, R>(&mut self, request: &Q) -> Result<R, KafkaError>
    where
        Q: Encodable + HeaderVersion,
        R: Answer,
    {
        let limit = self.config.limit;
        self.ask_within(limit, request)
    }

    /// The same, where an answer that takes longer than this is of no use.
    pub(super) fn ask_within<Q, R>(&mut self, limit: Duration, request: &Q) -> Result<R, KafkaError>
    where
        Q: Encodable + HeaderVersion,
        R: Answer,
    {
        self.with_connection(limit, |connection| connection.ask(request, limit))
    }

    /// Sends a request whose answer is polled for.
    pub(super) fn send<Q, R>(&mut self, request: &Q) -> Result<(), KafkaError>
    where
        Q: Encodable + HeaderVersion,
        R: Answer,
    {
        let limit = self.config.limit;
        self.with_connection(limit, |connection| connection.send::<R, _>(request, limit))
    }

    /// The answer to what was sent last, if it is there within this time.
    pub(super) fn poll_answer<R: Answer>(&mut self, within: Duration) -> Result<Option<R>, KafkaError> {
        self.with_connection(within, |connection| connection.poll_answer(within))
    }

    /// Uses the connection, once the coordinator is found within a limit. One that fails is of no
    /// more use.
    fn with_connection<R>(
        &mut self,
        limit: Duration,
        work: impl FnOnce(&mut Connection) -> Result<R, ConnectionError>,
    ) -> Result<R, KafkaError> {
        let mut connection = match self.connection.take() {
            Some(connection) if !connection.is_to_be_renewed() => connection,
            Some(_) => {
                log::debug!(
                    "group {}: the session is about to end, and a new one begins",
                    self.group
                );
                self.find(limit)?
            }
            None => self.find(limit)?,
        };
        let answer = work(&mut connection).map_err(|e| self.at(e))?;
        self.connection = Some(connection);
        Ok(answer)
    }

    /// An error code of the coordinator as an error; another broker may be the coordinator by now.
    pub(super) fn code(&mut self, code: i16) -> KafkaError {
        self.disconnect();
        code_error(&self.group, code)
    }

    /// Gives up the connection.
    pub(super) fn disconnect(&mut self) {
        self.connection = None;
    }

    /// Asks for the partitions of all topics, on a thread of its own.
    pub(super) fn count_partitions(&self) -> Receiver<Result<HashMap<String, i32>, KafkaError>> {
        let (sender, counts) = channel();
        let config = self.config.clone();
        deadline::spawn("kafka-count", move || {
            // Nobody may wait for it any more.
            let _ = sender.send(metadata::partition_counts(&config));
        });
        counts
    }

    fn find(&self, limit: Duration) -> Result<Connection, KafkaError> {
        let at = |host: &str, why: ConnectionError| self.at(KafkaError::from(why).at(host));
        let (host, mut any) = self.config.open_any().map_err(|e| self.at(e))?;
        let request = FindCoordinatorRequest::default().with_key(text(&self.group));
        let found: FindCoordinatorResponse = any.ask(&request, limit).map_err(|e| at(&host, e))?;
        match found.error_code {
            0 => {}
            // While a broker makes its topic of groups, for the first of them, this is no news.
            code if error_codes::is_settling(code) => return Err(code_error(&self.group, code).broken()),
            code => return Err(code_error(&self.group, code)),
        }
        let host = format!("{}:{}", found.host.as_str(), found.port);
        self.config.open(&host).map_err(|e| at(&host, e))
    }

    /// The same error, said of the group.
    fn at(&self, why: impl Into<KafkaError>) -> KafkaError {
        why.into().at(&format!("group {}", self.group))
    }
}

/// An error code that a group's coordinator answers.
pub(super) fn code_error(group: &str, code: i16) -> KafkaError {
    KafkaError::code(code).at(&format!("group {group}"))
}

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_string())
}

pub(super) fn topic_name(topic: &str) -> TopicName {
    TopicName(text(topic))
}
