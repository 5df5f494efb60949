//! incron 0.5.12: its system and user tables, and what their lines meant.

mod command;
mod interpreter;
mod mask;
mod path;
mod rule;
mod shell;
mod tables;
mod text;
mod variables;
mod words;

use std::collections::BTreeSet;

use super::codes;
use super::findings::Findings;
use super::table::{Line, Owner};
use super::{Surroundings, Translation};

/// The longest piece that incron read as a line, in bytes.
const LINE_MAX: usize = 999;

/// What a line depends on beside itself.
pub(super) struct Context<'t> {
    pub(super) owner: &'t Owner,
    pub(super) surroundings: &'t dyn Surroundings,
    /// Paths of the lines before it.
    seen: BTreeSet<String>,
}

impl<'t> Context<'t> {
    pub(super) fn new(owner: &'t Owner, surroundings: &'t dyn Surroundings) -> Self {
        Context { owner, surroundings, seen: BTreeSet::new() }
    }
}

/// Translates one line.
pub(super) fn translate(line: &Line<'_>, context: &mut Context<'_>, findings: &mut Findings) -> Translation {
    let bytes = line.bytes.trim_ascii();
    if bytes.is_empty() {
        return Translation::Blank;
    }
    if line.is_comment() {
        let words = bytes.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        if words.count() >= 3 {
            let message = "incron may have taken this comment for a rule";
            findings.push(&codes::LIVE_COMMENT, line.all(), message, None);
        }
        return Translation::Comment;
    }
    if line.bytes.len() > LINE_MAX {
        let message = format!("the line has {} bytes, and incron read 999 at once", line.bytes.len());
        findings.push(&codes::LONG_LINE, line.at(LINE_MAX..line.bytes.len()), message, None);
    }
    match rule::translate(line, context, findings) {
        Some(draft) => Translation::Rules(vec![draft]),
        None => Translation::Refused,
    }
}
