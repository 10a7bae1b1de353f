//! What travels: the format `flat`, JSON that people and other programs read. This is its
//! specification; the test `spec` reads every example in it, and writes it again byte by byte.
//!
//! - `names`: every reserved name
//! - `value`, `text`, `base64`: one value
//! - `schema`: a table's schema
//! - `encode`, `sign`: what the producer writes, and how it is signed
//! - `decode`, `record`: what a record turns out to be
//! - `object`, `table_records`: the reader of any JSON, for others' records and those about tables
//! - `scan`, `rows`: the fast reader of rows, and rows read ahead on another core
//! - `fingerprint`: what stood at an offset, in 64 bits
//!
//! # A partition, from its first record on
//! A topic carries one table. A **source** is a database, known by a random id, here
//! `5f2c1a9b03de`. Each run of its producer has an **epoch**, larger than any before. In each
//! partition the records of an epoch are numbered from 1, one by one: the **seq**. Key and value of
//! each record, where `null` is Kafka's null, and a line that begins with a space belongs to the
//! one above:
//!
//! ```json records
//! {"_schema":"users"}
//! {"_schema":{"table":"users","id":"users","columns":[{"name":"id","type":"INTEGER","pk":1},
//!   {"name":"name","type":"TEXT"},{"name":"photo"}]},"_run":{"acked":null,"full":true,
//!   "partitions":3},"_pass":{"begin":1767225600000000},"_ferry":"5f2c1a9b03de.1767225600000000.1"}
//!
//! {"id":1}
//! {"id":1,"name":"Ann","photo":{"$blob":"AAH/"},"_ferry":"5f2c1a9b03de.1767225600000000.2"}
//!
//! {"_pass":"users"}
//! {"_pass":{"end":1767225600000000},"_ferry":"5f2c1a9b03de.1767225600000000.3"}
//!
//! {"id":1}
//! {"id":1,"__deleted":true,"_ferry":"5f2c1a9b03de.1767225600000000.4"}
//!
//! {"id":1}
//! null
//! ```
//!
//! All is UTF-8, and our own records hold no space outside of strings. A reader takes spaces too,
//! but no other order of the members of a row or a deletion, and no member twice.
//!
//! # The record's id
//! Each value of ours ends with the member `_ferry`: a string `<source>.<epoch>.<seq>`, without
//! escapes. What has this member is ours, what has it not was written by others. An epoch is at
//! least 1 and before the year 2500 in microseconds since 1970; a seq is from 1 to 2^63-1. Both
//! stand in decimal, with neither sign nor leading zeros.
//!
//! ```json refused
//! {"id":1,"_ferry":"s.7"}  no stamp
//! {"id":1,"_ferry":"s.0.1"}  no stamp
//! {"id":1,"_ferry":"s.7.0"}  no stamp
//! {"id":1,"_ferry":"s.07.1"}  no stamp
//! {"id":1,"_ferry":"s.7.9223372036854775808"}  no stamp
//! {"id":1,"_ferry":"s.16725225600000000.1"}  no stamp
//! {"id":1,"_ferry":"\u0073.7.1"}  no stamp
//! {"id":1,"_ferry":7}  no stamp
//! ```
//!
//! What the numbers mean, when a record is skipped and when records are missing, is the matter of
//! `sequence`.
//!
//! # Values
//! A value comes back in its storage class and with all of its bits. Left as it travels, right as
//! SQLite has it:
//!
//! ```json values
//! null  NULL
//! 42  42
//! -9223372036854775808  -9223372036854775807 - 1
//! 1.0  1.0
//! -0.0  -0.0
//! 0.1  0.1
//! 1e+16  1e16
//! 5e-324  5e-324
//! {"$real":"inf"}  9e999
//! {"$real":"-inf"}  -9e999
//! "Ann said \"hi\""  'Ann said "hi"'
//! "größe"  'größe'
//! "a\u0000b"  'a' || char(0) || 'b'
//! {"$text":"/w=="}  CAST(x'ff' AS TEXT)
//! {"$blob":"AAH/"}  x'0001ff'
//! {"$blob":""}  x''
//! ```
//!
//! - An integer has neither point nor exponent, a real has at least one of them.
//! - A tagged object has one member and no other, so no value of a row looks like one. `$text` is
//!   for bytes that are not UTF-8. Base64 is that of RFC 4648 with padding, and spelled in one way
//!   alone.
//!
//! ```json refused
//! {"id":1,"name":"Ann","photo":{"$blob":"AAH"},"_ferry":"s.7.2"}  are not the columns
//! {"id":1,"name":"Ann","photo":{"$blob":"AAH_"},"_ferry":"s.7.2"}  are not the columns
//! {"id":1,"name":"Ann","photo":{"$real":"nan"},"_ferry":"s.7.2"}  are not the columns
//! {"id":1,"name":"Ann","photo":[1],"_ferry":"s.7.2"}  are not the columns
//! {"id":1e999,"name":"Ann","photo":null,"_ferry":"s.7.2"}  are not the columns
//! ```
//!
//! # Keys
//! The key of a row is an object of the columns of the primary key, in the key's order. A table
//! without a primary key has `rowid` for its only member. The key's values are written as in a row.
//!
//! ```json keys
//! {"id":1}
//! {"shop":"north","number":7}
//! {"rowid":12}
//! {"hash":{"$blob":"AAH/"}}
//! ```
//!
//! Records of one key stay in one partition: murmur2 of the key's bytes modulo the number of
//! partitions, as Java's client has it. What SQLite takes for one key must meet there, so what is
//! hashed is folded. Under NOCASE ASCII letters are small, and behind a zero byte all bytes are
//! zero; under RTRIM there are no spaces at the end; a real that is an integer is written as one.
//! The record's key itself, and the key of a table without a primary key, stay as they are. By
//! collation, the key and what is hashed:
//!
//! ```json folded
//! BINARY  {"id":"Ann "}  {"id":"Ann "}
//! BINARY  {"id":1.0}  {"id":1}
//! BINARY  {"id":1.5}  {"id":1.5}
//! NOCASE  {"id":"ANN "}  {"id":"ann "}
//! NOCASE  {"id":"A\u0000BC"}  {"id":"a\u0000\u0000\u0000"}
//! RTRIM  {"id":"Ann  "}  {"id":"Ann"}
//! ```
//!
//! # Rows
//! The columns in the table's order, then the id. The row is as it was when it was read: several
//! changes may have become one record. Of a table without a primary key the rowid stands in the key
//! alone.
//!
//! ```json records
//! {"_schema":"notes"}
//! {"_schema":{"table":"notes","columns":[{"name":"text"}]},"_run":{"acked":null,"full":false,
//!   "partitions":3},"_ferry":"5f2c1a9b03de.1767225600000000.1"}
//!
//! {"rowid":12}
//! {"text":"no key of its own","_ferry":"5f2c1a9b03de.1767225600000000.2"}
//! ```
//!
//! A row whose members are not exactly the columns of the schema in force is refused:
//!
//! ```json refused
//! {"id":1,"name":"Ann","_ferry":"s.7.2"}  are not the columns
//! {"id":1,"photo":null,"name":"Ann","_ferry":"s.7.2"}  are not the columns
//! {"id":1,"name":"Ann","photo":null,"age":7,"_ferry":"s.7.2"}  are not the columns
//! {"id":1,"id":1,"name":"Ann","photo":null,"_ferry":"s.7.2"}  stands twice
//! ```
//!
//! # Deletions and tombstones
//! A deletion is the key's members in the key's order, `__deleted`, which is `true` and nothing
//! else, and the id. A tombstone follows it, with the same key and a null value, for compaction and
//! for others who read the topic. It has no number. A reader that finds it alone knows that records
//! are missing before it. An empty value is none of these, and no row.
//!
//! ```json refused
//! {"id":1,"__deleted":false,"_ferry":"s.7.2"}  "__deleted" is false
//! {"name":"Ann","__deleted":true,"_ferry":"s.7.2"}  the key's members are not those
//! ```
//!
//! # Schema records
//! The first record of an epoch in each partition, and the first after the table has changed, tells
//! the table's schema. Its key has the one member `_schema` with the table's name; so have the
//! records that end a pass, with `_pass`. In the schema only what differs from the usual is
//! written:
//!
//! | member | meaning | left out |
//! |---|---|---|
//! | `table` | the table's name | never |
//! | `id` | what tells the table from others of its source, whatever it is called | unknown |
//! | `columns` | all columns in their order | never |
//! | `strict`, `without_rowid` | as SQLite has them | false |
//! | `own_rowid` | the only key column is declared INTEGER, and yet not the rowid | false |
//! | column: `name` | its name | never |
//! | column: `type` | the declared type as it stands | none is declared |
//! | column: `pk` | its place in the primary key, from 1 | not in it |
//! | column: `collation` | NOCASE or RTRIM | BINARY |
//! | column: `pk_collation` | the one by which the primary key compares it | BINARY |
//!
//! ```json records
//! {"_schema":"tills"}
//! {"_schema":{"table":"tills","id":"tills-1f00ab27","columns":[{"name":"number","type":"INT",
//!   "pk":2},{"name":"shop","type":"VARCHAR(20)","pk":1,"collation":"RTRIM",
//!   "pk_collation":"NOCASE"}],"strict":true,"without_rowid":true},"_run":{"acked":null,
//!   "full":false,"partitions":3},"_ferry":"5f2c1a9b03de.1767225600000000.1"}
//!
//! {"shop":"north","number":7}
//! {"number":7,"shop":"north","_ferry":"5f2c1a9b03de.1767225600000000.2"}
//!
//! {"shop":"north","number":7}
//! {"shop":"north","number":7,"__deleted":true,"_ferry":"5f2c1a9b03de.1767225600000000.3"}
//! ```
//!
//! ```json records
//! {"_schema":"odd"}
//! {"_schema":{"table":"odd","columns":[{"name":"id","type":"INTEGER","pk":1}],"own_rowid":true},
//!   "_run":{"acked":null,"full":false},"_ferry":"5f2c1a9b03de.1767225600000000.1"}
//! ```
//!
//! # The run header
//! The first record of an epoch in a partition, a schema record, says of its run in `_run`:
//!
//! - `acked`: `<epoch>.<seq>`, the last record of this partition that the source noted as
//!   acknowledged, of an older epoch; or null
//! - `full`: whether the whole table follows
//! - `partitions`: how many partitions the run spreads its rows over, more than this one's number;
//!   earlier versions leave it out
//! - `moved`: the epoch at which keys last moved between partitions, because their number had
//!   changed, which is not above the run's own; left out when they never did
//!
//! ```json records
//! {"_schema":"users"}
//! {"_schema":{"table":"users","columns":[{"name":"id","type":"INTEGER","pk":1},{"name":"name",
//!   "type":"TEXT"},{"name":"photo"}]},"_run":{"acked":"1767225600000000.4","full":false,
//!   "partitions":5,"moved":1767225700000000},"_ferry":"5f2c1a9b03de.1767225700000000.1"}
//! ```
//!
//! ```json refused
//! {"_schema":{"table":"t","columns":[]},"_run":{"acked":"7","full":true},
//!   "_ferry":"s.7.1"}  acked is "7"
//! {"_schema":{"table":"t","columns":[]},"_run":{"acked":"6.0","full":true},
//!   "_ferry":"s.7.1"}  acked is "6.0"
//! {"_schema":{"table":"t","columns":[]},"_run":{"acked":null},
//!   "_ferry":"s.7.1"}  missing field `full`
//! {"_schema":{"table":"t","columns":[]},"_run":{"acked":null,"full":true,"partitions":0},
//!   "_ferry":"s.7.1"}  0 partitions
//! {"_schema":{"table":"t","columns":[]},"_run":{"acked":null,"full":true,"moved":0},
//!   "_ferry":"s.7.1"}  no run has the number 0
//! {"_schema":{"columns":[]},"_ferry":"s.7.1"}  missing field `table`
//! ```
//!
//! # Full passes
//! A full pass sends all rows of the table: it begins with a schema record that names it in
//! `_pass`, and ends with a record of its own, both in every partition. When all of its ends have
//! landed, the rows that it did not touch are removed. The first pass of a run has the epoch for
//! its number and the next ones follow; a run begins fewer than 2^32.
//!
//! ```json refused
//! {"_pass":{"end":0},"_ferry":"s.7.1"}  can have begun no pass 0
//! {"_pass":{"end":4294967303},"_ferry":"s.7.1"}  can have begun no pass 4294967303
//! {"_pass":{"begin":7},"_ferry":"s.7.1"}  names no end
//! {"_schema":{"table":"t","columns":[]},"_pass":{"begin":0},
//!   "_ferry":"s.7.1"}  can have begun no pass 0
//! ```
//!
//! # Placeholders
//! A record that the broker refuses as too large must not leave a hole in the numbers. In its
//! place, with its id, the producer sends a placeholder: the first 200 characters of the record's
//! key, and why. It changes no row. In the place of a refused tombstone its value is null.
//!
//! ```json records
//! {"_kept":"{\"id\":1}"}
//! {"_kept":{"key":"{\"id\":1}","reason":"the broker refuses it"},
//!   "_ferry":"5f2c1a9b03de.1767225700000000.2"}
//! ```
//!
//! # Signatures
//! With `--sign-key` the member `_sig` stands before the id in each value of ours. It is the base64
//! of an HMAC-SHA-256 with the bytes of the key file, without line feeds and carriage returns at
//! its end, over these bytes, one after the other:
//!
//! 1. the text `rowferry 1` and a zero byte
//! 2. the topic's name behind its length, 8 bytes little endian
//! 3. the partition, 4 bytes little endian
//! 4. the record's key behind its length, 8 bytes little endian
//! 5. the value without the member `_sig`, to its end
//!
//! A file that holds `0123456789abcdef0123456789abcdef` signs in topic `users`, partition 0:
//!
//! ```json signed
//! {"id":1}
//! {"id":1,"v":"x","_sig":"5KETMaLLCP7UaE9OO9/l/YnK0PQnt6W39Zj+zwL9W9E=","_ferry":"s.5.7"}
//! ```
//!
//! A reader with a key refuses what is not signed by it, before it reads anything else of it. A
//! tombstone has no value that could carry a signature: it is never believed there. A reader
//! without a key ignores the member.
//!
//! # What a reader ignores
//! Members that it does not know, in a schema record, a pass's end and a placeholder, and inside of
//! their own members. A later version can tell more in them. In a row or a deletion they are
//! refused.
//!
//! ```json ignored
//! {"_schema":{"table":"t","columns":[{"name":"a","new":1}],"new":[2]},"_run":{"acked":null,
//!   "full":true,"new":3},"new":4,"_ferry":"s.7.1"}
//! {"_pass":{"end":7,"new":1},"new":2,"_ferry":"s.7.1"}
//! {"_kept":{"key":"","reason":"","new":1},"new":2,"_ferry":"s.7.1"}
//! ```
//!
//! # Others' records
//! An object without the member `_ferry` is a row of others. Its members go to columns by their
//! names, without a declared type. Left the record, right what SQLite gets:
//!
//! ```json others
//! {"id":1,"name":"Ann"}  1 AS id, 'Ann' AS name
//! { "yes": true, "no": false }  1 AS yes, 0 AS no
//! {"list":[1, 2],"more":{"x":{}}}  '[1, 2]' AS list, '{"x":{}}' AS more
//! {"photo":{"$blob":"AAH/"}}  x'0001ff' AS photo
//! {"big":18446744073709551615,"minus":-0}  18446744073709551615 AS big, -0.0 AS minus
//! ```
//!
//! The key is an object, a bare JSON scalar, or any other text; the latter two land in the column
//! `_key`. No key means a row without a key, and no value a deletion.
//!
//! ```json keys-of-others
//! {"id":1}  1 AS id
//! 17  17 AS _key
//! "till-1"  'till-1' AS _key
//! till-1  'till-1' AS _key
//! ```
//!
//! ```json refused
//! [1,2]  no JSON object
//! {"id":1} x  trailing
//! {"id":1,"id":2}  stands twice
//! {"id":1e999}  out of range
//! ```
//!
//! # Limits
//! - Names: a table's is not empty and does not begin with `sqlite_` or `_rowferry_`. A table's and
//!   a column's hold no zero byte. Two columns differ by more than the case of ASCII letters. No
//!   column is called as one of the reserved members in `names`.
//! - A table has at most 2000 columns, one less where the rowid is its key.
//! - Others' JSON is at most 128 levels deep.
//! - A record is as large as the topic allows: see placeholders.

mod base64;
pub mod decode;
pub mod encode;
pub(crate) mod fingerprint;
pub(crate) mod names;
mod object;
mod record;
pub mod rows;
mod scan;
pub(crate) mod schema;
pub mod sign;
mod table_records;
mod text;
mod value;

pub(crate) use value::write_str as json_string;

#[cfg(test)]
mod spec;
#[cfg(test)]
mod tests;
