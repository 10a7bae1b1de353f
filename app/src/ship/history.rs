//! What a source's runs said in a part of a topic: which keys they spoke of, how high their epochs
//! and passes go, and whether all of it is there.

use crate::model::{RecordId, TableSchema, Value};
use crate::source::Acked;
use crate::wire::decode::{self, Record, RecordKey};

use super::full_pass_reason::FullPassReason;
use super::log_reader::{self, LogPart};

/// What the parts that were taken say.
pub(crate) struct History {
    source: String,
    partitions: Vec<Chain>,
    /// The last pass that the file remembers.
    last_pass: u64,
    /// The highest epoch or pass.
    pub(crate) above: u64,
    /// How many records of this source there are.
    pub(crate) records: u64,
    /// Keys of rows that are to be sent again.
    pub(crate) keys: Vec<Vec<Value<'static>>>,
    key_names: Option<Vec<String>>,
    why: Option<FullPassReason>,
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
    pub(crate) fn new(source: &str, partitions: i32, last_pass: u64) -> Self {
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
    pub(crate) fn goes_on(&mut self, acked: &Acked) {
        self.partitions[acked.partition as usize].last = Some((acked.epoch, acked.seq));
    }

    /// All rows are to be sent. The first reason is kept, unless the log is not the one that was
    /// noted, which explains all others.
    pub(crate) fn needs_full_pass(&mut self, why: FullPassReason) {
        if self.why.is_none() || matches!(why, FullPassReason::LostEnd | FullPassReason::NewLog) {
            self.why = Some(why);
        }
    }

    pub(crate) fn why(&self) -> Option<&FullPassReason> {
        self.why.as_ref()
    }

    /// The reason, now that the table is known whose rows these are.
    pub(crate) fn why_for(&mut self, schema: &TableSchema) -> Option<&FullPassReason> {
        let of_schema = |names: &Vec<String>| names.iter().map(String::as_str).eq(schema.key_names());
        let has_shape = |chain: &Chain| chain.schema.as_ref().is_none_or(|said| **said == *schema);
        if !self.key_names.as_ref().is_none_or(of_schema) || !self.partitions.iter().all(has_shape) {
            self.needs_full_pass(FullPassReason::Shape);
        }
        self.why()
    }

    /// Whether the first record of a run was found in a partition.
    pub(crate) fn has_begun(&self, partition: i32) -> bool {
        self.partitions[partition as usize].has_begun
    }

    pub(crate) fn take_keys(&mut self) -> Vec<Vec<Value<'static>>> {
        std::mem::take(&mut self.keys)
    }

    /// Takes the next part of a partition.
    pub(crate) fn take(&mut self, part: &LogPart<'_>) {
        match part {
            LogPart::Record(record) => self.take_record(record),
            &LogPart::Hole { partition, offset } => self.needs_full_pass(FullPassReason::Hole { partition, offset }),
        }
    }

    fn take_record(&mut self, found: &log_reader::LogRecord<'_>) {
        let message = found.message;
        let Some(id) = found.id_of(&self.source) else {
            return;
        };
        self.records += 1;
        self.above = self.above.max(id.epoch);
        self.follow(found, &id);
        if decode::is_row(message.value) {
            return self.take_key(found);
        }
        match decode::record(message.value, None, Vec::new()) {
            Ok(Record::Schema { schema, begin, .. }) => {
                let chain = &mut self.partitions[found.partition as usize];
                chain.has_begun |= id.seq == 1;
                chain.schema = Some(schema);
                self.take_pass(begin);
            }
            Ok(Record::PassEnd { pass, .. }) => self.take_pass(Some(pass)),
            // What was kept back changed nothing.
            Ok(Record::Placeholder { .. }) => {}
            _ => self.take_key(found),
        }
    }

    /// Whether the record follows the one before by its number. Those of an older run are told by
    /// the newer one again.
    fn follow(&mut self, found: &log_reader::LogRecord<'_>, id: &RecordId<'_>) {
        let last = &mut self.partitions[found.partition as usize].last;
        let next = (id.epoch, id.seq);
        let follows = match *last {
            Some((epoch, seq)) if id.epoch == epoch => id.seq <= seq + 1,
            Some((epoch, _)) if id.epoch < epoch => true,
            _ => id.seq == 1,
        };
        *last = (*last).max(Some(next));
        if !follows {
            self.needs_full_pass(FullPassReason::Missing {
                partition: found.partition,
                offset: found.message.offset,
            });
        }
    }

    fn take_pass(&mut self, pass: Option<u64>) {
        let Some(pass) = pass else { return };
        self.above = self.above.max(pass);
        if pass > self.last_pass {
            self.needs_full_pass(FullPassReason::Pass { pass });
        }
    }

    fn take_key(&mut self, found: &log_reader::LogRecord<'_>) {
        let Ok(RecordKey::Object(members)) = decode::key(found.message.opt_key()) else {
            return self.needs_full_pass(FullPassReason::Shape);
        };
        let owned = members
            .into_iter()
            .map(|(name, value)| (name.into_owned(), value.into_owned()));
        let (names, values): (Vec<String>, Vec<_>) = owned.unzip();
        match &self.key_names {
            Some(known) if *known != names => self.needs_full_pass(FullPassReason::Shape),
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
    use crate::model::{Column, RunHeader};
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
                key_is_null: false,
                value_is_null: value.is_empty(),
            };
            self.offset += 1;
            self.history.take(&LogPart::Record(log_reader::LogRecord {
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

        fn why(&mut self) -> Option<FullPassReason> {
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
        let at = |offset| Some(FullPassReason::Missing { partition: 0, offset });
        assert_eq!(missing(&|log| log.row(50, 5, 1)), at(10));
        assert_eq!(missing(&|log| log.row(60, 2, 1)), at(10));
        let later = missing(&|log| {
            log.begin(&["id", "v"], 60, None);
            log.row(60, 3, 1);
        });
        assert_eq!(later, at(11));
        let hole = LogPart::Hole {
            partition: 0,
            offset: 12,
        };
        let hole = missing(&|log| log.history.take(&hole));
        assert_eq!(
            hole,
            Some(FullPassReason::Hole {
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
        assert_eq!(
            (log.history.above, log.why()),
            (71, Some(FullPassReason::Pass { pass: 71 }))
        );
        let mut log = Log::new();
        log.begin(&["id", "v", "w"], 60, None);
        assert_eq!(log.why(), Some(FullPassReason::Shape));
        let mut log = Log::new();
        log.take(br#"{"number":1}"#, br#"{"number":1,"v":null,"_ferry":"me.50.4"}"#);
        assert_eq!(log.why(), Some(FullPassReason::Shape));
    }

    #[test]
    fn another_log_explains_all_other_reasons() {
        let mut log = Log::new();
        log.row(50, 9, 1);
        log.history.needs_full_pass(FullPassReason::NewLog);
        log.history.needs_full_pass(FullPassReason::Denied);
        assert_eq!(log.why(), Some(FullPassReason::NewLog));
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
