//! Rows that are read before it is their turn to land, on another core.

use std::borrow::Cow;
use std::sync::Arc;

use super::decode::{self, Record};
use super::scan::{self, Scanned};
use super::sign::Signer;
use crate::model::{RecordId, Schemas, TableSchema, Value, bounds, recycle};

/// What records were found to be, one after the other: those that could be read ahead as rows of
/// ours.
#[derive(Default)]
pub struct DecodedRows {
    heads: Vec<Head>,
    rows: Vec<Option<Row>>,
    cells: Vec<Cell>,
    /// The places of records without a signature that is asked for.
    unsigned: Vec<usize>,
}

/// What one row after the other has in common.
struct Head {
    schema: Arc<TableSchema>,
    source: String,
    epoch: u64,
    /// Their ids before the number.
    id_prefix: String,
    /// The column that is the key, where it is a single one.
    key: Option<usize>,
}

struct Row {
    head: u32,
    /// Its first cell; there is one for each column of the schema.
    first: u32,
    seq: u64,
}

/// A value; text lies where the record has it.
enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text { from: u32, to: u32 },
    Other(Box<Value<'static>>),
}

/// Reads the records of one partition, in their order.
pub struct Reader {
    /// The schema in force.
    schema: Option<Arc<TableSchema>>,
    schemas: Schemas,
    signer: Option<Signer>,
}

impl Reader {
    /// Reads with the schema in force so far.
    pub fn new(schema: Option<Arc<TableSchema>>, schemas: Schemas) -> Self {
        Self {
            schema,
            schemas,
            signer: None,
        }
    }

    /// Takes nothing but what was signed so, where a signer is given.
    pub fn signed_by(mut self, signer: Option<Signer>) -> Self {
        self.signer = signer;
        self
    }

    /// Reads the values of these records as far as they are rows and the room, a number of values,
    /// lasts.
    pub fn read<'a>(&mut self, records: impl Iterator<Item = (&'a [u8], &'a [u8])>, room: &mut usize) -> DecodedRows {
        let mut rows = DecodedRows::default();
        for (key, value) in records {
            if let Some(signer) = &self.signer
                && !signer.has_signed(key, value)
            {
                rows.unsigned.push(rows.rows.len());
                rows.rows.push(None);
                continue;
            }
            if decode::is_schema(value)
                && let Ok(Record::Schema { schema, .. }) = decode::record(value, None, Vec::new())
            {
                self.schema = Some(self.schemas.shared(*schema));
            }
            let read = self.schema.as_ref().filter(|schema| schema.columns.len() <= *room);
            let row = read.and_then(|schema| rows.add(value, schema));
            *room -= row.as_ref().map_or(0, |row| rows.cells.len() - row.first as usize);
            rows.rows.push(row);
        }
        rows
    }
}

impl DecodedRows {
    /// Reads a value into the cells.
    fn add(&mut self, value: &[u8], schema: &Arc<TableSchema>) -> Option<Row> {
        let first = self.cells.len();
        let row = self.scan(value, schema);
        if row.is_none() {
            self.cells.truncate(first);
        }
        row
    }

    fn scan(&mut self, value: &[u8], schema: &Arc<TableSchema>) -> Option<Row> {
        let text = std::str::from_utf8(value).ok()?;
        let first = u32::try_from(self.cells.len()).ok()?;
        let id = scan::row(text, schema, |found| self.cells.push(found.into()))?;
        let seq = self.seq(id, schema)?;
        let head = u32::try_from(self.heads.len() - 1).ok()?;
        Some(Row { head, first, seq })
    }

    /// Reads a row's number out of its id. The row belongs to the last head then, mostly as the one
    /// before it.
    fn seq(&mut self, id: &str, schema: &Arc<TableSchema>) -> Option<u64> {
        if let Some(head) = self.heads.last()
            && Arc::ptr_eq(&head.schema, schema)
            && let Some(seq) = id.strip_prefix(&head.id_prefix)
            && let Some(seq) = bounds::seq(seq)
        {
            return Some(seq);
        }
        let RecordId { source, epoch, seq } = scan::record_id(id)?;
        self.heads.push(Head {
            schema: schema.clone(),
            id_prefix: format!("{source}.{epoch}."),
            source: source.to_owned(),
            epoch,
            key: <[usize; 1]>::try_from(schema.key()).ok().map(|[key]| key),
        });
        Some(seq)
    }

    /// The key of the row at a place, where that is a single integer.
    pub fn key(&self, at: usize) -> Option<i64> {
        let row = self.rows.get(at)?.as_ref()?;
        match self.cells[row.first as usize + self.heads[row.head as usize].key?] {
            Cell::Integer(key) => Some(key),
            _ => None,
        }
    }

