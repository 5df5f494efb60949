//! Rule files: as written (`document`), then as meant (`lower`), by the one table of keys (`keys`). Texts only.
//!
//! Every mistake of every file is found at once. The order of the work: the text as TOML (`syntax`), its tables and
//! keys (`document`), each value (`value` and its kin), what cannot be together (`combine`).

mod allow;
mod combine;
mod command;
mod document;
mod duration;
mod events;
pub mod files;
mod findings;
mod globs;
mod identity;
pub mod interpreter;
pub mod keys;
mod limits;
mod lower;
pub mod misread;
mod schema;
mod setting;
pub mod shell;
mod syntax;
mod text;
mod value;
pub mod words;
mod written;

pub use events::nearest_event;
pub use findings::sort;
pub use schema::schema;
pub use text::{nearest, shown, shown_path};
pub use written::{Place, WrittenRule};

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::codes::{DUPLICATE, TOO_MUCH, UNREADABLE};
use crate::diagnostic::{Diagnostic, Lines, SourceText, boundary_before};
use crate::rule::{DaemonSettings, RuleSet, Source};
use combine::Judge;
use document::{Document, Section};
use findings::Findings;
use globs::Compiled;
use keys::KeyId;
use lower::Draft;
use value::Values;

/// The largest rule file, bytes.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// The largest sum of all rule files, bytes.
pub const TOTAL_BYTES_MAX: usize = 8 << 20;

/// The most rules of all files together.
pub const RULES_MAX: usize = 10_000;

/// Everything that the rule files say.
#[derive(Debug, Default)]
pub struct Parsed {
    /// The rules that are used. Nothing may be armed while one of the findings is an error.
    pub rules: RuleSet,
    /// What is wrong, file by file and from top to bottom.
    pub findings: Vec<Diagnostic>,
    /// Every rule that is right in itself, disabled ones too, with its places.
    pub written: Vec<WrittenRule>,
    /// The others, as far as they could be understood: what else is wrong with them can be said at once.
    pub flawed: Vec<WrittenRule>,
    /// Whether something is wrong with a `[daemon]`, so that its settings are not all that was meant.
    pub is_daemon_flawed: bool,
}

/// A rule file's bytes as text, with what is wrong with them: too many, or not UTF-8.
pub fn decode(name: &str, source: usize, bytes: Vec<u8>) -> (SourceText, Option<Diagnostic>) {
    if bytes.len() > FILE_BYTES_MAX {
        let text = SourceText { name: name.into(), text: "".into() };
        return (text, Some(too_large(source)));
    }
    match String::from_utf8(bytes) {
        Ok(text) => (SourceText { name: name.into(), text: text.into() }, None),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let mut text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            // What stands for a bad byte is longer than the byte.
            text.truncate(boundary_before(&text, FILE_BYTES_MAX));
            let place = valid..(valid + char::REPLACEMENT_CHARACTER.len_utf8()).min(text.len());
            let finding = UNREADABLE.at(source, place, "the file is not UTF-8 from here on");
            (SourceText { name: name.into(), text: text.into() }, Some(finding))
        }
    }
}

/// Reads a duration as the rule file has it, for options that stand for one of its keys.
///
/// # Errors
/// What is wrong with it, as a predicate.
pub fn duration(text: &str, may_be_zero: bool) -> Result<Duration, String> {
    duration::parse_duration(text, may_be_zero, keys::DURATION_MILLIS_MAX).map_err(|fault| fault.message)
}

fn too_large(source: usize) -> Diagnostic {
    TOO_MUCH.at(source, 0..0, "the file is larger than 1 MiB")
}

/// Reads all rule files together.
pub fn parse(sources: &[SourceText]) -> Parsed {
    let mut reader = Reader::default();
    let mut bytes_total = 0;
    let mut headers_total = 0;
    for (source, file) in sources.iter().enumerate() {
        bytes_total += file.text.len();
        headers_total += rule_headers(&file.text);
        if file.text.len() > FILE_BYTES_MAX {
            reader.findings.push(too_large(source));
        } else if bytes_total > TOTAL_BYTES_MAX {
            reader.findings.push(TOO_MUCH.at(source, 0..0, "all rule files together are larger than 8 MiB"));
        } else if headers_total > RULES_MAX {
            let message = format!("all rule files together have more than {RULES_MAX} rules");
            reader.findings.push(TOO_MUCH.at(source, 0..0, message));
        } else {
            reader.file(source, file);
        }
        reader.findings.end_file(source);
    }
    reader.finish()
}

/// How many rules a text seems to have, without parsing it.
fn rule_headers(text: &str) -> usize {
    let is_header = |line: &&str| {
        let inside = line.trim_start().strip_prefix("[[").map(str::trim_start);
        inside.is_some_and(|inside| inside.trim_start_matches(['"', '\'']).starts_with("rule"))
    };
    text.lines().filter(is_header).count()
}

