//! What a source's runs said in a part of a topic: which keys they spoke of, how high their epochs and passes go, and whether all of it is
//! there.

use std::fmt;

use crate::model::RecordId;
use crate::model::{TableSchema, Value};
use crate::source::Acked;
use crate::wire::decode::{self, Record, RecordKey};

use super::log_reader::{self, Part};

/// Why the rows that a part of a log spoke of cannot be told, so that all rows are to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    Expired {
        partition: i32,
        from: i64,
        to: i64,
    },
    Hole {
        partition: i32,
        offset: i64,
    },
    Missing {
        partition: i32,
        offset: i64,
    },
    /// A full pass that the file does not remember: it removes rows without a word of their own.
    Pass {
        pass: u64,
    },
    /// The table had another shape.
    Shape,
    Denied,
    LostEnd,
    NewLog,
}

impl Why {
    pub fn expired(partition: i32, from: i64, to: i64) -> Why {
        Why::Expired { partition, from, to }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Expired { partition, from, to } => write!(
                f,
                "offsets {from} to {} of partition {partition} expired, and what they held is not known",
                to - 1
            ),
            Why::Hole { partition, offset } => {
                write!(
                    f,
                    "partition {partition} holds no record at offset {offset}, and what it held is not known"
                )
            }
            Why::Missing { partition, offset } => {
                write!(
                    f,
                    "records of this source are missing before offset {offset} of partition {partition}"
                )
            }
            Why::Pass { pass } => write!(f, "the log holds a full pass ({pass}) that this file does not remember"),
            Why::Shape => {
                f.write_str("the log holds rows of the table in another shape, which this file does not remember")
            }
            Why::Denied => {
                f.write_str("the log cannot be read back: the broker does not allow this client to read the topic")
            }
            Why::LostEnd => f.write_str("the log has lost records that were acknowledged"),
            Why::NewLog => f.write_str("the topic was made anew, and holds nothing of what was sent before"),
        }
    }
}

/// What the parts that were taken say.
pub struct History {
    source: String,
    partitions: Vec<Chain>,
    /// The last pass that the file remembers.
    last_pass: u64,
    /// The highest epoch or pass.
    pub above: u64,
    /// How many records of this source there are.
    pub records: u64,
    /// Keys of rows that are to be sent again.
    pub keys: Vec<Vec<Value<'static>>>,
    key_names: Option<Vec<String>>,
    why: Option<Why>,
}

/// One partition's part.
#[derive(Default)]
struct Chain {
    /// The last record in order.
    last: Option<(u64, u64)>,
    /// The last schema record.
    schema: Option<Box<TableSchema>>,
    /// Whether the first record of a run was among them.
    has_begun: bool,
}

impl History {
    pub fn new(source: &str, partitions: i32, last_pass: u64) -> Self {
        Self {
            source: source.to_owned(),
            partitions: (0..partitions).map(|_| Chain::default()).collect(),
            last_pass,
            above: 0,
            records: 0,
            keys: Vec::new(),
            key_names: None,
            why: None,
        }
    }

    /// The partition's records before are known up to this one.
    pub fn goes_on(&mut self, acked: &Acked) {
        self.partitions[acked.partition as usize].last = Some((acked.epoch, acked.seq));
    }

    /// All rows are to be sent. The first reason is kept, unless the log is not the one that was noted, which explains all others.
    pub fn is_full(&mut self, why: Why) {
        if self.why.is_none() || matches!(why, Why::LostEnd | Why::NewLog) {
            self.why = Some(why);
        }
    }

    pub fn why(&self) -> Option<&Why> {
        self.why.as_ref()
    }

    /// The reason, now that the table is known whose rows these are.
    pub fn why_for(&mut self, schema: &TableSchema) -> Option<&Why> {
        let of_schema = |names: &Vec<String>| names.iter().map(String::as_str).eq(schema.key_names());
        let has_shape = |chain: &Chain| chain.schema.as_ref().is_none_or(|said| **said == *schema);
        if !self.key_names.as_ref().is_none_or(of_schema) || !self.partitions.iter().all(has_shape) {
            self.is_full(Why::Shape);
        }
        self.why()
    }

    /// Whether the first record of a run was found in a partition.
    pub fn has_begun(&self, partition: i32) -> bool {
        self.partitions[partition as usize].has_begun
    }

