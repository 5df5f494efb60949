//! What was found in one line, before it is told as diagnostics of its table.

use std::ops::Range;

use crate::diagnostic::{Diagnostic, Severity};

use super::codes::Code;

/// A finding before its table is known.
#[derive(Debug)]
pub struct Finding {
    /// What it is.
    pub code: &'static Code,
    span: Range<usize>,
    /// A lower-case sentence without a full stop.
    pub message: String,
    help: Option<String>,
}

/// The findings of one line, in the order in which they were made.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// Adds one; the same one on the same place is added once.
    pub fn push(
        &mut self,
        code: &'static Code,
        span: Range<usize>,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        if !self.0.iter().any(|known| known.code.name == code.name && known.span == span) {
            self.0.push(Finding { code, span, message: message.into(), help });
        }
    }

    /// Whether the line is to be left out.
    pub fn has_error(&self) -> bool {
        self.0.iter().any(|finding| finding.code.severity == Severity::Error)
    }

    /// Forgets everything that was found.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// In the order in which they were made.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter()
    }

    /// As findings of a table, by its index. What a code means at length stands in its row.
    pub fn into_diagnostics(self, source: usize) -> impl Iterator<Item = Diagnostic> {
        self.0.into_iter().map(move |Finding { code, span, message, help }| Diagnostic {
            help,
            ..Diagnostic::new(code.severity, code.name, source, span, message)
        })
    }
}
