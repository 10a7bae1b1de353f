//! What an error of the crate means for us.

use std::io::ErrorKind;

use kafka::error::{Error as CrateError, KafkaCode};

use crate::broker::error::KafkaError;
use crate::model::TopicPartition;

/// What an error of the crate means for us.
pub(super) fn kafka_error(error: &CrateError) -> KafkaError {
    match error {
        CrateError::Kafka(KafkaCode::CorruptMessage) => unreadable("a record's checksum is wrong"),
        CrateError::Kafka(code) => code_of(*code),
        CrateError::TopicPartitionError {
            topic_name,
            partition_id,
            error_code,
        } => code_of(*error_code)
            .at(&TopicPartition::new(topic_name.as_str(), *partition_id).to_string()),
        CrateError::UnsupportedCompression => KafkaError::fatal(
            "records are compressed in a way that this client does not read (lz4 or zstd)",
            "use --client native; or let the topic's producers use none, gzip or snappy, or set the topic's compression.type to one of them",
        )
        .unreadable()
        .beyond_the_crate("records are compressed with lz4 or zstd"),
        CrateError::InvalidSnappy(e) => unreadable(&format!("records cannot be decompressed ({e})")),
        CrateError::UnsupportedProtocol => unreadable("a record has a format that this client does not read"),
        CrateError::CodecError | CrateError::StringDecodeError | CrateError::UnexpectedEOF => {
            unreadable(&format!("the answer is not one that a broker gives ({error})"))
        }
        CrateError::ArcSelf(inner) => kafka_error(inner),
        CrateError::Io(e) if e.kind() == ErrorKind::UnexpectedEof => {
            KafkaError::passing("the connection was closed").broken()
        }
        CrateError::Io(e) => KafkaError::passing(format!("the connection broke ({e})")).broken(),
        other => KafkaError::passing(format!("Kafka cannot be asked ({other})")),
    }
}

/// What a code means that a broker answers. The crate knows no codes above 35, among them that of a
/// topic compressed with zstd.
pub(super) fn code_of(code: KafkaCode) -> KafkaError {
    let error = KafkaError::code(code as i16);
    if code == KafkaCode::Unknown {
        error.beyond_the_crate("a broker answers a code that the other client does not know")
    } else {
        error
    }
}

fn unreadable(what: &str) -> KafkaError {
    KafkaError::passing(what).unreadable()
}
