//! What came from outside, shown to a person: a name, a key or a broker's words must not steer a
//! terminal, begin a line of their own or turn the text around. This is the one home of that rule.
//! A log line, an error and a line of `say` pass through it as a whole, so that nobody who writes a
//! message has to think of it.

use std::borrow::Cow;

/// Whether a character acts on what stands around it: C0, DEL, C1, what ends a line or a paragraph,
/// and what sets the direction of text.
pub(crate) fn acts(c: char) -> bool {
    let sets_direction =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || sets_direction || matches!(c, '\u{2028}' | '\u{2029}')
}

/// The text on one line, with `\n` or `\u{1b}` in the place of each character that would act.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    for c in text.chars() {
        if acts(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_act_is_shown_instead() {
        assert_eq!(
            escape("a\n\r\tb\u{1b}[2J\0\u{7f}\u{9b}1m\u{202e}c\u{2028}"),
            "a\\n\\r\\tb\\u{1b}[2J\\u{0}\\u{7f}\\u{9b}1m\\u{202e}c\\u{2028}"
        );
        let plain = "größe \"x\" \\n 👩‍💻 שלום";
        assert!(matches!(escape(plain), Cow::Borrowed(same) if same == plain));
    }

    #[test]
    fn what_is_escaped_stays_as_it_is() {
        let once = escape("\u{1b}\n\u{85}").into_owned();
        assert_eq!(escape(&once), once);
    }
}
