//! The broker that coordinates a consumer group: asked over a plain connection, and looked for anew whenever that breaks.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse, GroupId, TopicName};
use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};

use crate::broker::connection::bounds::Answer;
use crate::broker::connection::{Connection, ConnectionError};
use crate::broker::error::KafkaError;
use crate::broker::error_codes;
use crate::broker::hosts::CONNECT_TIMEOUT;
use crate::broker::transport::crate_kafka::worker::ClientConfig;

/// The coordinator of one group.
#[derive(Debug)]
pub struct Coordinator {
    config: Arc<ClientConfig>,
    group: String,
    /// While it stands.
    connection: Option<Connection>,
}

impl Coordinator {
    pub fn new(config: Arc<ClientConfig>, group: &str) -> Self {
        Self {
            config,
            group: group.to_string(),
            connection: None,
        }
    }

    pub fn group(&self) -> &str {
        &self.group
    }

    pub fn group_id(&self) -> GroupId {
        GroupId(text(&self.group))
    }

    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// Sends a request and reads its answer.
    pub fn ask<Q, R>(&mut self, request: &Q) -> Result<R, KafkaError>
    where
        Q: Encodable + HeaderVersion,
        R: Answer,
    {
        let limit = self.config.limit;
        self.ask_within(limit, request)
    }

    /// The same, where an answer that takes longer than this is of no use.
    pub fn ask_within<Q, R>(&mut self, limit: Duration, request: &Q) -> Result<R, KafkaError>
    where
        Q: Encodable + HeaderVersion,
        R: Answer,
    {
        self.talk(limit, |connection| connection.ask(request, limit))
    }

    /// Talks to the coordinator, once it is found within a limit. A connection that fails is of no more use.
    pub fn talk<R>(
        &mut self,
        limit: Duration,
        talk: impl FnOnce(&mut Connection) -> Result<R, ConnectionError>,
    ) -> Result<R, KafkaError> {
        let mut connection = match self.connection.take() {
            Some(connection) if !connection.is_to_be_renewed() => connection,
            _ => self.find(limit)?,
        };
        let answer = talk(&mut connection).map_err(|e| self.at(e))?;
        self.connection = Some(connection);
        Ok(answer)
    }

    /// An error code of the coordinator as trouble; another broker may be the coordinator by now.
    pub fn code(&mut self, code: i16) -> KafkaError {
        self.connection = None;
        KafkaError::code(code).at(&format!("group {}", self.group))
    }

    /// Gives up the connection, where an answer may still come that nobody waits for.
    pub fn disconnect(&mut self) {
        self.connection = None;
    }

    fn find(&self, limit: Duration) -> Result<Connection, KafkaError> {
        let host = self.config.hosts.reachable().map_err(|why| self.trouble(&why))?;
        let at = |host: &str, why: ConnectionError| self.at(KafkaError::from(why).at(host));
        let (client_id, security) = (&self.config.client_id, &self.config.security);
        let open = |host: &str| Connection::open(host, client_id, security, CONNECT_TIMEOUT).map_err(|e| at(host, e));
        let mut any = open(&host)?;
        let request = FindCoordinatorRequest::default().with_key(text(&self.group));
        let found: FindCoordinatorResponse = any.ask(&request, limit).map_err(|e| at(&host, e))?;
        if found.error_code != 0 {
            let trouble = KafkaError::code(found.error_code).at(&format!("group {}", self.group));
            // While a broker makes its topic of groups, for the first of them, this is no news.
            return Err(match error_codes::is_settling(found.error_code) {
                true => trouble.broken(),
                false => trouble,
            });
        }
        let host = format!("{}:{}", found.host.as_str(), found.port);
        open(&host)
    }

    /// The same error, said of the group.
    fn at(&self, why: impl Into<KafkaError>) -> KafkaError {
        why.into().at(&format!("group {}", self.group))
    }

    fn trouble(&self, why: &str) -> KafkaError {
        KafkaError::passing(format!("group {}: {why}", self.group))
    }
}

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_string())
}

pub fn topic_name(topic: &str) -> TopicName {
    TopicName(text(topic))
}
