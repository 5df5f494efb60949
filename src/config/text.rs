//! Bits of a rule file in messages: short, printable, in backticks; and the word that was probably meant.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::escape;

/// The longest piece of a text that a message repeats, characters.
const SHOWN_MAX: usize = 80;

/// The longest path that a message repeats, bytes; the end of it tells more than the beginning.
const PATH_SHOWN_MAX: usize = 240;

/// A text of the rule file for a message, in backticks.
pub fn shown(text: &str) -> String {
    let cut = text.char_indices().nth(SHOWN_MAX).map_or(text.len(), |(offset, _)| offset);
    let more = if cut < text.len() { "…" } else { "" };
    format!("`{}{more}`", escape::line(&text[..cut]))
}

/// A path for a message.
pub fn shown_path(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    match bytes.len().checked_sub(PATH_SHOWN_MAX) {
        None | Some(0) => escape::path(path).into_owned(),
        Some(cut) => format!("…{}", escape::text(&bytes[cut..])),
    }
}

/// The known word that is nearest to an unknown one, if it is near enough to be meant.
pub fn nearest<'k>(unknown: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    // A long text is no misspelt word, and comparing it would take long.
    if unknown.len() > 64 {
        return None;
    }
    let unknown = unknown.to_ascii_lowercase().replace('_', "-");
    let distance_max = match unknown.chars().count() {
        0 | 1 => 0,
        2..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    known
        .map(|word| (strsim::damerau_levenshtein(&unknown, &word.to_ascii_lowercase()), word))
        .filter(|(distance, _)| *distance <= distance_max)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Whether two words are one but for case, and `_` in place of `-`.
pub(super) fn is_same_word(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.to_ascii_lowercase().replace('_', "-") == other.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_where_one_is_near() {
        let known = ["on-busy", "on-failure", "on-overflow", "debounce", "on"];
        for (unknown, expected) in [
            ("debonce", Some("debounce")),
            ("on_busy", Some("on-busy")),
            ("ON-FAILRUE", Some("on-failure")),
            ("no", Some("on")),
            ("x", None),
            ("path", None),
        ] {
            assert_eq!(nearest(unknown, known.into_iter()), expected, "{unknown}");
        }
        assert_eq!(nearest(&"o".repeat(1_000_000), known.into_iter()), None);
    }

    #[test]
    fn what_is_shown_is_short_and_printable() {
        assert_eq!(shown("a\u{1b}[1m\u{202e}"), "`a\\x1b[1m\\xe2\\x80\\xae`");
        assert!(shown(&"é".repeat(1000)).chars().count() < 90);
    }
}
