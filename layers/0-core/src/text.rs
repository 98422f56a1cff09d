//! Text that somebody else wrote, shown so that it cannot deceive: what may be invisible, reorder its surroundings or imitate them
//! is written out as `\u{…}`.
//!
//! The escaping is injective: two different texts never look the same to a reader who compares characters. It does not see
//! look-alike letters (Latin `a` and Cyrillic `а`), and it leaves the letters of right-to-left scripts as they are.
//!
//! Source: `spec/documents.md` §4.

mod visible;

use std::fmt::Write as _;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Most combining marks that stand in a row unescaped; more are used to paint over the lines around.
const MARKS_MAX: usize = 4;

/// Whether a character is shown as itself: it has ink, it does not act on others, and Unicode 16.0 knows it. The space is not such
/// a character: whether it is shown as itself depends on where it stands.
pub fn is_visible(c: char) -> bool {
    if c.is_ascii() {
        // Most text, and the table says the same.
        return c.is_ascii_graphic() && c != '\\';
    }
    in_table(c)
}

fn in_table(c: char) -> bool {
    let code = u32::from(c);
    let after = visible::VISIBLE.partition_point(|(first, _)| *first <= code);
    after > 0 && code <= visible::VISIBLE[after - 1].1
}

/// One line as it is shown. What stands for itself stays; a backslash becomes `\\`; everything else becomes `\u{…}` with the code
/// point in lower-case hexadecimal: invisible characters, a space at the end or after a space, a combining mark with nothing to
/// sit on. At most `indent_max` spaces at the beginning stay as they are. The result never holds a line break.
pub fn escape(line: &str, indent_max: usize) -> String {
    let mut out = String::with_capacity(line.len());
    let mut before: Option<char> = None;
    let mut base = false;
    let (mut indent, mut marks) = (0, 0);
    let mut chars = line.nfc().peekable();
    while let Some(c) = chars.next() {
        let inked = is_visible(c);
        marks = if is_combining_mark(c) { marks + 1 } else { 0 };
        let plain = match c {
            ' ' if before.is_none_or(|b| b == ' ') => {
                indent < indent_max && indent_is_open(&out) && chars.peek().is_some()
            }
            ' ' => chars.peek().is_some(),
            _ if marks > 0 => inked && base && marks <= MARKS_MAX,
            _ => inked,
        };
        match c {
            '\\' => out.push_str("\\\\"),
            c if plain => out.push(c),
            c => write!(out, "\\u{{{:x}}}", u32::from(c)).expect("writing to a string cannot fail"),
        }
        indent += usize::from(c == ' ');
        base = plain && c != ' ';
        before = Some(c);
    }
    out
}

/// Whether `line` is not empty and is shown as it stands.
pub fn is_plain_line(line: &str) -> bool {
    !line.is_empty() && escape(line, 0) == line
}

fn indent_is_open(out: &str) -> bool {
    out.bytes().all(|b| b == b' ')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_short_way_for_ascii_agrees_with_the_table() {
        assert!((0..0x100_u32).filter_map(char::from_u32).all(|c| is_visible(c) == in_table(c)));
    }

    // A value that turns the reading direction, hides a character or opens a line of its own cheats the reader.
    #[test]
    fn what_deceives_is_written_out() {
        for (value, shown) in [
            ("plain text, 12.00 EUR", "plain text, 12.00 EUR"),
            ("Käse für Übermorgen", "Käse für Übermorgen"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("a\u{200b}b\u{2066}", "a\\u{200b}b\\u{2066}"),
            ("one\ntwo\r\t", "one\\u{a}two\\u{d}\\u{9}"),
            ("back\\slash \\u{20}", "back\\\\slash \\\\u{20}"),
            (" a  b ", "\\u{20}a \\u{20}b\\u{20}"),
            ("\u{a0}\u{3000}\u{2028}", "\\u{a0}\\u{3000}\\u{2028}"),
            ("\u{301}x", "\\u{301}x"),
            ("x \u{301}", "x \\u{301}"),
            ("\u{e000}\u{378}\u{feff}\u{ad}", "\\u{e000}\\u{378}\\u{feff}\\u{ad}"),
            ("\u{e0041}\u{3164}\u{2800}\u{fe0f}", "\\u{e0041}\\u{3164}\\u{2800}\\u{fe0f}"),
            ("x\u{35c}\u{35c}\u{35c}\u{35c}\u{35c}", "x\u{35c}\u{35c}\u{35c}\u{35c}\\u{35c}"),
        ] {
            assert_eq!(escape(value, 0), shown, "{value:?}");
        }
    }

    #[test]
    fn an_indent_stays_up_to_its_limit() {
        assert_eq!(escape("   x", 2), "  \\u{20}x");
        assert_eq!(escape("  x  y", 8), "  x \\u{20}y");
        assert_eq!(escape("  ", 8), " \\u{20}");
    }

    #[test]
    fn the_visible_ranges_are_in_order_and_apart() {
        assert!(visible::VISIBLE.windows(2).all(|pair| pair[0].0 <= pair[0].1 && pair[0].1 + 1 < pair[1].0));
    }
}
