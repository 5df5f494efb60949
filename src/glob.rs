//! Globs of `include` and `exclude`: compiled once, matched against bytes, never in more than linear time.
//!
//! Without `/` a glob matches a name at any depth; with `/` the path below the rule's `path`, anchored there;
//! a trailing `/` means directories only; `*` does not cross `/`, `**` does. `?` and `[…]` match a character
//! where the name is UTF-8, else a byte. `\` takes the next character literally. Braces mean nothing.

use std::fmt;
use std::sync::Arc;

/// Stands in `include` and `exclude` for every glob of [`TEMPORARY`].
pub const TEMPORARY_NAME: &str = "@temporary";

/// What editors, sed -i, rsync, downloads and package managers leave on the way (FANOTIFY.md 8).
pub const TEMPORARY: &[&str] = &[
    "*.sw?",
    "*.swpx",
    "4913",
    "*~",
    ".#*",
    "#*#",
    "sed??????",
    ".*.??????",
    "*.part",
    "*.partial",
    "*.crdownload",
    "*.download",
    "*.tmp",
    ".~lock.*#",
    "*.dpkg-new",
    "*.dpkg-tmp",
    ".goutputstream-*",
    ".nfs????????????????*",
];

/// Elements that one glob may have; more is refused.
const ELEMENTS_MAX: usize = 255;

/// A compiled glob. Cheap to clone: thousands of rules share the same few.
#[derive(Clone)]
pub struct Glob {
    text: Arc<str>,
    is_anchored: bool,
    is_directory_only: bool,
    elements: Arc<[Element]>,
}

/// Why a text is no glob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobError {
    /// Byte offset in the text.
    pub offset: usize,
    /// A lower-case sentence.
    pub message: &'static str,
}

#[derive(Clone, Debug, PartialEq)]
enum Element {
    Byte(u8),
    /// One character, never `/`.
    Any,
    /// One character of a set, never `/`.
    Class {
        is_negated: bool,
        ranges: Box<[(char, char)]>,
    },
    /// Any number of characters but `/`.
    Star,
    /// Any number of characters.
    DoubleStar,
    /// Nothing, or any number of whole components with their `/`.
    Components,
}

impl Glob {
    /// Compiles a glob.
    ///
    /// # Errors
    /// An empty glob, an unclosed or reversed class, a `\` at the end, `.` or `..` as a component, more than
    /// 255 elements.
    pub fn parse(text: &str) -> Result<Glob, GlobError> {
        let error = |offset, message| Err(GlobError { offset, message });
        let body = text.strip_suffix('/').unwrap_or(text);
        let is_directory_only = body.len() != text.len();
        let (body, start) = match body.strip_prefix('/') {
            Some(rest) => (rest, 1),
            None => (body, 0),
        };
        if body.is_empty() {
            return error(0, "the glob is empty");
        }
        if let Some(part) = body.split('/').find(|part| matches!(*part, "" | "." | "..")) {
            return error(
                start,
                if part.is_empty() { "`//` never matches" } else { "`.` and `..` as components never match" },
            );
        }
        let mut elements = Vec::new();
        let mut rest = body;
        while let Some(character) = rest.chars().next() {
            let offset = start + body.len() - rest.len();
            rest = &rest[character.len_utf8()..];
            match character {
                '?' => elements.push(Element::Any),
                '*' => rest = star(body, rest, &mut elements),
                '[' => match class(rest) {
                    Ok((element, after)) => {
                        elements.push(element);
                        rest = after;
                    }
                    Err(message) => return error(offset, message),
                },
                '\\' => match rest.chars().next() {
                    Some(escaped) => {
                        push_literal(escaped, &mut elements);
                        rest = &rest[escaped.len_utf8()..];
                    }
                    None => return error(offset, "a `\\` at the end escapes nothing"),
                },
                literal => push_literal(literal, &mut elements),
            }
        }
        if elements.len() > ELEMENTS_MAX {
            return error(0, "the glob is longer than 255 elements");
        }
        Ok(Glob {
            text: text.into(),
            is_anchored: start == 1 || body.contains('/'),
            is_directory_only,
            elements: elements.into(),
        })
    }

    /// The text that it was made from.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it matches a path below the rule's `path`, given without a leading `/`.
    pub fn matches(&self, below: &[u8], is_dir: bool) -> bool {
        if self.is_directory_only && !is_dir {
            return false;
        }
        let name_start = below.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let subject = if self.is_anchored { below } else { &below[name_start..] };
        self.matches_simply(subject).unwrap_or_else(|| self.matches_in_general(subject))
    }

    /// The usual shapes without the machinery: a literal, `*literal`.
    fn matches_simply(&self, subject: &[u8]) -> Option<bool> {
        let (is_suffix, literal) = match self.elements.split_first() {
            Some((Element::Star, rest)) => (true, rest),
            _ => (false, &*self.elements),
        };
        let literal_matches = |bytes: &[u8]| {
            bytes.iter().zip(literal).all(|(byte, element)| matches!(element, Element::Byte(b) if b == byte))
        };
        if !literal.iter().all(|element| matches!(element, Element::Byte(_))) {
            return None;
        }
        let start = subject.len().checked_sub(literal.len());
        Some(match start {
            Some(start) if is_suffix => {
                literal_matches(&subject[start..]) && !subject[..start].contains(&b'/')
            }
            Some(0) => literal_matches(subject),
            _ => false,
        })
    }