    /// The record at a place, whose value is at hand, none where it is null: as it was read, if that
    /// was by the same schema.
    pub fn record<'a>(
        &'a self,
        at: usize,
        value: Option<&'a [u8]>,
        schema: Option<&Arc<TableSchema>>,
        spare: Vec<Value<'_>>,
    ) -> Result<Record<'a>, String> {
        if self.unsigned.binary_search(&at).is_ok() {
            let reason = if value.is_none() {
                "no value, so that nothing proves its origin (--sign-key)"
            } else {
                "not signed by the key that --sign-key names"
            };
            return Err(reason.into());
        }
        let Some(value) = value else {
            return Ok(Record::Null);
        };
        let found = self.rows.get(at).and_then(Option::as_ref).zip(schema);
        let read = found.and_then(|(row, schema)| {
            let head = &self.heads[row.head as usize];
            Arc::ptr_eq(&head.schema, schema).then_some((row, head))
        });
        let Some((row, head)) = read else {
            return decode::record(value, schema.map(|schema| &**schema), spare);
        };
        let first = row.first as usize;
        let cells = &self.cells[first..first + head.schema.columns.len()];
        let mut values = recycle(spare);
        values.extend(cells.iter().map(|cell| cell.value(value)));
        let (source, epoch, seq) = (head.source.as_str(), head.epoch, row.seq);
        Ok(Record::Row {
            id: RecordId { source, epoch, seq },
            row: values,
        })
    }
}

impl From<Scanned<'_>> for Cell {
    fn from(found: Scanned<'_>) -> Self {
        match found {
            // A record of Kafka's is shorter than 2 GiB.
            Scanned::Plain { from, text } => Cell::Text {
                from: from as u32,
                to: (from + text.len()) as u32,
            },
            Scanned::Other(Value::Null) => Cell::Null,
            Scanned::Other(Value::Integer(integer)) => Cell::Integer(integer),
            Scanned::Other(Value::Real(real)) => Cell::Real(real),
            Scanned::Other(value) => Cell::Other(Box::new(value.into_owned())),
        }
    }
}

