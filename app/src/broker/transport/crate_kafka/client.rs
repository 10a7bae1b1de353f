//! One client of the `kafka` crate. After an error its connections may still hold the answer to the
//! question before, and the crate would take it for the next one's: so a client that failed is
//! dropped.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kafka::client::{Compression as Codec, KafkaClient, ProduceMessage, RequiredAcks};

use crate::broker::bootstrap;
use crate::broker::config::{ClientConfig, Compression};
use crate::broker::connection::open::CONNECT_TIMEOUT;
use crate::broker::deadline::Deadline;
use crate::broker::error::KafkaError;
use crate::broker::transport::crate_kafka::errors::kafka_error;
use crate::broker::transport::crate_kafka::own_fetch::OwnConnections;
use crate::broker::transport::crate_kafka::readers::Looks;
use crate::broker::transport::crate_kafka::windows::Windows;
use crate::broker::transport::native::record_batch::decode::Decoder;
use crate::broker::transport::native::round::Round;
use crate::broker::transport::requests::{ProduceSlice, SliceAnswer};
use crate::model::TopicPartition;

pub(crate) struct Client {
    pub(super) config: Arc<ClientConfig>,
    pub(super) deadline: Deadline,
    pub(super) windows: Windows,
    pub(super) own_connections: OwnConnections,
    pub(super) looks: Looks,
    pub(super) decoder: Decoder,
    /// Of what is read without the crate.
    pub(super) round: Round,
    /// None after a failure.
    kafka: Option<KafkaClient>,
}

impl Client {
    pub(crate) fn connect(config: Arc<ClientConfig>, deadline: Deadline, windows: Windows) -> Result<Self, KafkaError> {
        let kafka = connect(&config, &deadline)?;
        Ok(Self {
            config,
            deadline,
            windows,
            own_connections: OwnConnections::new(),
            looks: Looks::default(),
            decoder: Decoder::new(),
            round: Round::new(),
            kafka: Some(kafka),
        })
    }

    /// Lets the crate make a request, which may take so long. Nothing is left of a client that
    /// fails.
    pub(super) fn ask<R>(
        &mut self,
        limit: Duration,
        request: impl FnOnce(&mut KafkaClient) -> Result<R, KafkaError>,
    ) -> Result<R, KafkaError> {
        let mut kafka = match self.kafka.take() {
            Some(kafka) => kafka,
            None => connect(&self.config, &self.deadline)?,
        };
        self.deadline.begin(limit)?;
        let answer = request(&mut kafka).inspect_err(|error| {
            if error.is_broken() {
                bootstrap::look_for_too_new(&self.config);
            }
        })?;
        self.kafka = Some(kafka);
        Ok(answer)
    }

    pub(crate) fn leaders(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<String>>, KafkaError> {
        self.ask(self.config.limit, |kafka| {
            let leaders = partitions.iter().map(|at| leader(kafka, at, str::to_string));
            Ok(leaders.collect())
        })
    }

    /// The crate sends each request to whom it takes for the leader: that must be this one. Where
    /// it is not, what the client knows of the cluster may be old.
    pub(super) fn expect_leader<'a>(
        &mut self,
        host: &str,
        partitions: impl Iterator<Item = &'a TopicPartition> + Clone,
    ) -> Result<(), KafkaError> {
        for is_new in [false, true] {
            if is_new {
                self.kafka = None;
            }
            let leads = self.ask(self.config.limit, |kafka| {
                Ok(partitions
                    .clone()
                    .all(|at| leader(kafka, at, |leader| leader == host) == Some(true)))
            })?;
            if leads {
                return Ok(());
            }
        }
        Err(KafkaError::passing("the partitions have moved to another leader"))
    }

    pub(crate) fn produce(
        &mut self,
        host: &str,
        slices: &[ProduceSlice],
        ack_limit: Duration,
    ) -> Result<Vec<SliceAnswer>, KafkaError> {
        self.expect_leader(host, slices.iter().map(|slice| &slice.batch.at))?;
        let records = slices.iter().flat_map(|slice| {
            (slice.from..slice.to).map(|record| {
                let (key, value) = slice.batch.get(record);
                ProduceMessage::new(&slice.batch.at.topic, slice.batch.at.partition, Some(key), value)
            })
        });
        let confirmed = self.ask(self.config.limit, |kafka| {
            let confirmed = kafka.produce_messages(RequiredAcks::All, ack_limit, records);
            confirmed.map_err(|e| kafka_error(&e).at(host))
        })?;
        let confirmed: HashMap<(&str, i32), _> = confirmed
            .iter()
            .flat_map(|topic| topic.partition_confirms.iter().map(|p| (&*topic.topic, p)))
            .map(|(topic, p)| ((topic, p.partition), p.offset))
            .collect();
        // A partition that the answer leaves out may have taken its records, or not.
        let answers = slices.iter().map(|ProduceSlice { batch, .. }| {
            let answer = confirmed.get(&(&*batch.at.topic, batch.at.partition))?;
            Some(answer.map_err(|code| KafkaError::code(code as i16)))
        });
        let answers: Option<Vec<SliceAnswer>> = answers.collect();
        answers.ok_or_else(|| KafkaError::passing(format!("{host} leaves it out of its answer")))
    }
}

/// A new client that knows all topics. It asks for all and names none: a topic that is named might
/// be created.
fn connect(config: &ClientConfig, deadline: &Deadline) -> Result<KafkaClient, KafkaError> {
    deadline.begin(config.limit + CONNECT_TIMEOUT * config.hosts.count() as u32)?;
    let host = config.hosts.reachable().map_err(KafkaError::passing)?;
    let mut kafka = KafkaClient::new(vec![host.clone()]);
    kafka.set_client_id(config.client_id.clone());
    kafka.set_compression(match config.compression {
        Compression::None => Codec::NONE,
        Compression::Gzip => Codec::GZIP,
        Compression::Snappy => Codec::SNAPPY,
        codec @ (Compression::Lz4 | Compression::Zstd) => {
            return Err(KafkaError::fatal(
                format!("the client kafka does not compress with {codec:?}"),
                "use --client native",
            ));
        }
    });
    kafka.set_fetch_min_bytes(1);
    kafka.set_fetch_crc_validation(true);
    deadline.begin(config.limit)?;
    kafka.load_metadata_all().map_err(|e| kafka_error(&e).at(&host))?;
    let leaders = kafka.topics();
    let leaders = leaders.iter().flat_map(|topic| topic.partitions());
    config
        .hosts
        .learn(leaders.filter_map(|p| p.leader().map(kafka::client::metadata::Broker::host)));
    Ok(kafka)
}

/// What `look` sees in the address of a partition's leader; none where there is no leader.
fn leader<R>(kafka: &KafkaClient, at: &TopicPartition, look: impl FnOnce(&str) -> R) -> Option<R> {
    let topics = kafka.topics();
    let broker = topics.partitions(&at.topic)?.partition(at.partition)?.leader()?;
    Some(look(broker.host()))
}
