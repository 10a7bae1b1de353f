//! What a comparison has found, for people.

use std::fmt::{self, Display};

use rusqlite::types::ValueRef;

/// How many differing rows have a line each.
const MOST_LINES: u64 = 10;

/// How much of a long value is shown.
const WIDTH: usize = 40;

/// What came out for one table. Sides are numbered: 0 is the source, the sinks follow.
#[derive(Debug)]
pub struct Report {
    table: String,
    columns: Vec<String>,
    /// How many rows each side has.
    pub rows: Vec<u64>,
    /// The sinks that have the table, and those that do not.
    sinks: Vec<String>,
    without: Vec<String>,
    missing: u64,
    extra: u64,
    different: u64,
    doubled: u64,
    lone_columns: u64,
    lines: Vec<String>,
}

impl Report {
    /// A report without findings. The columns are those that are compared, the key first.
    pub fn new(table: &str, columns: Vec<String>, sinks: Vec<String>, without: Vec<String>) -> Self {
        Self {
            table: table.to_owned(),
            columns,
            rows: vec![0; 1 + sinks.len()],
            sinks,
            without,
            missing: 0,
            extra: 0,
            different: 0,
            doubled: 0,
            lone_columns: 0,
            lines: Vec::new(),
        }
    }

    /// Whether nothing differs.
    pub fn is_equal(&self) -> bool {
        self.differing_rows() + self.lone_columns == 0
    }

    /// A column that the source has and these sinks have not.
    pub fn column_missing(&mut self, column: &str, sinks: &[usize]) {
        self.lone_columns += 1;
        self.lines.push(if self.is_spread() {
            format!("column {column:?} is missing in {}", self.names(sinks))
        } else {
            format!("column {column:?} is only in the source")
        });
    }

    /// A column that only these sinks have.
    pub fn column_extra(&mut self, column: &str, sinks: &[usize]) {
        self.lone_columns += 1;
        self.lines
            .push(format!("column {column:?} is only in {}", self.names(sinks)));
    }

    /// A row that no sink has.
    pub fn missing<'a>(&mut self, key: impl Iterator<Item = ValueRef<'a>>) {
        self.missing += 1;
        let everywhere = if self.is_spread() { "all sinks" } else { "the sink" };
        self.add(key, |_| format!("missing in {everywhere}"));
    }

    /// A row that only a sink has.
    pub fn extra<'a>(&mut self, sink: usize, key: impl Iterator<Item = ValueRef<'a>>) {
        self.extra += 1;
        self.add(key, |report| format!("only in {}", report.names(&[sink])));
    }

    /// A row that several sinks have, each with its first column that differs from the source.
    pub fn doubled<'a>(&mut self, key: impl Iterator<Item = ValueRef<'a>>, sinks: &[(usize, Option<usize>)]) {
        self.doubled += 1;
        self.add(key, |report| {
            let all: Vec<usize> = sinks.iter().map(|(sink, _)| *sink).collect();
            let different = sinks.iter().filter(|(_, column)| column.is_some());
            let different: Vec<usize> = different.map(|(sink, _)| *sink).collect();
            let both = if all.len() == 2 { "both " } else { "" };
            let all = report.names(&all);
            if different.is_empty() {
                format!("in {both}{all}")
            } else {
                format!("in {both}{all}, different in {}", report.names(&different))
            }
        });
    }

    /// A row that is in the source and in one sink, with other values (the source's first) in this
    /// column, and in how many others.
    pub fn different<'a>(
        &mut self,
        sink: usize,
        key: impl Iterator<Item = ValueRef<'a>>,
        column: usize,
        [ours, theirs]: [ValueRef<'_>; 2],
        others: usize,
    ) {
        self.different += 1;
        self.add(key, |report| {
            let name = &report.columns[column];
            let from = first_difference(ours, theirs);
            let (ours, theirs) = (shown(ours, from), shown(theirs, from));
            let more = match others {
                0 => String::new(),
                1 => "; 1 more column differs".to_owned(),
                n => format!("; {n} more columns differ"),
            };
            format!(
                "{name} is {ours} in the source, {theirs} in {}{more}",
                report.names(&[sink])
            )
        });
    }

    /// Whether the table's rows are spread over several sinks.
    fn is_spread(&self) -> bool {
        self.sinks.len() + self.without.len() > 1
    }

    /// Sinks, as people name them.
    fn names(&self, sinks: &[usize]) -> String {
        if self.is_spread() {
            list(sinks.iter().map(|sink| &self.sinks[sink - 1]))
        } else {
            "the sink".to_owned()
        }
    }

    /// How many rows each of several sinks has.
    fn shares(&self) -> String {
        let rows = self
            .sinks
            .iter()
            .zip(&self.rows[1..])
            .map(|(sink, rows)| format!("{rows} in {sink}"));
        let without = self.without.iter().map(|sink| format!("no table in {sink}"));
        rows.chain(without).collect::<Vec<_>>().join(", ")
    }

    fn add<'a>(&mut self, key: impl Iterator<Item = ValueRef<'a>>, what: impl FnOnce(&Self) -> String) {
        if self.differing_rows() <= MOST_LINES {
            let key = self
                .columns
                .iter()
                .zip(key)
                .map(|(column, value)| format!("{column} = {}", shown(value, 0)));
            let key = key.collect::<Vec<_>>().join(", ");
            let what = what(self);
            self.lines.push(format!("{key}: {what}"));
        }
    }

    /// What differs, a line each.
    pub fn findings(&self) -> impl Iterator<Item = String> {
        let lines = self.lines.iter().map(|line| format!("  {line}"));
        let more = self.differing_rows().saturating_sub(MOST_LINES);
        lines.chain((more > 0).then(|| format!("  and {} more", rows(more))))
    }

    fn differing_rows(&self) -> u64 {
        self.missing + self.extra + self.different + self.doubled
    }
}

