//! `allow`: what a rule says is meant is left out of the findings; what it allows for nothing is said.

use std::collections::BTreeSet;

use super::{Subject, bounded};
use crate::codes::{Code, NEVER_FIRES};
use crate::config::WrittenRule;
use crate::config::keys::KeyId;
use crate::diagnostic::Diagnostic;

/// From this code on it depends on the system whether something is found; before it, NEVER_FIRES does.
const FIRST_OF_SYSTEM: &str = "F060";

/// Findings pass through it, but for those that their rule allows.
#[derive(Default)]
pub(super) struct Sieve<'t> {
    /// What passed.
    pub findings: Vec<Diagnostic>,
    /// What was allowed and was there: the name of the rule, and the code.
    held: BTreeSet<(&'t str, &'static str)>,
}

impl<'t> Sieve<'t> {
    /// Takes what was found in a rule; none: in the rule files.
    pub fn put(
        &mut self,
        written: Option<&'t WrittenRule>,
        code: &'static Code,
        found: impl IntoIterator<Item = Diagnostic>,
    ) {
        let mut found = found.into_iter().peekable();
        match written.filter(|written| found.peek().is_some() && written.allows(code)) {
            Some(written) => drop(self.held.insert((&written.rule.name, code.name))),
            None => self.findings.extend(found),
        }
    }
}

/// What is allowed though it is not there; everything else was looked for already.
pub(super) fn useless(subject: &Subject<'_>, sieve: &Sieve<'_>) -> Vec<Diagnostic> {
    let written = subject.written;
    // [defaults] speaks for other rules too, and a rule that is off is not compared with others.
    let Some(place) = written.own(KeyId::Allow).filter(|_| written.is_enabled) else { return Vec::new() };
    let is_useless = |code: &'static str| {
        let is_by_text = code < FIRST_OF_SYSTEM && code != NEVER_FIRES.name;
        is_by_text && !sieve.held.contains(&(&*subject.rule.name, code))
    };
    bounded(place.items().zip(&*written.allow).filter(|(_, code)| is_useless(code)).map(|(span, code)| {
        let message = format!("`{}` has no {code} to allow", subject.rule.name);
        let finding = subject.code.at(written.source, span, message).with_help("take it out");
        let line = subject.whole_line(place.key_span().start..place.span().end);
        match line.filter(|_| written.allow.len() == 1) {
            // Not every check has all the files that rules could be compared with.
            Some(line) => finding.with_fix(line, "", false),
            None => finding,
        }
    }))
}
