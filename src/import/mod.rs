//! Classic tables: lines as written become rules, then a commented rule file, with a finding for every line
//! whose meaning changes.
//!
//! Everything here is a function of bytes and of what a [`Surroundings`] answers. What a line *said*, what the
//! classic daemon *did* with it and what it surely *meant* can differ: the rule says what was meant, and
//! [`codes`] says so. Nothing is guessed silently: what cannot be said in a rule file is refused and stays in
//! it as a comment.

mod allow;
pub mod codes;
mod draft;
mod facron;
mod findings;
mod incron;
mod name;
mod path;
mod program;
mod report;
mod surroundings;
mod table;
mod write;

use std::num::NonZeroU32;
use std::time::Duration;

use crate::config::{FILE_BYTES_MAX, RULES_MAX};
use crate::diagnostic::{Diagnostic, Severity, SourceText};

pub use codes::{CODES, Code};
pub use report::{explain, summary};
pub use surroundings::{FileSystem, Place, PlaceKind, Surroundings};
pub use table::{Dialect, Owner, Table};

use draft::Draft;
use findings::Findings;
use table::Line;

/// The longest line, in bytes: twice as much, with every brace doubled, is the longest argument of a rule.
const LINE_MAX: usize = 65_535;

/// What is put on every rule.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `debounce`; none: the classic daemons had none.
    pub debounce: Option<Duration>,
    /// `timeout`; none: the classic daemons had none.
    pub timeout: Option<Duration>,
    /// `concurrency`; none: as the classic daemons did, every trigger its own run, at once.
    pub concurrency: Option<Concurrency>,
}

/// How many runs of a rule at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concurrency {
    /// 1–1024.
    Limit(NonZeroU32),
    /// `"unlimited"`.
    Unlimited,
}

/// What became of the tables.
#[derive(Debug)]
pub struct Import {
    /// The rule file.
    pub toml: String,
    /// Every line of every table, in order.
    pub lines: Vec<TranslatedLine>,
    /// The tables as texts, for the findings.
    pub sources: Vec<SourceText>,
    /// The findings, in the order of the lines.
    pub findings: Vec<Diagnostic>,
}

/// One line and what became of it.
#[derive(Debug)]
pub struct TranslatedLine {
    /// Index of its table in [`Import::sources`].
    pub source: usize,
    /// From 1.
    pub number: usize,
    /// What it said, fit to be shown.
    pub said: String,
    /// What became of it.
    pub fate: Fate,
    /// Its findings, as a range of [`Import::findings`].
    pub findings: std::ops::Range<usize>,
}

/// What becomes of a line.
#[derive(Debug, PartialEq)]
pub enum Fate {
    /// It is empty.
    Blank,
    /// It stays a comment.
    Comment,
    /// It is these rules: one, or two where they cannot be one.
    Rules(Vec<TranslatedRule>),
    /// It is no rule; the findings say why.
    Refused,
}

/// A rule that a line became.
#[derive(Debug, PartialEq, Eq)]
pub struct TranslatedRule {
    /// Its name.
    pub name: String,
    /// What it does, in a sentence.
    pub does: String,
}

impl Import {
    /// Whether every line was translated as it was: nothing is left out, no meaning has changed.
    pub fn is_faithful(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity == Severity::Note)
    }
}

/// What a dialect makes of a line; the reasons are among the findings.
enum Translation {
    Blank,
    Comment,
    Rules(Vec<Draft>),
    Refused,
}

/// Translates tables to one rule file.
pub fn import(tables: &[Table], options: &Options, surroundings: &dyn Surroundings) -> Import {
    let mut names = name::Names::default();
    let mut writer = write::Writer::new(options, tables);
    let mut import =
        Import { toml: String::new(), lines: Vec::new(), sources: Vec::new(), findings: Vec::new() };
    for (source, table) in tables.iter().enumerate() {
        writer.begin(source);
        let mut context = incron::Context::new(&table.owner, surroundings);
        for line in table.lines() {
            let mut findings = Findings::default();
            let translation = translate(table, &line, &mut context, &mut findings);
            let fate = match translation {
                Translation::Blank => {
                    writer.blank();
                    Fate::Blank
                }
                Translation::Comment => {
                    writer.comment(line.bytes);
                    Fate::Comment
                }
                Translation::Refused => {
                    writer.refused(line.bytes, &findings);
                    Fate::Refused
                }
                Translation::Rules(drafts) => {
                    let rules: Vec<(String, Draft)> =
                        drafts.into_iter().map(|draft| (names.choose(&draft), draft)).collect();
                    writer.rules(line.bytes, &rules, &findings);
                    let translated =
                        |(name, draft): (String, Draft)| TranslatedRule { does: draft.to_string(), name };
                    Fate::Rules(rules.into_iter().map(translated).collect())
                }
            };
            let start = import.findings.len();
            import.findings.extend(findings.into_diagnostics(source));
            import.lines.push(TranslatedLine {
                source,
                number: line.number,
                said: table::readable(line.bytes.trim_ascii_end()),
                fate,
                findings: start..import.findings.len(),
            });
        }
        import.sources.push(SourceText { name: table.shown_name().into(), text: table.text().into() });
    }
    import.toml = writer.finish();
    import.findings.extend(too_much(&import));
    import
}

/// What a single rule file cannot hold is still written, so that it can be split.
fn too_much(import: &Import) -> Option<Diagnostic> {
    let count = |line: &TranslatedLine| match &line.fate {
        Fate::Rules(rules) => rules.len(),
        Fate::Blank | Fate::Comment | Fate::Refused => 0,
    };
    let rules: usize = import.lines.iter().map(count).sum();
    let bytes = import.toml.len();
    let message = if bytes > FILE_BYTES_MAX {
        format!("the rules make {bytes} bytes, and a rule file has at most {FILE_BYTES_MAX}")
    } else if rules > RULES_MAX {
        format!("{rules} rules, and facron takes at most {RULES_MAX}")
    } else {
        return None;
    };
    let code = &codes::TOO_MUCH;
    Some(Diagnostic { source: None, ..Diagnostic::new(code.severity, code.name, 0, 0..0, message) })
}

/// Translates one line: first what both dialects share, then its own.
fn translate(
    table: &Table,
    line: &Line<'_>,
    context: &mut incron::Context<'_>,
    findings: &mut Findings,
) -> Translation {
    if line.has_mark {
        let help = "save the table without the mark".to_owned();
        findings.push(&codes::BYTE_ORDER_MARK, line.start(), "a byte order mark before the line", Some(help));
    }
    if line.bytes.len() > LINE_MAX {
        let message = format!("the line has {} bytes, and 64 KiB are the most", line.bytes.len());
        findings.push(&codes::TOO_LONG, line.start(), message, None);
        return Translation::Refused;
    }
    if let Some(offset) = line.bytes.iter().position(|byte| *byte == 0) {
        let help = "a rule file cannot hold it; remove it, or write the rule by hand".to_owned();
        findings.push(&codes::NUL, line.at(offset..offset + 1), "a NUL in the line", Some(help));
        return Translation::Refused;
    }
    match table.dialect {
        Dialect::Facron => facron::translate(line, context.surroundings, findings),
        Dialect::Incron => incron::translate(line, context, findings),
    }
}
