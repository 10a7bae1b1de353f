//! In which order the records of a round land: a partition's as they stand in the log, and among
//! partitions by key. So a table grows at its end, where landing one partition after the other
//! would split its pages for the rows that the first one left out.

use std::ops::Range;

use crate::broker::FetchedPartition;
use crate::wire::rows::DecodedRows;

/// Partitions that land beside one another: of more, finding the next record takes longer than it
/// spares.
const BESIDE: usize = 16;

/// Records of one part of a round, one after the other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The place of the part in its round.
    pub(crate) part: usize,
    pub(crate) records: Range<usize>,
}

/// All records of a round's parts.
pub(crate) fn order(parts: &[(FetchedPartition, DecodedRows)]) -> Vec<Span> {
    let comes_twice = |(i, (fetched, _)): (usize, &(FetchedPartition, DecodedRows))| {
        let mut before = parts[..i].iter();
        before.any(|(before, _)| before.at() == fetched.at())
    };
    // Two answers of one partition stay in their order.
    let beside = if parts.iter().enumerate().any(comes_twice) {
        1
    } else {
        BESIDE
    };
    let mut spans = Vec::new();
    for first in (0..parts.len()).step_by(beside) {
        let some = first..parts.len().min(first + beside);
        let lengths = some.map(|part| (part, parts[part].0.len())).collect();
        merge(lengths, |part, at| parts[part].1.key(at), &mut spans);
    }
    spans
}

/// Adds the spans of some parts, given with their lengths, in the order of their keys. What has no
/// key is next in any case.
fn merge(lengths: Vec<(usize, usize)>, key: impl Fn(usize, usize) -> Option<i64>, spans: &mut Vec<Span>) {
    struct Open {
        part: usize,
        length: usize,
        at: usize,
        key: Option<i64>,
    }
    let open = |(part, length)| Open {
        part,
        length,
        at: 0,
        key: key(part, 0),
    };
    let mut open: Vec<Open> = lengths.into_iter().map(open).collect();
    while let Some(place) = (0..open.len()).min_by_key(|&place| open[place].key) {
        let others = open.iter().enumerate().filter(|(other, _)| *other != place);
        let until = others.map(|(_, other)| other.key).min();
        let Open { part, length, at, .. } = open[place];
        let is_next = |at: &usize| until.is_none_or(|until| key(part, *at) <= until);
        let end = (at + 1..length).find(|at| !is_next(at)).unwrap_or(length);
        spans.push(Span { part, records: at..end });
        if end < length {
            (open[place].at, open[place].key) = (end, key(part, end));
        } else {
            open.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(parts: &[&[Option<i64>]]) -> Vec<(usize, Range<usize>)> {
        let mut spans = Vec::new();
        let lengths = parts.iter().map(|part| part.len()).enumerate().collect();
        merge(lengths, |part, at| parts[part].get(at).copied().flatten(), &mut spans);
        spans.into_iter().map(|span| (span.part, span.records)).collect()
    }

    #[test]
    fn records_of_several_partitions_come_by_key_and_in_runs() {
        let parts = [
            &[Some(1), Some(2), Some(7)][..],
            &[Some(3), Some(9)],
            &[Some(4), Some(5), Some(6)],
        ];
        assert_eq!(merged(&parts), [(0, 0..2), (1, 0..1), (2, 0..3), (0, 2..3), (1, 1..2)]);
    }

    #[test]
    fn a_partitions_own_order_stays_whatever_its_keys_are() {
        let parts = [
            &[Some(5), Some(1), None, Some(4)][..],
            &[Some(2), Some(2)],
            &[],
            &[None],
        ];
        let spans = merged(&parts);
        for (part, records) in parts.iter().enumerate() {
            let of_part = spans
                .iter()
                .filter(|(of, _)| *of == part)
                .map(|(_, records)| records.clone());
            assert_eq!(
                of_part.clone().flatten().collect::<Vec<_>>(),
                (0..records.len()).collect::<Vec<_>>()
            );
            assert!(of_part.count() > 0, "part {part} is told of though it is empty");
        }
        assert_eq!(spans[..2], [(2, 0..0), (3, 0..1)]);
    }
}
