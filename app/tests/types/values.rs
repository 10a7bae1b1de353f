//! Values of every storage class, the ends and the edges of each, and random ones.

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};

use crate::support::Random;

use Exact::{Blob, Integer, Null, Real, Text};

/// Columns of every affinity, and of the types that people declare.
pub(super) const COLUMNS: [&str; 12] = [
    "a INTEGER",
    "b REAL",
    "c TEXT",
    "d BLOB",
    "e",
    "f NUMERIC",
    "g BOOLEAN",
    "h VARCHAR(10)",
    "i DECIMAL(10,2)",
    "j UNSIGNED BIG INT",
    "k \"weird (type\"",
    "l DOUBLE PRECISION",
];

/// A value as its storage class and its bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Exact {
    Null,
    Integer(i64),
    /// The bits, for 0.0 is not -0.0.
    Real(u64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl From<ValueRef<'_>> for Exact {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Null,
            ValueRef::Integer(integer) => Integer(integer),
            ValueRef::Real(real) => Real(real.to_bits()),
            ValueRef::Text(bytes) => Text(bytes.to_vec()),
            ValueRef::Blob(bytes) => Blob(bytes.to_vec()),
        }
    }
}

impl ToSql for Exact {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Null => ValueRef::Null,
            Integer(integer) => ValueRef::Integer(*integer),
            Real(bits) => ValueRef::Real(f64::from_bits(*bits)),
            Text(bytes) => ValueRef::Text(bytes),
            Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Integers at both ends of 64 bits and around powers of 2, beyond 2^53 no real is exact.
pub(super) fn integers() -> Vec<Exact> {
    let ends = [i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX];
    let powers = [31, 32, 47, 53].map(|bits| 1_i64 << bits);
    let around = powers.into_iter().flat_map(|n| [n - 1, n, n + 1, -n - 1, -n, -n + 1]);
    ends.into_iter().chain(around).chain([-1, 0, 1]).map(Integer).collect()
}

/// Reals that a decimal form or an integer could lose.
pub(super) fn reals() -> Vec<Exact> {
    let reals = [
        0.1 + 0.2,
        0.0,
        -0.0,
        1.0,
        -1.5,
        1e15,
        1e16,
        9_007_199_254_740_993.0,
        9_223_372_036_854_775_808.0,
        -9_223_372_036_854_775_808.0,
        1e308,
        f64::MAX,
        5e-324,
        -5e-324,
        f64::MIN_POSITIVE,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];
    reals.map(|real: f64| Real(real.to_bits())).to_vec()
}

/// Texts that JSON, a C string or a column of numbers could change.
pub(super) fn texts() -> Vec<Exact> {
    let texts: [&[u8]; 22] = [
        b"",
        b"\0",
        b"a\0b",
        "\u{1f980} é 日本 \u{200d}\u{feff}".as_bytes(),
        b"\xff\xfe",
        b"a\xed\xa0\x80b",
        b"\xf0\x9f\xa6",
        b"\"\\/\x08\x0c\n\r\t\x1f\x7f",
        b"{\"$blob\":\"AAAA\"}",
        b"null",
        b"0",
        b" 12 ",
        b"-0",
        b"+1.50",
        b"1e3",
        b"1e",
        b".",
        b"0x10",
        b"9223372036854775808",
        b"inf",
        b"12\0",
        b"1_000",
    ];
    texts.map(|text| Text(text.to_vec())).to_vec()
}

/// Blobs of up to a thousand bytes.
pub(super) fn small_blobs() -> Vec<Exact> {
    let blobs: [&[u8]; 5] = [b"", b"\0", b"12", b"\xff\0\xfe", &[7; 1000]];
    blobs.map(|blob| Blob(blob.to_vec())).to_vec()
}

/// Values of every class.
pub(super) fn every_value() -> Vec<Exact> {
    [vec![Null], integers(), reals(), texts(), small_blobs()].concat()
}

/// Any value at all; most are of the kinds that a column may convert.
pub(super) fn random_value(random: &mut Random) -> Exact {
    match random.below(8) {
        0 => Integer(random.next() as i64 >> random.below(64)),
        1 => loop {
            let real = f64::from_bits(random.next());
            if !real.is_nan() {
                break Real(real.to_bits());
            }
        },
        2 => Real((random.below(2000) as f64 / 4.0 - 250.0).to_bits()),
        3 => {
            let len = random.below(40) as usize;
            Text(random.bytes(len))
        }
        4 => {
            let len = random.below(300) as usize;
            Blob(random.bytes(len))
        }
        5 => {
            let len = random.below(7) as usize;
            Text((0..len).map(|_| *random.pick(b" +-.0123456789eE")).collect())
        }
        _ => random.pick(&every_value()).clone(),
    }
}
