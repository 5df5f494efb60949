//! The findings of all rule files while they are read: collected, never more than anybody could use.

use std::ops::Range;

use crate::codes::TOO_MUCH;
use crate::diagnostic::{Diagnostic, Severity};

/// Findings of one file; a text that has more is no rule file, and comparing every word of it with ours takes
/// time.
const FINDINGS_MAX: usize = 1000;

/// What was found so far.
#[derive(Default)]
pub(super) struct Findings {
    list: Vec<Diagnostic>,
    of_this_file: usize,
}

impl Findings {
    /// Adds one.
    pub fn push(&mut self, finding: Diagnostic) {
        if self.of_this_file < FINDINGS_MAX {
            self.of_this_file += 1;
            self.list.push(finding);
        }
    }

    /// Whether there is no use in looking for more in this file.
    pub fn is_full(&self) -> bool {
        self.of_this_file >= FINDINGS_MAX
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether one from this on is an error.
    pub fn has_error_since(&self, len: usize) -> bool {
        self.list[len..].iter().any(|finding| finding.severity == Severity::Error)
    }

    /// Whether an error was found within a place.
    pub fn has_error_within(&self, source: usize, span: &Range<usize>) -> bool {
        self.list.iter().rev().take(FINDINGS_MAX).any(|finding| {
            finding.severity == Severity::Error
                && finding.source == Some(source)
                && span.start <= finding.span.start
                && finding.span.end <= span.end
        })
    }

    /// Begins the next file.
    pub fn end_file(&mut self, source: usize) {
        if self.is_full() {
            let message = format!("there are more than {FINDINGS_MAX} mistakes; the rest are not looked for");
            self.list.push(TOO_MUCH.at(source, 0..0, message));
        }
        self.of_this_file = 0;
    }

    /// All of them, file by file and from top to bottom.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        sort(&mut self.list);
        self.list
    }
}

/// Puts findings in the order of their places; those about no text come first.
pub fn sort(findings: &mut [Diagnostic]) {
    findings.sort_by(|one, other| {
        let key = |finding: &Diagnostic| (finding.source, finding.span.start, finding.span.end, finding.code);
        key(one).cmp(&key(other))
    });
}