    /// Simulates all ways through the glob at once: one set of reached elements for each position.
    fn matches_in_general(&self, subject: &[u8]) -> bool {
        // A character has at most four bytes, so at most five positions are open at a time.
        let mut reached = [Reached::default(); 5];
        self.reach(&mut reached[0], 0);
        let mut is_utf8 = false;
        for position in 0..subject.len() {
            if position == 0 || subject[position - 1] == b'/' {
                let component = subject[position..].split(|byte| *byte == b'/').next().unwrap_or_default();
                is_utf8 = std::str::from_utf8(component).is_ok();
            }
            let now = std::mem::take(&mut reached[position % 5]);
            let character = character_at(&subject[position..], is_utf8);
            let after = (position + character.len) % 5;
            let is_slash = subject[position] == b'/';
            for index in now.iter() {
                let Some(element) = self.elements.get(index) else { continue };
                match element {
                    Element::Byte(byte) if *byte == subject[position] => {
                        self.reach(&mut reached[(position + 1) % 5], index + 1);
                    }
                    Element::Any if !is_slash => self.reach(&mut reached[after], index + 1),
                    Element::Class { is_negated, ranges } if !is_slash => {
                        let is_in = character.scalar.is_some_and(|scalar| {
                            ranges.iter().any(|(low, high)| (*low..=*high).contains(&scalar))
                        });
                        if is_in != *is_negated {
                            self.reach(&mut reached[after], index + 1);
                        }
                    }
                    Element::Star if !is_slash => self.reach(&mut reached[after], index),
                    Element::DoubleStar => self.reach(&mut reached[after], index),
                    // The loop stays inside the element; it is left only at the start of a component.
                    Element::Components if is_slash => self.reach(&mut reached[after], index),
                    Element::Components => reached[after].insert(index),
                    Element::Byte(_) | Element::Any | Element::Class { .. } | Element::Star => {}
                }
            }
        }
        reached[subject.len() % 5].contains(self.elements.len())
    }

    /// Enters an element, and with it those that it can be left for at once.
    fn reach(&self, set: &mut Reached, mut index: usize) {
        loop {
            set.insert(index);
            match self.elements.get(index) {
                Some(Element::Star | Element::DoubleStar | Element::Components) => index += 1,
                _ => return,
            }
        }
    }
}

/// Reads what follows a `*`: a second one, and with it the `/` that makes both stand for whole components.
fn star<'t>(body: &str, rest: &'t str, elements: &mut Vec<Element>) -> &'t str {
    let trimmed = rest.trim_start_matches('*');
    if trimmed.len() == rest.len() {
        if elements.last() != Some(&Element::Star) {
            elements.push(Element::Star);
        }
        return rest;
    }
    let before = &body[..body.len() - rest.len() - 1];
    let is_component_start = before.is_empty() || before.ends_with('/');
    match trimmed.strip_prefix('/') {
        Some(after) if is_component_start => {
            elements.push(Element::Components);
            after
        }
        _ => {
            elements.push(Element::DoubleStar);
            trimmed
        }
    }
}

/// Reads a class behind its `[`; gives what stands behind its `]`.
fn class(text: &str) -> Result<(Element, &str), &'static str> {
    let is_negated = text.starts_with(['!', '^']);
    let mut characters = text.char_indices().skip(usize::from(is_negated)).peekable();
    let mut ranges: Vec<(char, char)> = Vec::new();
    while let Some((offset, character)) = characters.next() {
        if character == ']' && !ranges.is_empty() {
            return Ok((Element::Class { is_negated, ranges: ranges.into() }, &text[offset + 1..]));
        }
        let low = match character {
            '/' => return Err("a class never matches `/`"),
            '\\' => characters.next().ok_or("this class is never closed")?.1,
            other => other,
        };
        let mut ahead = characters.clone();
        let is_range = ahead.next().is_some_and(|(_, dash)| dash == '-')
            && ahead.peek().is_some_and(|(_, high)| *high != ']');
        let high = if is_range {
            characters.next();
            match characters.next() {
                Some((_, '\\')) => characters.next().ok_or("this class is never closed")?.1,
                Some((_, high)) => high,
                None => return Err("this class is never closed"),
            }
        } else {
            low
        };
        if high < low {
            return Err("this range runs backwards");
        }
        ranges.push((low, high));
    }
    Err("this class is never closed")
}

fn push_literal(character: char, elements: &mut Vec<Element>) {
    let mut buffer = [0; 4];
    elements.extend(character.encode_utf8(&mut buffer).bytes().map(Element::Byte));
}

/// One character of a subject: its length in bytes, and its value where the component is UTF-8 (or ASCII).
struct Character {
    len: usize,
    scalar: Option<char>,
}

