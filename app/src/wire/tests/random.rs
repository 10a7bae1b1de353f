//! Rows made of chance: both readers agree with the writer.

use super::*;

/// Numbers for a property test: always the same ones.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    /// Text in which everything stands that JSON escapes, and what looks like an escape.
    fn text(&mut self, longest: usize) -> String {
        const PARTS: [&str; 22] = [
            "a",
            "Z",
            "7",
            "\"",
            "\\",
            "\\n",
            "\\u0041",
            "\\\"",
            "\n",
            "\r",
            "\t",
            "\u{1}",
            "\u{1f}",
            "\u{7f}",
            "\u{80}",
            "\u{e9}",
            "\u{2028}",
            "\u{1f980}",
            "\":",
            ",\"",
            "{",
            "}",
        ];
        (0..self.below(longest + 1))
            .map(|_| PARTS[self.below(PARTS.len())])
            .collect()
    }

    fn value(&mut self) -> Value<'static> {
        match self.below(6) {
            0 => Value::Null,
            1 => Value::Integer(self.below(1 << 20) as i64 - (1 << 19)),
            2 => Value::Real(self.below(1 << 20) as f64 / 64.0),
            3 => Value::Blob(self.text(6).into_bytes().into()),
            4 => Value::Text(b"\xff\xfe".as_slice().into()),
            _ => Value::Text(self.text(12).into_bytes().into()),
        }
    }
}

/// A row as the reader of names has it, where the fast one must not differ.
fn read_by_name(json: &str, schema: &TableSchema) -> Option<Vec<Value<'static>>> {
    // A space is nothing to JSON, and the fast reader reads none.
    let spaced = json.replacen('{', "{ ", 1);
    match decode::record(spaced.as_bytes(), Some(schema), Vec::new()) {
        Ok(Record::Row { row, .. }) => Some(row.into_iter().map(Value::into_owned).collect()),
        _ => None,
    }
}

#[test]
fn both_readers_agree_with_the_writer_whatever_columns_are_called() {
    let mut chance = Chance(7);
    for round in 0..20_000 {
        let mut names: Vec<String> = (0..=chance.below(4)).map(|_| chance.text(5)).collect();
        names.sort_unstable();
        names.dedup();
        let schema = TableSchema {
            columns: names
                .iter()
                .map(|name| column(name, "", usize::from(*name == names[0]), "BINARY"))
                .collect(),
            ..schema()
        };
        let row: Vec<Value<'_>> = names.iter().map(|_| chance.value()).collect();
        let mut json = Vec::new();
        Encoder::new(schema.clone().into(), "s0", 7).row(&row, 12, &mut json);
        let json = String::from_utf8(json).unwrap();
        let mut fast = Vec::new();
        let id = crate::wire::scan::row(&json, &schema, |found| fast.push(found.value()));
        assert_eq!((id, &fast), (Some("s0.7.12"), &row), "round {round}: {json}");
        assert_eq!(
            read_by_name(&json, &schema).as_ref(),
            Some(&row),
            "round {round}: {json}"
        );
    }
}

#[test]
fn the_fast_reader_takes_no_other_name_for_a_column() {
    let mut chance = Chance(9);
    for round in 0..50_000 {
        // A member as somebody else may write it, and a column that is called as the member is
        // spelled, or nearly so.
        let spelled = chance.text(4);
        let name = if chance.below(2) == 0 {
            spelled.clone()
        } else {
            chance.text(4)
        };
        let schema = TableSchema {
            columns: vec![column(&name, "", 1, "BINARY")],
            ..schema()
        };
        let json = format!("{{\"{spelled}\":1,\"_ferry\":\"s.7.1\"}}");
        let mut fast = Vec::new();
        if crate::wire::scan::row(&json, &schema, |found| fast.push(found.value()))
            .and_then(crate::wire::scan::record_id)
            .is_some()
        {
            assert_eq!(
                Some(fast),
                read_by_name(&json, &schema),
                "round {round}: {json} for {name:?}"
            );
        }
    }
}