/// The verdict, on one line.
impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_sinks: u64 = self.rows[1..].iter().sum();
        write!(f, "{}: {}", self.table, rows(self.rows[0]))?;
        match (self.is_equal(), self.is_spread()) {
            (true, false) => return f.write_str(", equal"),
            (true, true) => return write!(f, ", equal ({})", self.shares()),
            (false, false) => write!(f, " in the source, {} in the sink, NOT equal: ", rows(in_sinks))?,
            (false, true) => {
                let shares = self.shares();
                write!(
                    f,
                    " in the source, {} in the sinks ({shares}), NOT equal: ",
                    rows(in_sinks)
                )?;
            }
        }
        write!(
            f,
            "{} missing, {} extra, {} different",
            self.missing, self.extra, self.different
        )?;
        if self.is_spread() {
            write!(f, ", {} doubled", self.doubled)?;
        }
        Ok(())
    }
}

fn rows(n: u64) -> String {
    match n {
        1 => "1 row".to_owned(),
        n => format!("{n} rows"),
    }
}

/// Names as a person lists them: a, b and c.
pub(super) fn list(names: impl IntoIterator<Item = impl Display>) -> String {
    let mut names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    match names.pop() {
        Some(last) if !names.is_empty() => format!("{} and {last}", names.join(", ")),
        last => last.unwrap_or_default(),
    }
}

/// A value with its storage class. Of a long one only a part is shown, from the byte `from` on.
fn shown(value: ValueRef<'_>, from: usize) -> String {
    let part = |bytes: &[u8], show: fn(&[u8]) -> String, class: &str| {
        let start = if bytes.len() > WIDTH { from.min(bytes.len()) } else { 0 };
        let end = (start + WIDTH).min(bytes.len());
        let (before, after) = (
            if start > 0 { "…" } else { "" },
            if end < bytes.len() { "…" } else { "" },
        );
        let size = if start > 0 || end < bytes.len() {
            format!(", {} bytes", bytes.len())
        } else {
            String::new()
        };
        format!("{before}{}{after} ({class}{size})", show(&bytes[start..end]))
    };
    match value {
        ValueRef::Null => "null".to_owned(),
        ValueRef::Integer(integer) => format!("{integer} (integer)"),
        ValueRef::Real(real) => format!("{real:?} (real)"),
        ValueRef::Text(bytes) => part(bytes, text, "text"),
        ValueRef::Blob(bytes) => part(bytes, blob, "blob"),
    }
}

fn text(bytes: &[u8]) -> String {
    let parts = bytes.utf8_chunks().map(|chunk| {
        format!(
            "{}{}",
            chunk.valid().escape_debug().to_string().replace("\\'", "'"),
            chunk.invalid().escape_ascii()
        )
    });
    format!("'{}'", parts.collect::<String>())
}

fn blob(bytes: &[u8]) -> String {
    format!(
        "x'{}'",
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    )
}

/// Where two values begin to differ, less a little for the eye; 0 where that is near the start.
fn first_difference(a: ValueRef<'_>, b: ValueRef<'_>) -> usize {
    let (Ok(a), Ok(b)) = (a.as_bytes(), b.as_bytes()) else {
        return 0;
    };
    let alike = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    alike.saturating_sub(WIDTH / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_as_people_do() {
        for (names, listed) in [
            (&[][..], ""),
            (&["a.db"], "a.db"),
            (&["a.db", "b.db"], "a.db and b.db"),
            (&["a.db", "b.db", "c.db"], "a.db, b.db and c.db"),
        ] {
            assert_eq!(list(names), listed);
        }
    }
}