    pub fn take_keys(&mut self) -> Vec<Vec<Value<'static>>> {
        std::mem::take(&mut self.keys)
    }

    /// Takes the next part of a partition.
    pub fn take(&mut self, part: &Part<'_>) {
        match part {
            Part::Record(record) => self.take_record(record),
            &Part::Hole { partition, offset } => self.is_full(Why::Hole { partition, offset }),
        }
    }

    fn take_record(&mut self, found: &log_reader::Record<'_>) {
        let message = found.message;
        let Some(stamp) = found.stamp_of(&self.source) else {
            return;
        };
        self.records += 1;
        self.above = self.above.max(stamp.epoch);
        self.follow(found, &stamp);
        if decode::is_row(message.value) {
            return self.take_key(found);
        }
        match decode::record(message.value, None, Vec::new()) {
            Ok(Record::Schema { schema, begin, .. }) => {
                let chain = &mut self.partitions[found.partition as usize];
                chain.has_begun |= stamp.seq == 1;
                chain.schema = Some(schema);
                self.take_pass(begin);
            }
            Ok(Record::PassEnd { pass, .. }) => self.take_pass(Some(pass)),
            // What was kept back changed nothing.
            Ok(Record::Placeholder { .. }) => {}
            _ => self.take_key(found),
        }
    }

    /// Whether the record follows the one before by its number. Those of an older run are told by the newer one again.
    fn follow(&mut self, found: &log_reader::Record<'_>, stamp: &RecordId<'_>) {
        let last = &mut self.partitions[found.partition as usize].last;
        let next = (stamp.epoch, stamp.seq);
        let follows = match *last {
            Some((epoch, seq)) if stamp.epoch == epoch => stamp.seq <= seq + 1,
            Some((epoch, _)) if stamp.epoch < epoch => true,
            _ => stamp.seq == 1,
        };
        *last = (*last).max(Some(next));
        if !follows {
            self.is_full(Why::Missing {
                partition: found.partition,
                offset: found.message.offset,
            });
        }
    }

    fn take_pass(&mut self, pass: Option<u64>) {
        let Some(pass) = pass else { return };
        self.above = self.above.max(pass);
        if pass > self.last_pass {
            self.is_full(Why::Pass { pass });
        }
    }

    fn take_key(&mut self, found: &log_reader::Record<'_>) {
        let Ok(RecordKey::Object(members)) = decode::key(found.message.key) else {
            return self.is_full(Why::Shape);
        };
        let owned = members
            .into_iter()
            .map(|(name, value)| (name.into_owned(), value.into_owned()));
        let (names, values): (Vec<String>, Vec<_>) = owned.unzip();
        match &self.key_names {
            Some(known) if *known != names => self.is_full(Why::Shape),
            Some(_) => {}
            None => self.key_names = Some(names),
        }
        self.keys.push(values);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::broker::Message;
    use crate::model::Column;
    use crate::model::RunHeader;
    use crate::wire::encode::Encoder;
    use crate::wire::sign::{SignKey, Signer};

    fn schema(columns: &[&str]) -> TableSchema {
        let column = |(i, name): (usize, &&str)| Column {
            name: name.to_string(),
            declared: "INTEGER".into(),
            collation: "BINARY".into(),
            pk: usize::from(i == 0),
            pk_collation: "BINARY".into(),
        };
        TableSchema {
            table: "t".into(),
            columns: columns.iter().enumerate().map(column).collect(),
            strict: false,
            without_rowid: false,
            rowid_alias: true,
        }
    }

    /// A history and a log of one partition, whose last noted record is number 3 of run 50.
    struct Log {
        history: History,
        offset: i64,
        signer: Option<Signer>,
    }

    impl Log {
        fn new() -> Log {
            let mut history = History::new("me", 1, 40);
            history.goes_on(&Acked {
                partition: 0,
                epoch: 50,
                seq: 3,
                offset: 9,
                stood: None,
            });
            Log {
                history,
                offset: 10,
                signer: None,
            }
        }

        fn take(&mut self, key: &[u8], value: &[u8]) {
            let message = Message {
                offset: self.offset,
                key,
                value,
            };
            self.offset += 1;
            self.history.take(&Part::Record(log_reader::Record {
                partition: 0,
                message,
                signer: self.signer.as_ref(),
            }));
        }

        fn row(&mut self, epoch: u64, seq: u64, id: i64) {
            let encoder = Encoder::new(Arc::new(schema(&["id", "v"])), "me", epoch);
            let (mut key, mut value) = (Vec::new(), Vec::new());
            encoder.key(&[Value::Integer(id)], &mut key);
            encoder.row(&[Value::Integer(id), Value::Null], seq, &mut value);
            self.take(&key, &value);
        }

        fn begin(&mut self, columns: &[&str], epoch: u64, pass: Option<u64>) {
            let encoder = Encoder::new(Arc::new(schema(columns)), "me", epoch);
            let mut value = Vec::new();
            encoder.schema_record(Some(&RunHeader::default()), pass, 1, &mut value);
            self.take(br#"{"_schema":"t"}"#, &value);
        }

        fn why(&mut self) -> Option<Why> {
            self.history.why_for(&schema(&["id", "v"])).cloned()
        }
    }

    #[test]
    fn a_whole_tail_is_told_by_its_keys() {
        let mut log = Log::new();
        log.row(50, 4, 7);
        log.begin(&["id", "v"], 60, None);
        log.row(60, 2, 8);
        // A resend, a replaced run that goes on, a tombstone, another source, another program.
        log.row(60, 2, 8);
        log.row(50, 9, 9);
        log.take(br#"{"id":8}"#, b"");
        log.take(br#"{"id":1}"#, br#"{"id":1,"v":null,"_ferry":"other.99.1"}"#);
        log.take(b"x", br#"{"a":"\",\"_ferry\":\"me.70.1"}"#);
        let keys = [7, 8, 8, 9].map(|id| vec![Value::Integer(id)]);
        assert_eq!(log.history.take_keys(), keys);
        assert_eq!((log.history.above, log.why()), (60, None));
        assert!(log.history.has_begun(0));
    }

    #[test]
    fn numbers_that_are_missing_and_holes_cannot_be_told() {
        let missing = |take: &dyn Fn(&mut Log)| {
            let mut log = Log::new();
            take(&mut log);
            log.why()
        };
        let at = |offset| Some(Why::Missing { partition: 0, offset });
        assert_eq!(missing(&|log| log.row(50, 5, 1)), at(10));
        assert_eq!(missing(&|log| log.row(60, 2, 1)), at(10));
        let later = missing(&|log| {
            log.begin(&["id", "v"], 60, None);
            log.row(60, 3, 1);
        });
        assert_eq!(later, at(11));
        let hole = Part::Hole {
            partition: 0,
            offset: 12,
        };
        let hole = missing(&|log| log.history.take(&hole));
        assert_eq!(
            hole,
            Some(Why::Hole {
                partition: 0,
                offset: 12
            })
        );
    }

    #[test]
    fn passes_and_shapes_that_the_file_does_not_remember_cannot_be_told() {
        let mut log = Log::new();
        log.begin(&["id", "v"], 60, Some(40));
        assert_eq!(log.why(), None, "the file remembers this one");
        log.begin(&["id", "v"], 70, Some(71));
        assert_eq!((log.history.above, log.why()), (71, Some(Why::Pass { pass: 71 })));
        let mut log = Log::new();
        log.begin(&["id", "v", "w"], 60, None);
        assert_eq!(log.why(), Some(Why::Shape));
        let mut log = Log::new();
        log.take(br#"{"number":1}"#, br#"{"number":1,"v":null,"_ferry":"me.50.4"}"#);
        assert_eq!(log.why(), Some(Why::Shape));
    }

    #[test]
    fn another_log_explains_all_other_reasons() {
        let mut log = Log::new();
        log.row(50, 9, 1);
        log.history.is_full(Why::NewLog);
        log.history.is_full(Why::Denied);
        assert_eq!(log.why(), Some(Why::NewLog));
    }

    #[test]
    fn with_a_key_only_what_it_signed_is_believed() {
        let signer = SignKey::new(&[7; 32]).signer("t", 0);
        let mut log = Log::new();
        log.signer = Some(signer.clone());
        // Forged: a run far ahead, and a pass that the file does not remember.
        log.row(u64::MAX, 1, 1);
        log.begin(&["id", "v"], 90, Some(90));
        assert_eq!(
            (log.history.above, log.history.records, log.history.why()),
            (0, 0, None)
        );
        let encoder = Encoder::new(Arc::new(schema(&["id", "v"])), "me", 50);
        let mut value = Vec::new();
        encoder.row(&[Value::Integer(2), Value::Null], 4, &mut value);
        signer.sign(b"{\"id\":2}", 0, &mut value);
        log.take(b"{\"id\":2}", &value);
        assert_eq!((log.history.above, log.history.records), (50, 1));
        assert_eq!(log.history.take_keys(), [[Value::Integer(2)]]);
        log.take(b"{\"id\":3}", &value);
        assert_eq!(log.history.records, 1, "under another key");
    }
}
