//! What a Fetch answer says of one partition.

use std::collections::HashMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::FetchResponse;
use kafka_protocol::messages::fetch_response::{AbortedTransaction, PartitionData};

use crate::broker::error::KafkaError;
use crate::broker::fetched_partition::FetchPosition;
use crate::broker::transport::requests::IsolationLevel;

use super::record_batch::decode::Decoder;
use super::record_batch::defect::{BadBatch, Defect};
use super::record_batch::records::{End, RecordSets};
use super::record_batch::transactions::{AbortedTransactions, Isolation};

/// What is said of each partition, by topic and number.
pub(crate) type ByPartition = HashMap<(String, i32), PartitionData>;

pub(crate) fn by_partition(answer: FetchResponse) -> ByPartition {
    let partitions = answer.responses.into_iter().flat_map(|topic| {
        let name = topic.topic;
        topic
            .partitions
            .into_iter()
            .map(move |data| ((name.to_string(), data.partition_index), data))
    });
    partitions.collect()
}

/// What it means. The end is that of this reader: the last stable offset for one of committed
/// records.
pub(crate) enum Answered {
    /// All that the log holds from the position to `next_offset`.
    Records {
        sets: RecordSets,
        end: i64,
    },
    /// Not a byte, though the log goes on to `end`.
    Nothing {
        end: i64,
    },
    /// No whole batch, or one that this answer has no more room to unpack.
    Incomplete,
    /// The leader does not know yet how far its log goes.
    UnknownHighWatermark,
    /// The log is not the one that was read.
    CutBack(KafkaError),
    Failed(KafkaError),
}

/// Reads it. What lies before a batch that cannot be read is answered, and the batch is what comes
/// of the next position.
pub(crate) fn read(
    decoder: &mut Decoder,
    position: &FetchPosition,
    level: IsolationLevel,
    data: PartitionData,
) -> Answered {
    let FetchPosition { at, offset } = position;
    if data.error_code == ResponseError::OffsetNotAvailable.code() {
        return Answered::UnknownHighWatermark;
    }
    if data.error_code != 0 {
        return Answered::Failed(KafkaError::code(data.error_code).at(&at.to_string()));
    }
    let cut_back = data.diverging_epoch.end_offset;
    if cut_back >= 0 {
        let what = format!("{at}: its log was cut back to offset {cut_back}, before offset {offset} was read");
        return Answered::CutBack(KafkaError::passing(what));
    }
    let (high_watermark, last_stable_offset) = (data.high_watermark, data.last_stable_offset);
    let records = data.records.unwrap_or_default();
    let (isolation, end) = match level {
        IsolationLevel::ReadCommitted => (
            Isolation::ReadCommitted {
                aborted: aborted(data.aborted_transactions),
                last_stable_offset,
            },
            // Topics of the old format have none.
            if last_stable_offset >= 0 {
                last_stable_offset
            } else {
                high_watermark
            },
        ),
        IsolationLevel::ReadUncommitted => (Isolation::ReadUncommitted, high_watermark),
    };
    let sets = decoder.decode(&records, *offset, isolation);
    if sets.next_offset > *offset {
        let end = end.max(sets.next_offset);
        return Answered::Records { sets, end };
    }
    if let End::Bad(bad) = sets.end {
        return Answered::Failed(unreadable(bad).at(&at.to_string()));
    }
    if high_watermark < *offset {
        return Answered::UnknownHighWatermark;
    }
    if end <= *offset {
        return Answered::Records { sets, end: *offset };
    }
    let replica = data.preferred_read_replica.0;
    if replica >= 0 {
        let what = format!("{at}: the leader lets nobody read, but names broker {replica} for it");
        return Answered::Failed(
            KafkaError::passing(what).or("set the brokers' replica.selector.class to its default"),
        );
    }
    if records.is_empty() {
        Answered::Nothing { end }
    } else {
        Answered::Incomplete
    }
}

fn aborted(told: Option<Vec<AbortedTransaction>>) -> AbortedTransactions {
    let told = told.unwrap_or_default().into_iter();
    AbortedTransactions::new(
        told.map(|transaction| (transaction.producer_id.0, transaction.first_offset))
            .collect(),
    )
}

fn unreadable(bad: BadBatch) -> KafkaError {
    let is_final = match bad.defect {
        Defect::Magic(_) | Defect::Codec(_) | Defect::Lz4InFormat0 | Defect::TooLarge | Defect::Nested => true,
        Defect::Checksum | Defect::Compression | Defect::Offsets | Defect::Malformed => false,
    };
    let way_out = "look at it with kafka-dump-log.sh; kafka-delete-records.sh can remove it, if it may be lost";
    let error = if is_final {
        KafkaError::fatal(bad.to_string(), way_out)
    } else {
        KafkaError::passing(bad.to_string()).or(way_out)
    };
    error.unreadable()
}
