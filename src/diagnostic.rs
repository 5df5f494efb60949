//! What we tell a person about a text that they wrote: one finding, where it is, and what to do.
//!
//! Rendering for people, editors and machines is `cli`'s part; this is the data.

use std::ops::Range;
use std::sync::Arc;

/// A text that findings point into: a rule file or a classic table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceText {
    /// Its path as it was named, or `-`.
    pub name: Arc<str>,
    /// Its bytes, with invalid UTF-8 replaced.
    pub text: Arc<str>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Surely not meant; nothing is refused, but under `--strict`.
    Warning,
    /// The rule file is refused.
    Error,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// Stable: `F0…`, one for each kind of finding.
    pub code: &'static str,
    /// A lower-case sentence without a full stop.
    pub message: String,
    /// Which text, as an index into the sources that were read; none: about no text (a directory's owner).
    pub source: Option<usize>,
    /// Byte range in that text.
    pub span: Range<usize>,
    /// What stands under the caret; empty: nothing.
    pub label: String,
    /// Other places that belong to it: source, range, what to say there.
    pub related: Vec<(usize, Range<usize>, String)>,
    /// Why, in whole sentences.
    pub notes: Vec<String>,
    /// The way out.
    pub help: Option<String>,
    /// The way out as an edit.
    pub fix: Option<Fix>,
}

/// An edit that mends a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What is replaced, in the finding's own text.
    pub span: Range<usize>,
    /// By what.
    pub replacement: String,
    /// Whether it can be applied without a person's look (`check --fix`).
    pub is_safe: bool,
}

impl Diagnostic {
    /// A finding in a text; the rest is filled in by the `with_…` functions.
    pub fn new(
        severity: Severity,
        code: &'static str,
        source: usize,
        span: Range<usize>,
        message: String,
    ) -> Self {
        Diagnostic {
            severity,
            code,
            message,
            source: Some(source),
            span,
            label: String::new(),
            related: Vec::new(),
            notes: Vec::new(),
            help: None,
            fix: None,
        }
    }
}
