//! Answers that are not believed at once: one that begins with a hole, and one that is empty though the log goes on.

use crate::error::Result;

use super::aside;
use super::chunk::{Chunk, Part};
use super::fetcher::Position;
use super::hosts::CONNECT;
use super::inflight::{Ask, InFlight};
use super::peek::{self, Found};
use super::place;
use super::search::{Search, Seen};
use super::trouble::Trouble;
use super::window::PEEK;

impl InFlight {
    /// Looks again at a hole before the first record, with ever smaller windows. See `search`.
    pub fn look_again(&mut self, host: &str, ask: &Ask, mut best: Chunk) -> Result<Result<Chunk, Trouble>> {
        let Position {
            topic,
            partition,
            offset,
        } = &ask.position;
        let mut search = Search::below(ask.window);
        while let Some(window) = search.next()
            && best.begins_with_hole()
        {
            let again = Ask { window, ..ask.clone() };
            let what = place(topic, *partition);
            let response = match self.call(host, again)? {
                Ok(response) => response,
                Err(trouble) => return Ok(Err(trouble.at(&what))),
            };
            match Chunk::find(&response, topic, *partition, *offset) {
                Part::Chunk(chunk) if chunk.is_empty() => search.saw(window, Seen::Nothing),
                Part::Chunk(chunk) => {
                    search.saw(window, Seen::Hole);
                    if chunk.first_offset() < best.first_offset() {
                        best = chunk;
                    }
                }
                Part::Code(code) => return Ok(Err(Trouble::code(code).at(&what))),
                Part::Wrong(why) => return Ok(Err(Trouble::passing(format!("{what}: {host} {why}")))),
            }
        }
        Ok(Ok(best))
    }

    /// Looks whether there are records at a position where nothing came: the offset behind those that are not there.
    pub fn passed(&mut self, host: &str, ask: &Ask) -> Result<Result<Option<i64>, Trouble>> {
        if ask.window < PEEK {
            return Ok(Ok(None));
        }
        let recipe = &self.recipe;
        match recipe.versions.get() {
            Some(versions) if versions.can_peek() => {}
            Some(_) => return Ok(Ok(None)),
            None => return Ok(Err(Trouble::passing("the broker has not told yet what it speaks"))),
        }
        let (broker, client_id, position) = (host.to_string(), recipe.client_id.clone(), ask.position.clone());
        let limit = recipe.limit;
        let look = move || peek::look(&broker, &client_id, &position, limit);
        let (base, behind) = match aside::aside(limit + CONNECT, &recipe.stop, look)? {
            Ok(Some(Found::Nothing { behind })) => return Ok(Ok(Some(behind))),
            Ok(Some(Found::Batch { base, behind })) if base < ask.position.offset => (base, behind),
            Ok(_) => return Ok(Ok(None)),
            Err(trouble) => return Ok(Err(trouble)),
        };
        // The batch begins before the position. It is passed when all that it holds lies before the position too.
        let mut whole = ask.clone();
        whole.position.offset = base;
        let Position { topic, partition, .. } = &ask.position;
        let response = match self.call(host, whole)? {
            Ok(response) => response,
            Err(trouble) => return Ok(Err(trouble)),
        };
        let Part::Chunk(chunk) = Chunk::find(&response, topic, *partition, base) else {
            return Ok(Ok(None));
        };
        let before = !chunk.is_empty() && chunk.next_offset() <= ask.position.offset;
        Ok(Ok(before.then_some(behind)))
    }
}
