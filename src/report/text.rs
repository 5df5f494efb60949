//! Findings for people: the line, a caret, why, and the way out.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Patch, Renderer, Snippet};

use super::Report;
use crate::diagnostic::{Diagnostic, Severity, boundary_after, boundary_before};
use crate::escape;

/// Nobody reads more in this form.
pub const FINDINGS_MAX: usize = 100;

/// Longer lines are cut to what stands around the finding, bytes.
const LINE_MAX: usize = 400;

/// Of a finding that spans more lines, only the first are shown.
const LINES_MAX: usize = 4;

/// The longest replacement that is shown as an edit, bytes.
const REPLACEMENT_MAX: usize = 400;

/// The findings, coloured (whoever prints them takes the colour away where it does not belong).
pub fn text(report: &Report<'_>) -> String {
    let renderer = Renderer::styled();
    let mut text = String::new();
    for finding in report.findings.iter().take(FINDINGS_MAX) {
        text.push_str(&renderer.render(&groups(report, finding)));
        text.push_str("\n\n");
    }
    if let Some(more) = report.findings.len().checked_sub(FINDINGS_MAX).filter(|more| *more > 0) {
        writeln!(text, "… and {more} more findings").expect("a String takes everything");
    }
    text
}

/// How many findings there are, in words: `2 errors, 1 warning`; none: `no mistakes`.
pub fn count(findings: &[Diagnostic]) -> String {
    let of = |severity, word: &str| {
        let count = findings.iter().filter(|finding| finding.severity == severity).count();
        let plural = if count == 1 { "" } else { "s" };
        (count > 0).then(|| format!("{count} {word}{plural}"))
    };
    let counts = [of(Severity::Error, "error"), of(Severity::Warning, "warning"), of(Severity::Note, "note")];
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    if counts.is_empty() { "no mistakes".to_owned() } else { counts.join(", ") }
}

fn groups<'r>(report: &Report<'r>, finding: &'r Diagnostic) -> Vec<Group<'r>> {
    let level = match finding.severity {
        Severity::Note => Level::NOTE,
        Severity::Warning => Level::WARNING,
        Severity::Error => Level::ERROR,
    };
    let title = level.primary_title(escape::line(&finding.message)).id(finding.code);
    let mut group = Group::with_title(title);
    if let Some(source) = finding.source {
        group = place(report, group, source, &finding.span, &finding.label, AnnotationKind::Primary);
    }
    for (source, span, label) in &finding.related {
        group = place(report, group, *source, span, label, AnnotationKind::Context);
    }
    for note in &finding.notes {
        group = group.element(Level::NOTE.message(escape::line(note)));
    }
    let edit = finding.source.and_then(|source| edit(report, source, finding));
    match (edit, &finding.help) {
        (Some(edit), help) => {
            let title = help.as_deref().map_or(Cow::Borrowed("change it"), escape::line);
            vec![group, Group::with_title(Level::HELP.secondary_title(title)).element(edit)]
        }
        (None, Some(help)) => vec![group.element(Level::HELP.message(escape::line(help)))],
        (None, None) => vec![group],
    }
}

/// Adds a place with the lines that it touches.
fn place<'r>(
    report: &Report<'r>,
    group: Group<'r>,
    source: usize,
    span: &Range<usize>,
    label: &'r str,
    kind: AnnotationKind,
) -> Group<'r> {
    let region = report.region(source, span);
    if report.sources[source].text.is_empty() {
        return group.element(Origin::path(region.file));
    }
    let window = Window::new(report, source, span);
    let mut annotation = kind.span(window.span.clone());
    if !label.is_empty() {
        annotation = annotation.label(escape::line(label));
    }
    let snippet = Snippet::source(window.text).line_start(region.line).annotation(annotation);
    if window.is_cut {
        let origin = Origin::path(region.file).line(region.line).char_column(region.column);
        return group.element(origin).element(snippet);
    }
    group.element(snippet.path(region.file))
}

/// The finding's edit, where it is short enough to be looked at.
fn edit<'r>(report: &Report<'r>, source: usize, finding: &'r Diagnostic) -> Option<Snippet<'r, Patch<'r>>> {
    let fix = finding.fix.as_ref()?;
    let window = Window::new(report, source, &fix.span);
    let is_whole = !window.is_cut
        && window.lines
            == report.region(source, &fix.span).end_line - report.region(source, &fix.span).line + 1;
    if !is_whole || fix.replacement.len() > REPLACEMENT_MAX {
        return None;
    }
    let region = report.region(source, &fix.span);
    let patch = Patch::new(window.span.clone(), printable(&fix.replacement));
    Some(Snippet::source(window.text).line_start(region.line).path(region.file).patch(patch))
}

/// The lines that a span touches, printable. The renderer gets nothing else: it would look at the whole text for
/// each finding.
struct Window {
    text: String,
    /// The span in it.
    span: Range<usize>,
    lines: usize,
    /// Whether columns in it are not those of the file.
    is_cut: bool,
}

impl Window {
    fn new(report: &Report<'_>, source: usize, span: &Range<usize>) -> Window {
        let text = &*report.sources[source].text;
        let lines = &report.lines[source];
        let first = lines.line(span.start);
        let last = lines.line(span.end.max(span.start)).min(first + LINES_MAX - 1);
        let mut start = lines.range(first).start;
        let mut end = lines.range(last).end.max(start);
        let is_cut = end - start > LINE_MAX * (last - first + 1);
        if is_cut {
            start = boundary_after(text, start.max(span.start.saturating_sub(LINE_MAX / 4)));
            end = boundary_before(text, end.min(start + LINE_MAX));
        }
        // A byte order mark is no character of the text.
        if start == 0 && text.starts_with('\u{feff}') {
            start = '\u{feff}'.len_utf8();
        }
        let span = span.start.clamp(start, end.max(start))..span.end.clamp(start, end.max(start));
        let before = printable(&text[start..span.start]);
        let inside = printable(&text[span.clone()]);
        let after = printable(&text[span.end..end.max(span.end)]);
        let span = before.len()..before.len() + inside.len();
        Window { text: format!("{before}{inside}{after}"), span, lines: last - first + 1, is_cut }
    }
}

/// The same with a placeholder for each character that a terminal would obey.
fn printable(text: &str) -> String {
    let shown = |c: char| {
        if matches!(c, '\t' | '\n') || !escape::is_unprintable(c) { c } else { char::REPLACEMENT_CHARACTER }
    };
    text.chars().filter(|c| *c != '\r').map(shown).collect()
}
