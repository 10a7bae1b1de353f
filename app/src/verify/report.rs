//! What a comparison has found, for people.

use std::fmt::{self, Display};

use rusqlite::types::ValueRef;

/// How many differing rows are told one by one.
const TOLD: u64 = 10;

/// How much of a long value is shown.
const WIDTH: usize = 40;

/// What came out for one table.
#[derive(Debug)]
pub struct Report {
    table: String,
    columns: Vec<String>,
    pub source_rows: u64,
    pub sink_rows: u64,
    missing: u64,
    extra: u64,
    different: u64,
    lone_columns: u64,
    told: Vec<String>,
}

impl Report {
    /// A report without findings. The columns are those that are compared, the key first.
    pub fn new(table: &str, columns: Vec<String>) -> Self {
        Self {
            table: table.to_owned(),
            columns,
            source_rows: 0,
            sink_rows: 0,
            missing: 0,
            extra: 0,
            different: 0,
            lone_columns: 0,
            told: Vec::new(),
        }
    }

    /// Whether nothing differs.
    pub fn is_equal(&self) -> bool {
        self.differing_rows() + self.lone_columns == 0
    }

    /// A column that only one side has.
    pub fn lone_column(&mut self, column: &str, side: &str) {
        self.lone_columns += 1;
        self.told.push(format!("column {column:?} is only in the {side}"));
    }

    /// A row that the sink does not have.
    pub fn missing<'a>(&mut self, key: impl Iterator<Item = ValueRef<'a>>) {
        self.missing += 1;
        self.tell(key, || "missing in the sink".to_owned());
    }

    /// A row that only the sink has.
    pub fn extra<'a>(&mut self, key: impl Iterator<Item = ValueRef<'a>>) {
        self.extra += 1;
        self.tell(key, || "only in the sink".to_owned());
    }

    /// A row that both sides have, with another value in this column, and in how many others.
    pub fn different<'a>(
        &mut self,
        key: impl Iterator<Item = ValueRef<'a>>,
        column: usize,
        ours: ValueRef<'_>,
        theirs: ValueRef<'_>,
        others: usize,
    ) {
        self.different += 1;
        let name = self.columns[column].clone();
        self.tell(key, || {
            let from = first_difference(ours, theirs);
            let (ours, theirs) = (shown(ours, from), shown(theirs, from));
            let more = match others {
                0 => String::new(),
                1 => "; 1 more column differs".to_owned(),
                n => format!("; {n} more columns differ"),
            };
            format!("{name} is {ours} in the source, {theirs} in the sink{more}")
        });
    }

    fn tell<'a>(&mut self, key: impl Iterator<Item = ValueRef<'a>>, what: impl FnOnce() -> String) {
        if self.differing_rows() <= TOLD {
            let key = self
                .columns
                .iter()
                .zip(key)
                .map(|(column, value)| format!("{column} = {}", shown(value, 0)));
            let key = key.collect::<Vec<_>>().join(", ");
            self.told.push(format!("{key}: {}", what()));
        }
    }

    fn differing_rows(&self) -> u64 {
        self.missing + self.extra + self.different
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = |n: u64| {
            if n == 1 {
                "1 row".to_owned()
            } else {
                format!("{n} rows")
            }
        };
        write!(f, "{}: {}", self.table, rows(self.source_rows))?;
        if self.is_equal() {
            return f.write_str(", equal");
        }
        write!(f, " in the source, {} in the sink, NOT equal: ", rows(self.sink_rows))?;
        write!(
            f,
            "{} missing, {} extra, {} different",
            self.missing, self.extra, self.different
        )?;
        self.told.iter().try_for_each(|line| write!(f, "\n  {line}"))?;
        match self.differing_rows().saturating_sub(TOLD) {
            0 => Ok(()),
            more => write!(f, "\n  and {} more", rows(more)),
        }
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
