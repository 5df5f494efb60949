//! Names and output of others, made fit to be shown: the one place that decides what a terminal, a log line, a
//! notification or a JSON text gets to see of bytes that we did not write.
//!
//! File names are bytes and hostile. Every escape here can be undone, or says that it cannot.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Any bytes as one line of printable text: control characters (C0, DEL, C1), invalid UTF-8, bidi controls, the
/// separators U+2028 and U+2029 and the backslash come byte by byte as `\xNN`; the rest stands for itself.
///
/// Two different inputs never give the same text.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    escape(bytes, |character| character == '\\' || is_unprintable(character))
}

/// [`text`] of a path.
pub fn path(path: &Path) -> Cow<'_, str> {
    text(path.as_os_str().as_bytes())
}

/// What [`text`] does, but for a text that we made ourselves from escaped parts: the backslash stands for itself.
pub fn line(text: &str) -> Cow<'_, str> {
    escape(text.as_bytes(), is_unprintable)
}

/// A text as the body of a notification, where `<`, `>` and `&` would be markup.
pub fn markup(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            other => safe.push(other),
        }
    }
    safe
}

/// JSON without characters that a terminal would obey or that turn text around: JSON itself only escapes those
/// below U+0020. Outside of strings it has none of them, so the values stay the same.
pub fn json(json: &str) -> Cow<'_, str> {
    if !json.contains(is_unprintable) {
        return Cow::Borrowed(json);
    }
    let mut safe = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if is_unprintable(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(safe, "\\u{unit:04x}").expect("a String takes everything");
            }
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

/// A path as an entry of a JSON object: `(key, text)` where it is UTF-8, else `(key_bytes, base64)`.
pub fn json_path<'p>(key: &'static str, path: &'p Path) -> (Cow<'static, str>, Cow<'p, str>) {
    match path.to_str() {
        Some(text) => (Cow::Borrowed(key), Cow::Borrowed(text)),
        None => (Cow::Owned(format!("{key}_bytes")), Cow::Owned(base64_encode(path.as_os_str().as_bytes()))),
    }
}