impl Cell {
    fn value<'a>(&'a self, record: &'a [u8]) -> Value<'a> {
        match self {
            Cell::Null => Value::Null,
            Cell::Integer(integer) => Value::Integer(*integer),
            Cell::Real(real) => Value::Real(*real),
            Cell::Text { from, to } => Value::Text(Cow::Borrowed(&record[*from as usize..*to as usize])),
            Cell::Other(value) => value.borrow(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Column;
    use crate::wire::encode::Encoder;
    use crate::wire::sign::SignKey;

    fn schema(names: &[&str]) -> TableSchema {
        let column = |(i, name): (usize, &&str)| Column {
            name: (*name).into(),
            declared: String::new(),
            collation: "BINARY".into(),
            pk: usize::from(i == 0),
            pk_collation: "BINARY".into(),
        };
        TableSchema {
            table: "t".into(),
            columns: names.iter().enumerate().map(column).collect(),
            strict: false,
            without_rowid: false,
            rowid_alias: false,
        }
    }

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    /// A row as it comes out, with its id.
    fn row_of(record: Result<Record<'_>, String>) -> Option<(String, Vec<Value<'static>>)> {
        match record {
            Ok(Record::Row { id, row }) => Some((id.to_string(), row.into_iter().map(Value::into_owned).collect())),
            _ => None,
        }
    }

    /// What comes out at a place, and whether it was read ahead.
    fn out<'a>(
        rows: &'a DecodedRows,
        at: usize,
        values: &'a [Vec<u8>],
        schema: &Arc<TableSchema>,
    ) -> (Result<Record<'a>, String>, bool) {
        let read = rows.rows[at]
            .as_ref()
            .is_some_and(|row| Arc::ptr_eq(&rows.heads[row.head as usize].schema, schema));
        (rows.record(at, Some(&values[at]), Some(schema), Vec::new()), read)
    }

    #[test]
    fn every_record_is_what_it_would_have_been_in_its_turn() {
        let schemas = Schemas::default();
        let narrow = schemas.shared(schema(&["a", "b"]));
        let wide = schemas.shared(schema(&["a", "b", "c"]));
        let (old, new) = (Encoder::new(narrow.clone(), "s", 1), Encoder::new(wide.clone(), "s", 2));
        let text = |text: &'static str| Value::Text(text.as_bytes().into());
        let values = [
            written(|out| old.row(&[Value::Integer(1), text("plain")], 5, out)),
            written(|out| old.row(&[Value::Integer(2), text("a \"quote\"\n")], 6, out)),
            written(|out| old.row(&[Value::Real(0.1), Value::Blob(b"\x00\xff".as_slice().into())], 7, out)),
            b"{\"a\":1}".to_vec(),
            Vec::new(),
            b"\xff".to_vec(),
            written(|out| old.deletion(&[Value::Integer(1)], 8, out)),
            written(|out| new.schema_record(None, None, 1, out)),
            written(|out| {
                new.row(
                    &[Value::Integer(1), Value::Null, Value::Real(f64::NEG_INFINITY)],
                    2,
                    out,
                );
            }),
            written(|out| old.row(&[Value::Integer(1), text("late")], 9, out)),
        ];
        let all = || values.iter().map(|value| (&b"{}"[..], value.as_slice()));
        let rows = Reader::new(Some(narrow.clone()), schemas.clone()).read(all(), &mut 1000);
        for (schema, ahead) in [(&narrow, &[0, 1, 2][..]), (&wide, &[8][..])] {
            for (at, value) in values.iter().enumerate() {
                let (record, read) = out(&rows, at, &values, schema);
                let expected = decode::record(value, Some(schema), Vec::new());
                assert_eq!(record.as_ref().err(), expected.as_ref().err(), "{at}");
                let ids = (
                    record.as_ref().ok().map(Record::id),
                    expected.as_ref().ok().map(Record::id),
                );
                assert_eq!(ids.0, ids.1, "{at}");
                assert_eq!(row_of(record), row_of(expected), "{at}");
                assert_eq!(read, ahead.contains(&at), "{at}");
            }
        }
        // What nothing is known of is read in its turn.
        let rows = Reader::new(None, schemas).read(all(), &mut 1000);
        assert_eq!(rows.rows.iter().position(Option::is_some), Some(8));
        assert!(matches!(
            rows.record(0, Some(&values[0]), None, Vec::new()),
            Ok(Record::RowWithoutSchema { .. })
        ));
    }

    #[test]
    fn rows_are_read_ahead_while_there_is_room() {
        let schemas = Schemas::default();
        let schema = schemas.shared(schema(&["a", "b"]));
        let encoder = Encoder::new(schema.clone(), "s", 1);
        let value = |seq| written(|out| encoder.row(&[Value::Integer(1), Value::Null], seq, out));
        let values: Vec<_> = (1..=4).map(value).collect();
        let mut reader = Reader::new(Some(schema.clone()), schemas);
        let mut room = 5;
        let rows = reader.read(values.iter().map(|value| (&b"{}"[..], value.as_slice())), &mut room);
        let read: Vec<_> = (0..4).map(|at| out(&rows, at, &values, &schema)).collect();
        assert_eq!(
            read.iter().map(|(_, read)| *read).collect::<Vec<_>>(),
            [true, true, false, false]
        );
        assert_eq!(room, 1);
        assert!(read.into_iter().all(|(record, _)| row_of(record).is_some()));
    }

    #[test]
    fn signed_rows_are_read_as_fast_and_unsigned_ones_not_at_all() {
        let schemas = Schemas::default();
        let schema = schemas.shared(schema(&["a", "b"]));
        let encoder = Encoder::new(schema.clone(), "s", 1);
        let signer = SignKey::new(&[7; 32]).signer("t", 0);
        let key = b"{\"a\":1}";
        let plain = written(|out| encoder.row(&[Value::Integer(1), Value::Null], 1, out));
        let mut signed = plain.clone();
        signer.sign(key, 0, &mut signed);
        let mut schema_record = written(|out| encoder.schema_record(None, None, 2, out));
        let forged_schema = schema_record.clone();
        signer.sign(b"{\"_schema\":\"t\"}", 0, &mut schema_record);
        let records: [(&[u8], &[u8]); 5] = [
            (key, &plain),
            (key, &signed),
            (b"{\"_schema\":\"t\"}", &forged_schema),
            (key, b""),
            (b"{\"_schema\":\"t\"}", &schema_record),
        ];
        let expected = row_of(decode::record(&plain, Some(&schema), Vec::new()));
        for (signer, signed_only) in [(None, false), (Some(signer), true)] {
            let mut reader = Reader::new(Some(schema.clone()), schemas.clone()).signed_by(signer);
            let rows = reader.read(records.iter().copied(), &mut 1000);
            let read = |at: usize| rows.record(at, (at != 3).then_some(records[at].1), Some(&schema), Vec::new());
            assert!(rows.rows[1].is_some(), "the signed row is read ahead");
            assert_eq!(row_of(read(1)), expected);
            assert!(matches!(read(4), Ok(Record::Schema { .. })));
            if signed_only {
                let reason = |at| read(at).err().unwrap();
                assert!([0, 2].iter().all(|at| reason(*at).contains("--sign-key")));
                assert!(reason(3).contains("nothing proves its origin"));
            } else {
                assert_eq!(row_of(read(0)), expected);
            }
        }
        // The slow way knows the member too, and both agree on what is none.
        let text = String::from_utf8(signed).unwrap();
        assert_eq!(
            row_of(decode::record(
                text.replace(",\"b\"", ", \"b\"").as_bytes(),
                Some(&schema),
                Vec::new()
            )),
            expected
        );
        let cut = text.find("_sig\":\"").unwrap() + 7;
        for forged in [
            format!("{}\",\"x\":\"{}", &text[..cut + 20], &text[cut + 27..]),
            format!("{}\\u0041{}", &text[..cut], &text[cut + 6..]),
        ] {
            assert!(scan::row(&forged, &schema, |_| ()).is_none(), "{forged}");
        }
    }
}
