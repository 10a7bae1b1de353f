//! Where the logs of a topic begin and end.

use std::time::Instant;

use kafka::client::FetchOffset;

use crate::broker::deadline;
use crate::broker::error::KafkaError;
use crate::broker::transport::crate_kafka::client::Client;
use crate::broker::transport::crate_kafka::errors::kafka_error;
use crate::broker::transport::crate_kafka::unknown_high_watermark::HighWatermark;
use crate::broker::transport::requests::{Offsets, OffsetsRequest};
use crate::broker::transport::{LEARNING, LOOK};
use crate::model::TopicPartition;

impl Client {
    /// An end below the one that is known may be of a leader that still learns. One that stays
    /// there is told as it is.
    pub(crate) fn offsets(&mut self, request: &OffsetsRequest) -> Result<Vec<i64>, KafkaError> {
        let known = match &request.which {
            Offsets::Earliest => return self.list_offsets(request, FetchOffset::Earliest),
            Offsets::LastStable => return self.list_offsets(request, FetchOffset::Latest),
            Offsets::Latest { known } => known,
        };
        let began = Instant::now();
        loop {
            let latest = self.list_offsets(request, FetchOffset::Latest)?;
            // Partitions that are there no more have no leader who could learn.
            let is_short = |&&(p, at): &&(i32, i64)| latest.get(p as usize).is_some_and(|end| *end < at);
            let short = known.iter().filter(is_short);
            let short: Vec<TopicPartition> = short
                .map(|(p, _)| TopicPartition::new(request.topic.clone(), *p))
                .collect();
            if short.is_empty() {
                return Ok(latest);
            }
            match self.high_watermark_of_all(&short)? {
                HighWatermark::Known => return self.list_offsets(request, FetchOffset::Latest),
                HighWatermark::Unknown(at) => return Err(KafkaError::unknown_high_watermark(&at)),
                HighWatermark::Untold if began.elapsed() >= LEARNING => return Ok(latest),
                HighWatermark::Untold => deadline::pause(LOOK),
            }
        }
    }

    fn list_offsets(&mut self, request: &OffsetsRequest, which: FetchOffset) -> Result<Vec<i64>, KafkaError> {
        let topic = &*request.topic;
        // Each leader is asked in turn.
        let limit = self.config.limit * self.config.hosts.count().max(1) as u32;
        self.ask(limit, |kafka| {
            let n = kafka
                .topics()
                .partitions(topic)
                .map_or(0, |partitions| partitions.len());
            if n < request.partitions {
                let known = request.partitions;
                return Err(KafkaError::passing(format!("{n} of {known} partitions are there")));
            }
            let answered = kafka.fetch_topic_offsets(topic, which).map_err(|e| kafka_error(&e))?;
            let mut offsets = vec![-1; n];
            for found in answered {
                if let Some(offset) = usize::try_from(found.partition).ok().and_then(|p| offsets.get_mut(p)) {
                    *offset = found.offset;
                }
            }
            // Partitions without a leader are left out of the answer, and -1 is none.
            match offsets.iter().position(|&offset| offset < 0) {
                Some(partition) => Err(KafkaError::passing(format!("partition {partition} does not tell"))),
                None => Ok(offsets),
            }
        })
    }
}
