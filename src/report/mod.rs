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

use std::ops::Range;

use crate::diagnostic::{Diagnostic, Lines, Severity, SourceText};

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

/// The word for a severity.
fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}
