//! What other people are called. Whoever chooses a name may choose it so that it looks like somebody else's.
//!
//! What is invisible or acts on its surroundings is written out ([`semper_core::text::escape`]); letters of several scripts in one word, and
//! names that look like another name, are pointed out (Unicode Technical Standard 39, `spec/documents.md` §4).

use maud::{Markup, html};
use semper_core::text::escape;
use unicode_security::confusable_detection::skeleton;
use unicode_security::{RestrictionLevel, RestrictionLevelDetection as _};

use crate::Language;

/// A name as it is shown: isolated, with nothing hidden, and with a warning where a word mixes scripts.
pub fn show(language: Language, name: &str) -> Markup {
    html! {
        bdi.name { (escape(name, 0)) }
        @if mixes_scripts(name) {
            " " span.warning { (language.text("name-mixes-scripts")) }
        }
    }
}

/// Whether a word of the name has letters of scripts that nobody writes together (UTS 39 §5.2, beyond "highly restrictive").
pub fn mixes_scripts(name: &str) -> bool {
    let words = name.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty());
    words.into_iter().any(|word| word.detect_restriction_level() > RestrictionLevel::HighlyRestrictive)
}

/// Whether two different names look the same (UTS 39 §4).
pub fn look_alike(one: &str, other: &str) -> bool {
    one != other && skeleton(one).eq(skeleton(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    // "Аlice" with a Cyrillic first letter must not pass for Alice.
    #[test]
    fn names_that_imitate_others_are_pointed_out() {
        let (honest, cyrillic) = ("Alice Bank", "\u{410}lice Bank");
        assert!(!mixes_scripts(honest) && mixes_scripts(cyrillic));
        assert!(look_alike(honest, cyrillic) && !look_alike(honest, honest) && !look_alike(honest, "Bob"));
        // A whole name in another script mixes nothing, but may look like another.
        let whole = "\u{440}\u{430}\u{443}";
        assert!(!mixes_scripts(whole) && look_alike(whole, "pay"));
        for honest in ["Müller & Söhne", "Ελλάδα", "東京タワー", "Москва 24", "Sony ソニー", "O'Neill-Smith", "C3PO"]
        {
            assert!(!mixes_scripts(honest), "{honest}");
        }
    }

    #[test]
    fn nothing_in_a_name_is_hidden() {
        let shown = show(Language::English, "Bob\u{202e}knaB <b>").into_string();
        assert_eq!(shown, "<bdi class=\"name\">Bob\\u{202e}knaB &lt;b&gt;</bdi>");
        let warned = show(Language::English, "\u{410}lice").into_string();
        assert!(warned.contains("class=\"warning\""), "{warned}");
    }
}
