//! Every name that the wire keeps for itself, once, in the spellings in which writers and readers
//! need it. What each of them means is written down in `wire`.

/// A reserved name, and how a member of that name begins in an object without spaces.
pub(crate) struct Member {
    pub(crate) name: &'static str,
    /// `{"name":`
    pub(crate) first: &'static str,
    /// `,"name":`
    pub(crate) next: &'static str,
    /// `,"name":"`, for a member whose value is a string.
    pub(crate) next_string: &'static str,
}

macro_rules! member {
    ($name:literal) => {
        Member {
            name: $name,
            first: concat!("{\"", $name, "\":"),
            next: concat!(",\"", $name, "\":"),
            next_string: concat!(",\"", $name, "\":\""),
        }
    };
}

/// The record's id: the last member of each value of ours.
pub(crate) const RECORD_ID: Member = member!("_ferry");
pub(crate) const SIGNATURE: Member = member!("_sig");
pub(crate) const SCHEMA: Member = member!("_schema");
pub(crate) const RUN: Member = member!("_run");
pub(crate) const PASS: Member = member!("_pass");
/// The member of a placeholder: the record in its place was kept back by the producer.
pub(crate) const PLACEHOLDER: Member = member!("_kept");
pub(crate) const DELETED: Member = member!("__deleted");

/// The names that no column of a table can have.
pub(crate) const RESERVED: [&str; 7] = [
    RECORD_ID.name,
    SIGNATURE.name,
    DELETED.name,
    SCHEMA.name,
    PASS.name,
    RUN.name,
    PLACEHOLDER.name,
];

/// The tags of values that JSON cannot hold.
pub(crate) const BLOB: Member = member!("$blob");
pub(crate) const REAL: Member = member!("$real");
pub(crate) const TEXT: Member = member!("$text");

/// What `REAL` can say.
pub(crate) const INFINITY: &str = "inf";
pub(crate) const NEGATIVE_INFINITY: &str = "-inf";

/// The column in which a bare key of others lands.
pub(crate) const BARE_KEY: &str = "_key";
