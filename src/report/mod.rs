//! Findings as text: for people, editors, machines and code hosts. Words in, words out.
//!
//! Whatever a rule file holds, no control character of it gets into what is rendered here.

mod fix;
mod github;
mod json;
mod sarif;
mod short;
mod text;

pub use fix::{Fixed, with_safe_fixes};
pub use github::github;
pub use json::json;
pub use sarif::sarif;
pub use short::short;
pub use text::{FINDINGS_MAX, count, text};

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;

use crate::diagnostic::{Diagnostic, Lines, Severity, SourceText};
use crate::escape;

/// Findings with the texts that they point into.
pub struct Report<'r> {
    sources: &'r [SourceText],
    lines: Vec<Lines<'r>>,
    findings: &'r [Diagnostic],
}

/// A place in a text; lines and columns count from 1, columns are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Region<'r> {
    file: &'r str,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
}

impl<'r> Report<'r> {
    /// Looks at every text once.
    pub fn new(sources: &'r [SourceText], findings: &'r [Diagnostic]) -> Report<'r> {
        let lines = sources.iter().map(|source| Lines::new(&source.text)).collect();
        Report { sources, lines, findings }
    }

    /// Where a finding is; none: it is about no text.
    fn region_of(&self, finding: &Diagnostic) -> Option<Region<'r>> {
        Some(self.region(finding.source?, &finding.span))
    }

    fn region(&self, source: usize, span: &Range<usize>) -> Region<'r> {
        let (line, column) = self.lines[source].position(span.start);
        let (end_line, end_column) = self.lines[source].position(span.end);
        Region { file: &self.sources[source].name, line, column, end_line, end_column }
    }
}

/// JSON without characters that a terminal would obey or that turn text around: JSON itself only escapes those
/// below U+0020. Outside of strings it has none of them.
fn harmless_json(json: &str) -> Cow<'_, str> {
    if json.chars().all(is_plain) {
        return Cow::Borrowed(json);
    }
    let mut harmless = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if is_plain(character) {
            harmless.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(harmless, "\\u{unit:04x}").expect("a String takes everything");
            }
        }
    }
    Cow::Owned(harmless)
}

/// Whether a character is shown, and nothing else happens.
fn is_plain(character: char) -> bool {
    matches!(escape::line(character.encode_utf8(&mut [0; 4])), Cow::Borrowed(_))
}

/// The word for a severity.
fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}
