//! The broker that coordinates a consumer group: asked over a plain connection, and looked for anew whenever that breaks.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse, GroupId, TopicName};
use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};

use super::bounds::Answer;
use super::codes;
use super::hosts::CONNECT;
use super::plain::{Plain, Unanswered};
use super::trouble::Trouble;
use super::worker::Recipe;

/// The coordinator of one group.
#[derive(Debug)]
pub struct Coordinator {
    recipe: Arc<Recipe>,
    group: String,
    /// While it stands.
    connection: Option<Plain>,
}

impl Coordinator {
    pub fn new(recipe: Arc<Recipe>, group: &str) -> Self {
        Self {
            recipe,
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

    pub fn recipe(&self) -> &Arc<Recipe> {
        &self.recipe
    }

    /// Sends a request and reads its answer.
    pub fn ask<Q, R>(&mut self, request: &Q) -> Result<R, Trouble>
    where
        Q: Encodable + HeaderVersion,
        R: Answer,
    {
        let limit = self.recipe.limit;
        self.ask_within(limit, request)
    }

    /// The same, where an answer that takes longer than this is of no use.
    pub fn ask_within<Q, R>(&mut self, limit: Duration, request: &Q) -> Result<R, Trouble>
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
        talk: impl FnOnce(&mut Plain) -> Result<R, Unanswered>,
    ) -> Result<R, Trouble> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.find(limit)?,
        };
        let answer = talk(&mut connection).map_err(|e| self.trouble(&e.to_string()))?;
        self.connection = Some(connection);
        Ok(answer)
    }

    /// An error code of the coordinator as trouble; another broker may be the coordinator by now.
    pub fn code(&mut self, code: i16) -> Trouble {
        self.connection = None;
        Trouble::code(code).at(&format!("group {}", self.group))
    }

    /// Gives up the connection, where an answer may still come that nobody waits for.
    pub fn disconnect(&mut self) {
        self.connection = None;
    }

    fn find(&self, limit: Duration) -> Result<Plain, Trouble> {
        let host = self.recipe.hosts.reachable().map_err(|why| self.trouble(&why))?;
        let at = |host: &str, why: &dyn std::fmt::Display| self.trouble(&format!("{host}: {why}"));
        let mut any = Plain::open(&host, &self.recipe.client_id, CONNECT).map_err(|e| at(&host, &e))?;
        let request = FindCoordinatorRequest::default().with_key(text(&self.group));
        let found: FindCoordinatorResponse = any.ask(&request, limit).map_err(|e| at(&host, &e))?;
        if found.error_code != 0 {
            let trouble = Trouble::code(found.error_code).at(&format!("group {}", self.group));
            // While a broker makes its topic of groups, for the first of them, this is no news.
            return Err(match codes::is_settling(found.error_code) {
                true => trouble.broken(),
                false => trouble,
            });
        }
        let host = format!("{}:{}", found.host.as_str(), found.port);
        Plain::open(&host, &self.recipe.client_id, CONNECT).map_err(|e| at(&host, &e))
    }

    fn trouble(&self, why: &str) -> Trouble {
        Trouble::passing(format!("group {}: {why}", self.group))
    }
}

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_string())
}

pub fn topic_name(topic: &str) -> TopicName {
    TopicName(text(topic))
}
