//! Lints: `facts` says what is asked about the system, `system` asks it; `table` has one row a lint; `refusals` are
//! those findings that the daemon heeds too.

mod allow;
mod between;
pub mod facts;
mod globs;
mod loops;
mod program;
mod refusals;
mod settings;
mod system;
mod table;
mod watched;
mod words;

pub use refusals::refusals;
pub use system::System;
pub use table::{LINTS, Lint};

use std::ops::Range;
use std::path::PathBuf;

use crate::codes::Code;
use crate::config::keys::KeyId;
use crate::config::{Parsed, WrittenRule};
use crate::diagnostic::{Diagnostic, SourceText};
use crate::rule::Rule;
use allow::Sieve;
use facts::Facts;
use table::Look;

/// Findings of one kind in one rule: a list may have a hundred thousand items.
const FINDINGS_MAX: usize = 50;

/// Everything that lints look at.
pub struct Texts<'t> {
    /// What the rule files say.
    pub parsed: &'t Parsed,
    /// What is wrong with them already.
    pub findings: &'t [Diagnostic],
    /// Their texts.
    pub sources: &'t [SourceText],
    /// Their paths, as many.
    pub paths: &'t [PathBuf],
    /// What the system knows.
    pub facts: &'t dyn Facts,
}

/// Looks for everything that the table has, and for what the daemon would refuse; findings come in no order.
pub fn lint(texts: &Texts<'_>) -> Vec<Diagnostic> {
    let rules = &texts.parsed.written;
    let mut sieve = Sieve::default();
    for lint in LINTS {
        let code = lint.code;
        let subject = |written| Subject { written, rule: &written.rule, code, texts, facts: texts.facts };
        match lint.look {
            Look::Each(look) => {
                for written in rules {
                    sieve.put(Some(written), code, look(&subject(written)));
                }
            }
            Look::All(look) => {
                for (written, finding) in look(code, texts) {
                    sieve.put(written, code, [finding]);
                }
            }
            Look::Allowed(look) => {
                for written in rules {
                    let found = look(&subject(written), &sieve);
                    sieve.put(Some(written), code, found);
                }
            }
        }
    }
    let mut findings = refusals(texts.parsed, texts.paths, texts.facts);
    findings.append(&mut sieve.findings);
    findings
}

/// The first few findings of one kind in one rule; the last of them says that there are more.
fn bounded(findings: impl Iterator<Item = Diagnostic>) -> Vec<Diagnostic> {
    let mut findings: Vec<Diagnostic> = findings.take(FINDINGS_MAX + 1).collect();
    if findings.len() > FINDINGS_MAX {
        findings.truncate(FINDINGS_MAX);
        findings[FINDINGS_MAX - 1].notes.push("there are more like it in this rule".to_owned());
    }
    findings
}

/// One rule under one lint.
struct Subject<'s> {
    written: &'s WrittenRule,
    rule: &'s Rule,
    code: &'static Code,
    texts: &'s Texts<'s>,
    facts: &'s dyn Facts,
}

impl Subject<'_> {
    /// A finding at the value of a key.
    fn at(&self, key: KeyId, message: impl Into<String>) -> Diagnostic {
        self.code.at(self.written.source, self.written.span(key), message)
    }

    /// A finding at an item of the array of a key.
    fn at_item(&self, key: KeyId, index: usize, message: impl Into<String>) -> Diagnostic {
        self.code.at(self.written.source, self.written.item_span(key, index), message)
    }

    /// The text at a place of the rule's file.
    fn raw(&self, span: &Range<usize>) -> &str {
        self.text().get(span.clone()).unwrap_or_default()
    }

    /// The line at a place, with its line break, where nothing else stands on it.
    fn whole_line(&self, span: Range<usize>) -> Option<Range<usize>> {
        let text = self.text();
        let start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
        let end = text[span.end..].find('\n').map_or(text.len(), |len| span.end + len + 1);
        let is_alone = text[start..span.start].trim().is_empty() && text[span.end..end].trim().is_empty();
        is_alone.then_some(start..end)
    }

    /// The text of the rule's file.
    fn text(&self) -> &str {
        &self.texts.sources[self.written.source].text
    }
}
