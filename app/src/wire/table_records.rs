//! The members of records that speak of the table, not of a row: its schema, how the run begins,
//! full passes, placeholders.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::names::{PASS, PLACEHOLDER, RUN, SCHEMA};
use super::object::Object;
use super::record::Record;
use super::schema::SchemaJson;
use crate::model::{RecordId, RunHeader, TableSchema, bounds};

#[derive(Deserialize)]
struct RunJson {
    acked: Option<String>,
    full: bool,
    partitions: Option<i32>,
    moved: Option<u64>,
}

#[derive(Deserialize)]
struct PassJson {
    begin: Option<u64>,
    end: Option<u64>,
}

#[derive(Deserialize)]
struct PlaceholderJson {
    key: String,
    reason: String,
}

/// The record that this object is, if it speaks of the table.
pub(super) fn read<'a>(id: RecordId<'a>, object: &mut Object<'a>) -> Result<Option<Record<'a>>, String> {
    if let Some(schema) = object.take(SCHEMA.name) {
        return schema_record(id, schema, object).map(Some);
    }
    if let Some(mark) = object.take(PASS.name) {
        let pass = parse::<PassJson>(PASS.name, mark)?.end;
        let pass = pass.ok_or_else(|| format!("member \"{}\" names no end: {mark}", PASS.name))?;
        check_pass(pass, &id)?;
        return Ok(Some(Record::PassEnd { id, pass }));
    }
    if let Some(placeholder) = object.take(PLACEHOLDER.name) {
        let PlaceholderJson { key, reason } = parse(PLACEHOLDER.name, placeholder)?;
        return Ok(Some(Record::Placeholder { id, key, reason }));
    }
    Ok(None)
}

fn schema_record<'a>(id: RecordId<'a>, schema: &'a RawValue, object: &mut Object<'a>) -> Result<Record<'a>, String> {
    let schema: SchemaJson = parse(SCHEMA.name, schema)?;
    let table_id = schema.id.as_deref().map(str::to_owned);
    let schema = Box::new(TableSchema::from(schema));
    let header = object.take(RUN.name).map(run_header).transpose()?;
    let begin = match object.take(PASS.name) {
        None => None,
        Some(mark) => parse::<PassJson>(PASS.name, mark)?.begin,
    };
    begin.map_or(Ok(()), |pass| check_pass(pass, &id))?;
    Ok(Record::Schema {
        id,
        schema,
        table_id,
        header,
        begin,
    })
}

fn run_header(raw: &RawValue) -> Result<RunHeader, String> {
    let refused = |what: String| Err(format!("member \"{}\": {what}", RUN.name));
    let RunJson {
        acked,
        full,
        partitions,
        moved,
    } = parse(RUN.name, raw)?;
    let number = |text: &str| {
        let (epoch, seq) = text.split_once('.')?;
        Some((bounds::epoch(epoch)?, bounds::seq(seq)?))
    };
    let acked = match acked {
        None => None,
        Some(text) => match number(&text) {
            None => return refused(format!("acked is \"{text}\"")),
            acked => acked,
        },
    };
    if let Some(count) = partitions.filter(|count| *count < 1) {
        return refused(format!("{count} partitions"));
    }
    if let Some(epoch) = moved.filter(|epoch| !bounds::is_epoch(*epoch)) {
        return refused(format!(
            "no run has the number {epoch}, where keys are said to have moved"
        ));
    }
    Ok(RunHeader {
        acked,
        full,
        partitions,
        repartitioned_at: moved,
    })
}

/// A pass that a run of ours can have begun.
fn check_pass(pass: u64, id: &RecordId<'_>) -> Result<(), String> {
    if bounds::is_pass(pass, id.epoch) {
        return Ok(());
    }
    Err(format!(
        "member \"{}\": run {} can have begun no pass {pass}",
        PASS.name, id.epoch
    ))
}

/// One of the members that only our own records have.
fn parse<'a, T: Deserialize<'a>>(name: &str, raw: &'a RawValue) -> Result<T, String> {
    serde_json::from_str(raw.get()).map_err(|e| format!("member \"{name}\": {e}"))
}
