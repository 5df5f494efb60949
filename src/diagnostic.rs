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

/// Where the lines of a text begin, to find the line and column of an offset.
#[derive(Clone, Debug)]
pub struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// Looks at a text once.
    pub fn new(text: &'t str) -> Lines<'t> {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Lines { text, starts: std::iter::once(0).chain(breaks.map(|(offset, _)| offset + 1)).collect() }
    }

    /// The line of a byte offset, from 1.
    pub fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    /// The line of a byte offset and the column in it, both from 1; a column is a character.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.line(offset);
        let start = self.starts[line - 1];
        let before = &self.text[start..boundary_before(self.text, offset.max(start))];
        // A byte order mark is no character of the text.
        let before = if start == 0 { before.trim_start_matches('\u{feff}') } else { before };
        (line, before.chars().count() + 1)
    }

    /// A line by its number from 1, without its line break.
    pub fn text(&self, line: usize) -> &'t str {
        let range = self.range(line);
        &self.text[range]
    }

    /// The byte range of a line by its number from 1, without its line break.
    pub fn range(&self, line: usize) -> Range<usize> {
        let start = self.starts[line - 1];
        let end = self.starts.get(line).map_or(self.text.len(), |next| next - 1);
        let text = self.text[start..end].trim_end_matches('\r');
        start..start + text.len()
    }
}

/// The last place at or before an offset where a character begins.
pub fn boundary_before(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The first place at or after an offset where a character begins.
pub fn boundary_after(text: &str, offset: usize) -> usize {
    (offset..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
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
    /// The same with words under the caret.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// The same with another place that belongs to it.
    #[must_use]
    pub fn with_related(mut self, source: usize, span: Range<usize>, label: impl Into<String>) -> Self {
        self.related.push((source, span, label.into()));
        self
    }

    /// The same with a sentence that says why.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// The same with a way out in words.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with a way out, if somebody knows one.
    #[must_use]
    pub fn with_help_if(mut self, help: Option<impl Into<String>>) -> Self {
        self.help = help.map(Into::into).or(self.help);
        self
    }

    /// The same with a way out as an edit.
    #[must_use]
    pub fn with_fix(mut self, span: Range<usize>, replacement: impl Into<String>, is_safe: bool) -> Self {
        self.fix = Some(Fix { span, replacement: replacement.into(), is_safe });
        self
    }
}
