//! Classic facron 1.1: its facron.conf, and what its lines meant.

mod command;
mod mask;
mod rule;
mod words;

use crate::event::EventMask;

use super::codes;
use super::draft::Draft;
use super::findings::Findings;
use super::table::Line;
use super::{Surroundings, Translation};

/// Translates one line.
pub(super) fn translate(
    line: &Line<'_>,
    surroundings: &dyn Surroundings,
    findings: &mut Findings,
) -> Translation {
    let is_indented = line.bytes.first().is_some_and(u8::is_ascii_whitespace);
    if line.is_comment() {
        // Indented comments were passed over; at the start of a line they were rules, if anything at all.
        if !is_indented && words::could_be_rule(line.bytes) {
            let message = "this comment looks like a rule";
            findings.push(&codes::COMMENTED_RULE, line.all(), message, None);
        }
        return Translation::Comment;
    }
    if line.bytes.trim_ascii().is_empty() {
        return Translation::Blank;
    }
    let translation = match rule::translate(line, surroundings, findings) {
        Some(draft) => Translation::Rules(split(draft)),
        None => Translation::Refused,
    };
    if is_indented { disable(line, translation, findings) } else { translation }
}

/// A line that begins with a blank was never read: it becomes a rule that is off, or text.
fn disable(line: &Line<'_>, translation: Translation, findings: &mut Findings) -> Translation {
    match translation {
        Translation::Rules(drafts) => {
            let message = "this rule has blanks before it, and was never read";
            let help = "remove `enabled = false` if it was meant to be on".to_owned();
            findings.push(&codes::INDENTED, line.all(), message, Some(help));
            let disabled = drafts.into_iter().map(|draft| Draft { is_enabled: false, ..draft });
            Translation::Rules(disabled.collect())
        }
        Translation::Refused | Translation::Blank | Translation::Comment => {
            findings.clear();
            let message = "this text has blanks before it, and was never read";
            findings.push(&codes::INDENTED_TEXT, line.all(), message, None);
            Translation::Comment
        }
    }
}

/// Permission events need a rule of their own: only that one holds up who opens the file.
fn split(draft: Draft) -> Vec<Draft> {
    let (guard, rest): (Vec<EventMask>, Vec<EventMask>) =
        draft.on.iter().partition(|events| events.intersects(EventMask::ALL_PERMISSION));
    match (guard.is_empty(), rest.is_empty()) {
        (false, false) => vec![Draft { on: rest, ..draft.clone() }, Draft { on: guard, ..draft }],
        _ => vec![draft],
    }
}
