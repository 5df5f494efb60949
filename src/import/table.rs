//! A classic table as bytes, and its lines as written.

use std::borrow::Cow;
use std::ffi::OsString;
use std::ops::Range;

use crate::escape;

/// The longest text of a line that a message shows, in characters.
const SHOWN_MAX: usize = 160;

/// The longest line that is kept whole, in bytes; the rest of a longer one is counted.
const READABLE_MAX: usize = 4096;

/// Which daemon a table was written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Classic facron 1.1 (facron.conf).
    Facron,
    /// incron 0.5.12 (incrontab).
    Incron,
}

/// Whose table it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The system's: commands run as root.
    System,
    /// A user's: commands run as this user.
    User(String),
}

/// A classic table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its path as it was named, or `-`.
    pub name: OsString,
    /// Its content.
    pub bytes: Vec<u8>,
    /// Which daemon it was written for.
    pub dialect: Dialect,
    /// Whose it is.
    pub owner: Owner,
}

/// A line as written, without its newline.
#[derive(Debug)]
pub struct Line<'t> {
    /// From 1.
    pub number: usize,
    /// Its bytes.
    pub bytes: &'t [u8],
    /// Where they begin in the table.
    pub offset: usize,
    /// Whether a newline ends it.
    pub has_newline: bool,
    /// Whether a byte order mark stood before it.
    pub has_mark: bool,
}

impl Table {
    /// Its name, fit to be shown.
    pub fn shown_name(&self) -> Cow<'_, str> {
        escape::text(self.name.as_encoded_bytes())
    }

    /// What it is, for people.
    pub fn describe(&self) -> String {
        let name = if self.name == "-" { "standard input".into() } else { self.shown_name() };
        match (self.dialect, &self.owner) {
            (Dialect::Facron, _) => format!("{name} (classic facron)"),
            (Dialect::Incron, Owner::System) => format!("{name} (incron, system table)"),
            (Dialect::Incron, Owner::User(user)) => {
                format!("{name} (incron, table of {})", escape::text(user.as_bytes()))
            }
        }
    }

    /// Its lines. A byte order mark at the start belongs to none.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let mark_len = if self.bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let mut offset = mark_len;
        self.bytes[mark_len..].split_inclusive(|byte| *byte == b'\n').enumerate().map(
            move |(index, whole)| {
                let bytes = whole.strip_suffix(b"\n").unwrap_or(whole);
                let line = Line {
                    number: index + 1,
                    bytes,
                    offset,
                    has_newline: bytes.len() < whole.len(),
                    has_mark: index == 0 && mark_len > 0,
                };
                offset += whole.len();
                line
            },
        )
    }

    /// Its content as a text in which every byte keeps its place: what is not UTF-8 becomes `?`.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(self.bytes.len());
        for chunk in self.bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().iter().map(|_| '?'));
        }
        text
    }
}

impl Line<'_> {
    /// A range of the line as a range of the table.
    pub fn at(&self, range: Range<usize>) -> Range<usize> {
        self.offset + range.start..self.offset + range.end
    }

    /// The whole line.
    pub fn all(&self) -> Range<usize> {
        self.at(0..self.bytes.len())
    }

    /// The place before its first byte.
    pub fn start(&self) -> Range<usize> {
        self.at(0..0)
    }

    /// Whether its first word begins with `#`. Neither daemon knew such comments everywhere, everybody meant them.
    pub fn is_comment(&self) -> bool {
        self.bytes.trim_ascii_start().starts_with(b"#")
    }
}

/// Bytes of a table, fit to be shown in a message: one line, not too long.
pub fn shown(bytes: &[u8]) -> String {
    // Cut before escaping: no character has more than four bytes.
    let text = escape::text(&bytes[..bytes.len().min(4 * SHOWN_MAX)]);
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

/// A whole line for people: as it is, unless it would deceive a reader or break out of a comment.
pub fn readable(line: &[u8]) -> String {
    let kept = &line[..line.len().min(READABLE_MAX)];
    let is_plain = |text: &&str| text.split('\t').all(|piece| escape::line(piece) == piece);
    let text = match std::str::from_utf8(kept).ok().filter(is_plain) {
        Some(text) => text.to_owned(),
        None => escape::text(kept).into_owned(),
    };
    match line.len() - kept.len() {
        0 => text,
        rest => format!("{text}… ({rest} bytes more)"),
    }
}
