//! SQL as SQLite keeps it, cut into its parts: just as far as `source::replace_conflicts` needs it.

/// The expression in a generated column's definition.
pub(crate) fn expression(definition: &str) -> Option<&str> {
    let (mut depth, mut start, mut after_as) = (0, None, false);
    for (at, token) in placed(definition).skip(1) {
        match token {
            "(" => {
                if depth == 0 && after_as {
                    start = Some(at + 1);
                }
                depth += 1;
            }
            ")" => {
                depth -= 1;
                if let (0, Some(start)) = (depth, start) {
                    return Some(&definition[start..at]);
                }
            }
            _ => {}
        }
        after_as = depth == 0 && token.eq_ignore_ascii_case("as");
    }
    None
}

/// A name without its quotes.
pub(crate) fn bare(token: &str) -> String {
    let inner = |token: &str| token[1..token.len() - 1].to_string();
    match token.as_bytes() {
        [quote @ (b'"' | b'`' | b'\''), .., last] if quote == last => {
            let quote = &token[..1];
            inner(token).replace(&quote.repeat(2), quote)
        }
        [b'[', .., b']'] => inner(token),
        _ => token.to_string(),
    }
}

/// The terms of a CREATE INDEX statement as they stand, without their direction, and its WHERE.
pub(crate) fn parts(sql: &str) -> (Vec<&str>, Option<&str>) {
    let (mut terms, mut filter) = (Vec::new(), None);
    let (mut depth, mut start) = (0, 0);
    for (at, token) in placed(sql) {
        match token {
            "(" => {
                depth += 1;
                if depth == 1 {
                    start = at + 1;
                }
            }
            "," | ")" if depth == 1 => {
                terms.push(undirected(&sql[start..at]));
                start = at + 1;
                depth -= i32::from(token == ")");
            }
            ")" => depth -= 1,
            word if depth == 0 && !terms.is_empty() && word.eq_ignore_ascii_case("where") => {
                filter = Some(sql[at + word.len()..].trim());
                break;
            }
            _ => {}
        }
    }
    (terms, filter)
}

/// A term without ASC or DESC at its end.
fn undirected(term: &str) -> &str {
    let term = term.trim();
    match tokens(term).last() {
        Some(last) if last.eq_ignore_ascii_case("asc") || last.eq_ignore_ascii_case("desc") => {
            term[..term.len() - last.len()].trim_end()
        }
        _ => term,
    }
}

/// The SQL with a space for each comment.
pub(crate) fn without_comments(sql: &str) -> String {
    let (mut out, mut end) = (String::new(), 0);
    for (at, token) in placed(sql) {
        out.push_str(if at > end { " " } else { "" });
        out.push_str(token);
        end = at + token.len();
    }
    out
}

/// Cuts SQL into words, quoted names and texts, and single signs; spaces and comments are left out.
pub(crate) fn tokens(sql: &str) -> impl Iterator<Item = &str> {
    placed(sql).map(|(_, token)| token)
}

/// The tokens with the places at which they begin.
fn placed(sql: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = &sql[at..];
            at += rest.len() - rest.trim_start().len();
            let rest = &sql[at..];
            let end = |mark: &str| rest[2..].find(mark).map_or(rest.len(), |i| i + 2 + mark.len());
            match rest {
                comment if comment.starts_with("--") => at += end("\n"),
                comment if comment.starts_with("/*") => at += end("*/"),
                _ => break,
            }
        }
        let (begin, length) = (at, length_of_token(&sql[at..])?);
        at += length;
        Some((begin, &sql[begin..at]))
    })
}

fn length_of_token(text: &str) -> Option<usize> {
    let first = text.chars().next()?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii();
    Some(match first {
        '[' => text.find(']').map_or(text.len(), |i| i + 1),
        '"' | '`' | '\'' => {
            // A doubled quote reads as the end of one piece and the beginning of the next.
            let mut end = 0;
            while text[end..].starts_with(first) {
                end = text[end + 1..].find(first).map_or(text.len(), |i| end + 1 + i + 1);
            }
            end
        }
        _ if is_word(first) => text.find(|c| !is_word(c)).unwrap_or(text.len()),
        _ => first.len_utf8(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_cut_into_its_terms_and_its_filter() {
        let sql = "CREATE UNIQUE INDEX \"i(\"\"x\" ON t(lower(a) /* ) */ DESC, [b,], 'it''s, (' || \"c)\" COLLATE nocase asc)\n\
                   WHERE a > 0 -- end";
        let sql = without_comments(sql);
        let (terms, filter) = parts(&sql);
        assert_eq!(terms, ["lower(a)", "[b,]", "'it''s, (' || \"c)\" COLLATE nocase"]);
        assert_eq!(filter, Some("a > 0"));
        assert_eq!(parts(""), (vec![], None));
    }

    #[test]
    fn a_generated_columns_expression_is_found() {
        for definition in [
            "g AS (a || (b))",
            "\"as\" TEXT(9) CHECK (CAST(a AS INT) > (0)) GENERATED ALWAYS AS(a || (b)) STORED",
        ] {
            assert_eq!(expression(definition), Some("a || (b)"));
        }
        assert_eq!(expression("\"as\" (b)"), None);
        assert_eq!(expression(""), None);
    }
}
