//! What is wrong with a text as TOML: the parser's own findings, put in order and cut down to those that a person
//! can act upon. The parser recovers from a mistake and goes on, so one open bracket can give dozens of findings.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::text::shown;
use crate::codes::SYNTAX;
use crate::diagnostic::{Diagnostic, boundary_after, boundary_before};

/// Beginnings of the parser's messages about mistakes that end where they are seen; after any other, what
/// follows is a consequence.
const LOCAL: &[&str] = &[
    "`_` may only go between digits",
    "carriage return must be followed by newline",
    "duplicate key",
    "integers with a radix cannot be signed",
    "invalid ",
    "missing escaped value",
    "radix must be lowercase",
    "redundant ",
    "string values must be quoted",
    "unexpected leading zero",
    "unexpected sign",
];

/// More of them than anybody would mend one by one; the rest of the text is not looked at.
const FINDINGS_MAX: usize = 500;

/// Findings of one text, in order.
pub(super) struct Syntax {
    /// At most one a line.
    pub findings: Vec<Diagnostic>,
    /// From here on the text is not understood.
    pub understood_until: usize,
}

impl Syntax {
    /// Reads what the parser found.
    pub fn new(source: usize, text: &str, table: &DeTable<'_>, errors: &[toml::de::Error]) -> Syntax {
        let mut errors: Vec<(Range<usize>, &str)> = errors.iter().map(|error| place(text, error)).collect();
        errors.sort_by_key(|(span, _)| (span.start, span.end));
        let is_array_open = errors.iter().any(|(_, message)| message.starts_with("unclosed array,"));
        let mut syntax = Syntax { findings: Vec::new(), understood_until: usize::MAX };
        let mut line_end = 0;
        for (span, message) in errors {
            if span.start < line_end {
                continue;
            }
            if syntax.findings.len() == FINDINGS_MAX {
                syntax.understood_until = span.start;
                break;
            }
            line_end = text[span.start..].find('\n').map_or(text.len(), |len| span.start + len + 1);
            let is_local = LOCAL.iter().any(|beginning| message.starts_with(beginning));
            if !is_local
                && is_array_open
                && let Some(open) = open_array(table, span.start)
            {
                let finding = SYNTAX.at(source, open..open + 1, "this array is never closed");
                syntax.findings.push(finding.with_help("close it with `]`"));
                syntax.understood_until = open;
                break;
            }
            syntax.findings.push(finding(source, text, table, span.clone(), message));
            if !is_local {
                syntax.understood_until = span.start;
                break;
            }
        }
        syntax.findings.sort_by_key(|finding| finding.span.start);
        syntax
    }

    /// Whether the parser understood this place.
    pub fn is_understood(&self, span: &Range<usize>) -> bool {
        let next = self.findings.partition_point(|finding| finding.span.end < span.start);
        let touches = self.findings.get(next).is_some_and(|finding| finding.span.start <= span.end);
        span.start < self.understood_until && span.end <= self.understood_until && !touches
    }
}

/// Where an error is; the parser does not know it for one that is too deep in dots.
fn place<'e>(text: &str, error: &'e toml::de::Error) -> (Range<usize>, &'e str) {
    let span = error.span().unwrap_or_else(|| {
        let deepest = text.lines().max_by_key(|line| line.bytes().filter(|byte| *byte == b'.').count());
        let start = deepest.map_or(0, |line| line.as_ptr() as usize - text.as_ptr() as usize);
        start..start
    });
    let start = boundary_before(text, span.start);
    (start..boundary_after(text, span.end.max(start)), error.message())
}

/// The place of the outermost bracket that is open here.
fn open_array(table: &DeTable<'_>, position: usize) -> Option<usize> {
    table.values().find_map(|value| open_array_in(value, position))
}

fn open_array_in(value: &Spanned<DeValue<'_>>, position: usize) -> Option<usize> {
    match value.get_ref() {
        DeValue::Array(items) => {
            // An array of tables has the span of its header, which holds no position of an error.
            let span = value.span();
            if span.start < position && position <= span.end {
                return Some(span.start);
            }
            items.iter().find_map(|item| open_array_in(item, position))
        }
        DeValue::Table(table) => open_array(table, position),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => None,
    }
}

fn finding(source: usize, text: &str, table: &DeTable<'_>, span: Range<usize>, message: &str) -> Diagnostic {
    let raw = &text[span.clone()];
    let at = |message: String| SYNTAX.at(source, span.clone(), message);
    if message.starts_with("duplicate key") {
        let finding = at(format!("{} is written twice", shown(raw)));
        return match first_of(table, raw, span.start) {
            Some(first) => finding.with_related(source, first, "first here"),
            None => finding,
        };
    }
    if message.contains("recur") {
        return at("this is nested more than 80 levels deep".to_owned());
    }
    if is_bare_word(raw) {
        return at(format!("{} is not quoted", shown(raw)))
            .with_help(format!("write `\"{}\"`", shown(raw).trim_matches('`')))
            .with_fix(span, format!("\"{raw}\""), true);
    }
    if let Some((kind, quote)) = message.split_once(" string, expected ")
        && matches!(quote, "`\"`" | "`'`" | "'`'")
        && kind.starts_with("invalid")
    {
        return at("this string is never closed".to_owned()).with_help(format!("close it with {quote}"));
    }
    if message.starts_with("unexpected leading zero") {
        return at("a number has no leading zero".to_owned())
            .with_help("an octal number such as a umask is written in quotes");
    }
    if message.starts_with("missing escaped value") {
        return at("a `\\` in a string in double quotes begins an escape, and this is none".to_owned())
            .with_help("double it, `\\\\`, or write the string in single quotes, where it means itself");
    }
    at(cut(message))
}

/// A word that was meant as a string: nothing in it needs an escape.
fn is_bare_word(raw: &str) -> bool {
    raw.len() <= 256
        && raw.starts_with(|c: char| c.is_ascii_alphanumeric() || "/@*.".contains(c))
        && raw.chars().all(|c| c.is_ascii_alphanumeric() || "/@*._- ".contains(c))
        && !matches!(raw, "true" | "false")
        && raw.contains(|c: char| c.is_ascii_alphabetic() || c == '/')
}

/// The nearest key of this name before a position.
fn first_of(table: &DeTable<'_>, raw: &str, position: usize) -> Option<Range<usize>> {
    let name = raw.trim_matches(['"', '\'']);
    let mut nearest: Option<Range<usize>> = None;
    for (key, value) in table.iter() {
        let here = (key.get_ref() == name).then(|| key.span());
        let below = match value.get_ref() {
            DeValue::Table(inner) => first_of(inner, raw, position),
            DeValue::Array(items) => items
                .iter()
                .filter_map(|item| first_of(item.get_ref().as_table()?, raw, position))
                .max_by_key(|span| span.start),
            _ => None,
        };
        for span in [here, below].into_iter().flatten() {
            if span.end <= position && nearest.as_ref().is_none_or(|best| best.start < span.start) {
                nearest = Some(span);
            }
        }
    }
    nearest
}

/// The parser's message without the list of everything that it would have taken.
fn cut(message: &str) -> String {
    let short = match message.split_once(", expected ") {
        Some((what, expected)) if expected.len() > 40 || expected == "nothing" => what,
        _ => message,
    };
    short.chars().take(200).collect()
}