/// The path that [`json_path`] wrote, from the values of `key` and `key_bytes`; none: neither, or not base64.
pub fn path_from_json(text: Option<&str>, bytes: Option<&str>) -> Option<PathBuf> {
    match (text, bytes) {
        (Some(text), _) => Some(PathBuf::from(text)),
        (None, Some(bytes)) => Some(PathBuf::from(std::ffi::OsString::from_vec(base64_decode(bytes)?))),
        (None, None) => None,
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 with padding (RFC 4648, section 4).
pub fn base64_encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().chain(&[0; 2]).take(3).fold(0, |group, byte| (group << 8) | usize::from(*byte));
        for index in 0..4 {
            let digit = BASE64[(group >> (18 - 6 * index)) & 63];
            text.push(if index <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// The bytes that [`base64_encode`] wrote; none: it never writes such a text.
pub fn base64_decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for chunk in digits.as_bytes().chunks(4) {
        let mut group = 0_u32;
        for digit in chunk {
            group = (group << 6) | u32::try_from(BASE64.iter().position(|known| known == digit)?).ok()?;
        }
        let missing = 4 - chunk.len();
        let whole = (group << (6 * missing)).to_be_bytes();
        bytes.extend_from_slice(&whole[1..4 - missing.min(2)]);
    }
    (base64_encode(&bytes) == text).then_some(bytes)
}

/// Copies only from the first byte that needs it.
fn escape(bytes: &[u8], is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes)
        && !text.contains(&is_escaped)
    {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if is_escaped(character) {
                push_bytes(&mut safe, character.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                safe.push(character);
            }
        }
        push_bytes(&mut safe, chunk.invalid());
    }
    Cow::Owned(safe)
}

fn push_bytes(safe: &mut String, bytes: &[u8]) {
    for byte in bytes {
        write!(safe, "\\x{byte:02x}").expect("a String takes everything");
    }
}

/// What could end a line, move a cursor, or show text in another order than it has.
pub fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}')
        // The property Bidi_Control of Unicode.
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Undoes [`text`].
    fn bytes(text: &str) -> Vec<u8> {
        let mut parts = text.split("\\x");
        let mut bytes = parts.next().expect("split gives one part at least").as_bytes().to_vec();
        for part in parts {
            bytes.push(u8::from_str_radix(&part[..2], 16).expect("two hexadecimal digits"));
            bytes.extend_from_slice(&part.as_bytes()[2..]);
        }
        bytes
    }

    /// Bytes among which the dangerous ones are frequent.
    fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            any::<u8>().prop_map(|byte| vec![byte]),
            any::<char>().prop_map(|character| character.to_string().into_bytes()),
            prop::sample::select(vec![
                "\u{202e}", "\u{2028}", "\u{9b}", "\\", "\\x0a", "\n", "\x1b[31m", "&lt;"
            ])
            .prop_map(|text| text.as_bytes().to_vec()),
        ];
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn text_is_one_printable_line_and_can_be_undone(original in hostile_bytes()) {
            let shown = text(&original);
            prop_assert!(!shown.contains(is_unprintable), "{shown:?}");
            prop_assert_eq!(bytes(&shown), original);
        }

        #[test]
        fn json_is_printable_and_means_the_same(original in ".*") {
            let written = serde_json::to_string(&original).expect("a text");
            let shown = json(&written);
            prop_assert!(!shown.contains(is_unprintable), "{shown:?}");
            prop_assert_eq!(serde_json::from_str::<String>(&shown).expect("JSON"), original);
        }

        #[test]
        fn base64_can_be_undone(original in hostile_bytes()) {
            prop_assert_eq!(base64_decode(&base64_encode(&original)), Some(original));
        }

        #[test]
        fn base64_takes_only_what_it_writes(text in "[A-Za-d+/=]{0,9}") {
            if let Some(bytes) = base64_decode(&text) {
                prop_assert_eq!(base64_encode(&bytes), text);
            }
        }

        #[test]
        fn a_path_in_json_is_the_same_path(original in hostile_bytes()) {
            let original = PathBuf::from(std::ffi::OsString::from_vec(original));
            let (key, value) = json_path("old_path", &original);
            let back = match &*key {
                "old_path" => path_from_json(Some(&value), None),
                "old_path_bytes" => path_from_json(None, Some(&value)),
                other => panic!("{other}"),
            };
            prop_assert_eq!(back, Some(original));
        }
    }

    #[test]
    fn what_is_harmless_stands_for_itself() {
        for name in ["a b", "é", "e\u{301}", "日本", "👨\u{200d}👩", "'\"$`<>", ""] {
            assert!(matches!(text(name.as_bytes()), Cow::Borrowed(shown) if shown == name));
        }
    }

    #[test]
    fn what_deceives_is_shown_byte_by_byte() {
        let cases: &[(&[u8], &str)] = &[
            (b"a\nb", r"a\x0ab"),
            (b"\\x0a", r"\x5cx0a"),
            (b"\x1b[2J\x7f", r"\x1b[2J\x7f"),
            (b"\xff\xc3", r"\xff\xc3"),
            ("\u{202e}gpj".as_bytes(), r"\xe2\x80\xaegpj"),
            ("\u{9b}".as_bytes(), r"\xc2\x9b"),
            ("\u{2028}".as_bytes(), r"\xe2\x80\xa8"),
        ];
        for (name, shown) in cases {
            assert_eq!(text(name), *shown);
        }
        assert_eq!(line("path \\x0a\n"), "path \\x0a\\x0a");
    }

    #[test]
    fn markup_is_shown_and_not_obeyed() {
        assert_eq!(markup("<img src='x'>&lt;"), "&lt;img src='x'&gt;&amp;lt;");
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")];
        for (plain, encoded) in cases {
            assert_eq!(base64_encode(plain.as_bytes()), encoded);
        }
        for rubbish in ["Zg", "Zh==", "Zg=", "Z", "====", "Zm9v\n"] {
            assert_eq!(base64_decode(rubbish), None, "{rubbish}");
        }
    }
}