fn character_at(bytes: &[u8], is_utf8: bool) -> Character {
    let first = bytes[0];
    if !is_utf8 || first < 0x80 {
        return Character { len: 1, scalar: first.is_ascii().then_some(char::from(first)) };
    }
    let len = match first {
        0xf0.. => 4,
        0xe0.. => 3,
        _ => 2,
    };
    let text = std::str::from_utf8(&bytes[..len.min(bytes.len())]).unwrap_or_default();
    Character { len, scalar: text.chars().next() }
}

/// A set of elements that are reached, the end of the glob included.
#[derive(Clone, Copy, Default)]
struct Reached([u64; ELEMENTS_MAX / 64 + 1]);

impl Reached {
    fn insert(&mut self, index: usize) {
        self.0[index / 64] |= 1 << (index % 64);
    }

    fn contains(&self, index: usize) -> bool {
        self.0[index / 64] & (1 << (index % 64)) != 0
    }

    fn iter(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(word, mut bits)| {
            std::iter::from_fn(move || {
                let bit = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
                bits &= bits - 1;
                Some(word * 64 + bit)
            })
        })
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Glob({:?})", self.text)
    }
}

impl PartialEq for Glob {
    fn eq(&self, other: &Glob) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for GlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(glob: &str, below: &str) -> bool {
        let (below, is_dir) = match below.strip_suffix('/') {
            Some(directory) => (directory, true),
            None => (below, false),
        };
        Glob::parse(glob).expect(glob).matches(below.as_bytes(), is_dir)
    }

    #[test]
    fn what_matches_and_what_does_not() {
        for (glob, yes, no) in [
            ("*.conf", vec!["a.conf", "x/y/.conf", "é.conf"], vec!["a.conf~", "conf"]),
            ("a.conf", vec!["a.conf", "x/a.conf"], vec!["ba.conf", "a.conf/x"]),
            ("/a.conf", vec!["a.conf"], vec!["x/a.conf"]),
            ("x/*.conf", vec!["x/a.conf"], vec!["x/y/a.conf", "y/x/a.conf", "x/a"]),
            ("x/**", vec!["x/a", "x/y/z"], vec!["x", "y/x/a"]),
            ("**/x", vec!["x", "a/x", "a/b/x"], vec!["ax", "a/bx", "x/a"]),
            ("a/**/b", vec!["a/b", "a/x/b", "a/x/y/b"], vec!["ab", "a/xb", "a/b/c", "xa/b"]),
            ("**/a?/**", vec!["ab/c", "x/ab/c/d"], vec!["ab", "x/ab"]),
            ("a**b/c", vec!["ab/c", "a/x/b/c", "axxb/c"], vec!["a/c"]),
            ("build/", vec!["build/", "x/build/"], vec!["build", "x/build"]),
            ("*.sw?", vec!["a.swp", ".x.swo", "a.swé"], vec!["a.sw", "a.swpx"]),
            ("[a-c]x", vec!["ax", "cx"], vec!["dx", "x"]),
            ("[!a-c]x", vec!["dx", "éx"], vec!["ax"]),
            ("[é]", vec!["é"], vec!["e", "éé"]),
            ("[]x]", vec!["]", "x"], vec!["a"]),
            ("[a-]", vec!["a", "-"], vec!["b"]),
            ("\\*", vec!["*"], vec!["a"]),
            ("{a,b}", vec!["{a,b}"], vec!["a", "b"]),
            ("**", vec!["a", "a/b"], vec![]),
            ("?", vec!["é", "a", "a/b"], vec!["ab"]),
            ("*?b", vec!["ab", "éb", "aéb"], vec!["b"]),
        ] {
            for subject in yes {
                assert!(matches(glob, subject), "{glob} should match {subject}");
            }
            for subject in no {
                assert!(!matches(glob, subject), "{glob} should not match {subject}");
            }
        }
    }

    #[test]
    fn in_names_that_are_not_utf8_a_character_is_a_byte() {
        let glob = Glob::parse("??").expect("a glob");
        assert!(glob.matches(b"\xff\xfe", false));
        assert!(!glob.matches(b"\xff", false));
        assert!(Glob::parse("x/?").expect("a glob").matches(b"x/\xff", false));
        assert!(Glob::parse("*\u{e9}*").expect("a glob").matches(b"\xff\xc3\xa9\xff", false));
    }

    #[test]
    fn what_is_no_glob_is_said_with_its_place() {
        for (text, offset) in
            [("", 0), ("/", 0), ("a[", 1), ("a[]", 1), ("[z-a]", 0), ("x\\", 1), ("a//b", 0), ("../x", 0)]
        {
            assert_eq!(Glob::parse(text).expect_err(text).offset, offset, "{text}");
        }
        assert!(Glob::parse(&"a".repeat(256)).is_err());
    }

    #[test]
    fn many_stars_take_linear_time() {
        let glob = Glob::parse(&"**/*a".repeat(20)).expect("a glob");
        assert!(!glob.matches("a/".repeat(2000).as_bytes(), false));
    }

    #[test]
    fn every_temporary_glob_compiles() {
        for text in TEMPORARY {
            Glob::parse(text).expect(text);
        }
    }
}