#[derive(Default)]
struct Reader {
    daemon: DaemonSettings,
    /// Where each key of `[daemon]` is written, and its text.
    daemon_places: BTreeMap<KeyId, (usize, Range<usize>, String)>,
    /// Where each name is written.
    names: HashMap<Arc<str>, (usize, Range<usize>)>,
    written: Vec<WrittenRule>,
    flawed: Vec<WrittenRule>,
    is_daemon_flawed: bool,
    findings: Findings,
    compiled: Compiled,
}

impl Reader {
    fn file(&mut self, source: usize, file: &SourceText) {
        let document = Document::read(source, &file.text, &mut self.findings);
        let lines = Lines::new(&file.text);
        let Reader { findings, compiled, daemon, daemon_places, names, written, flawed, is_daemon_flawed } =
            self;
        let mut values = Values { source, text: &file.text, findings, compiled };
        if let Some(section) = &document.daemon {
            let before = values.findings.len();
            read_daemon(daemon, daemon_places, section, &mut values);
            *is_daemon_flawed |= section.is_flawed || values.findings.has_error_since(before);
        }
        let mut defaults = Draft::default();
        let before = values.findings.len();
        let default_places: Arc<[Place]> = match &document.defaults {
            Some(section) => defaults.apply(section, &mut values).into(),
            None => Arc::default(),
        };
        let has_flawed_defaults = values.findings.has_error_since(before)
            || document.defaults.as_ref().is_some_and(|section| section.is_flawed);
        for section in &document.rules {
            let before = values.findings.len();
            let mut draft = defaults.clone();
            let own = draft.apply(section, &mut values);
            let header = section.header.clone();
            if let Some(name) = &draft.name {
                claim_name(names, name, &own, &header, &mut values);
            }
            let line = u32::try_from(lines.line(header.start)).expect("a file of 1 MiB has fewer lines");
            let (is_enabled, allow) = (draft.enabled, Arc::clone(&draft.allow));
            let is_broken = document.is_broken;
            let judge = Judge {
                draft,
                header: header.clone(),
                places: &own,
                meant: &section.meant,
                is_broken,
                values: &mut values,
            };
            let (rule, is_whole) = judge.rule(Source { file: file.name.clone(), line });
            let is_right = is_whole
                && !(has_flawed_defaults || section.is_flawed || values.findings.has_error_since(before));
            let (rule, defaults) = (Arc::new(rule), Arc::clone(&default_places));
            let own = own.into();
            let rule = WrittenRule { rule, is_enabled, allow, source, header, own, defaults };
            if is_right { written.push(rule) } else { flawed.push(rule) }
        }
    }

    fn finish(self) -> Parsed {
        let used = self.written.iter().filter(|written| written.is_enabled);
        let rules = used.map(|written| Arc::clone(&written.rule)).collect();
        Parsed {
            rules: RuleSet { daemon: self.daemon, rules },
            findings: self.findings.into_sorted(),
            written: self.written,
            flawed: self.flawed,
            is_daemon_flawed: self.is_daemon_flawed,
        }
    }
}

/// Takes a name for a rule, unless another rule has it.
fn claim_name(
    names: &mut HashMap<Arc<str>, (usize, Range<usize>)>,
    name: &Arc<str>,
    own: &[Place],
    header: &Range<usize>,
    values: &mut Values<'_, '_>,
) {
    let place = own.iter().find(|place| place.key == KeyId::Name);
    let span = place.map_or_else(|| header.clone(), Place::span);
    match names.get(name) {
        Some((source, first)) => {
            let message = format!("another rule is called `{name}`");
            let finding =
                values.at(DUPLICATE, span, message).with_related(*source, first.clone(), "first here");
            values.report(finding);
        }
        None => {
            names.insert(Arc::clone(name), (values.source, span));
        }
    }
}

/// Reads `[daemon]`: all files together have one.
fn read_daemon(
    daemon: &mut DaemonSettings,
    places: &mut BTreeMap<KeyId, (usize, Range<usize>, String)>,
    section: &Section<'_>,
    values: &mut Values<'_, '_>,
) {
    for entry in &section.entries {
        // What is wrong is reported; the rest of the section is read all the same.
        let _ = lower::set_daemon(daemon, entry.key, &entry.value, values);
        let span = entry.value.span();
        let text = values.text.get(span.clone()).unwrap_or_default().to_owned();
        if let Some((source, first, said)) = places.get(&entry.key.id) {
            if *said != text {
                let message = format!("another file says otherwise about `{}`", entry.key.name);
                let finding = values.at(DUPLICATE, span, message);
                let finding = finding.with_related(*source, first.clone(), "first here");
                values.report(finding);
            }
        } else {
            places.insert(entry.key.id, (values.source, span, text));
        }
    }
}
