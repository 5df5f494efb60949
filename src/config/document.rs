//! A rule file as it is written: which keys stand where, with their places; no value is looked at.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::findings::Findings;
use super::keys::{self, Key};
use super::syntax::Syntax;
use super::text::{is_same_word, nearest, shown};
use crate::codes::{SYNTAX, UNKNOWN_KEY, WRONG_TYPE};
use crate::diagnostic::Diagnostic;

/// One rule file.
#[derive(Default)]
pub(super) struct Document<'t> {
    /// `[daemon]`.
    pub daemon: Option<Section<'t>>,
    /// `[defaults]`.
    pub defaults: Option<Section<'t>>,
    /// Every `[[rule]]` that is understood, in order.
    pub rules: Vec<Section<'t>>,
    /// Whether something of it was not understood: then a missing key says nothing.
    pub is_broken: bool,
}

/// A table of a rule file with its known keys, in the order in which they are written.
pub(super) struct Section<'t> {
    /// Its header.
    pub header: Range<usize>,
    /// Its keys.
    pub entries: Vec<Entry<'t>>,
    /// Whether a key of it was refused, or not understood.
    pub is_flawed: bool,
    /// The keys that were probably meant by those that nobody knows: they are not missing.
    pub meant: Vec<&'static str>,
}

/// A key with its value.
pub(super) struct Entry<'t> {
    /// Which.
    pub key: &'static Key,
    /// Where it is written.
    pub key_span: Range<usize>,
    /// Its value.
    pub value: Spanned<DeValue<'t>>,
}

/// Words that people coming from elsewhere write, and our key for it.
const FOREIGN_KEYS: &[(&str, &str)] = &[
    ("args", "command"),
    ("backoff", "retry-delay"),
    ("cmd", "command"),
    ("cooldown", "debounce"),
    ("delay", "debounce"),
    ("environment", "env"),
    ("event", "on"),
    ("events", "on"),
    ("exec", "command"),
    ("grace", "kill-after"),
    ("id", "name"),
    ("ignore", "exclude"),
    ("mask", "on"),
    ("parallel", "concurrency"),
    ("recursive", "scope"),
    ("run", "command"),
    ("target", "path"),
    ("uid", "user"),
    ("watch", "path"),
    ("workdir", "cwd"),
    ("working-directory", "cwd"),
];

impl<'t> Document<'t> {
    /// Reads a text; what is wrong with it goes to the findings.
    pub fn read(source: usize, text: &'t str, findings: &mut Findings) -> Document<'t> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let syntax = Syntax::new(source, text, table.get_ref(), &errors);
        drop(errors);
        let mut document = Document { is_broken: !syntax.findings.is_empty(), ..Document::default() };
        let mut reader = Reader { source, text, syntax: &syntax, findings };
        for (key, value) in table.into_inner() {
            reader.top(&mut document, &key, value);
        }
        for finding in syntax.findings {
            findings.push(finding);
        }
        document
    }
}

struct Reader<'t, 'f> {
    source: usize,
    text: &'t str,
    syntax: &'f Syntax,
    findings: &'f mut Findings,
}

impl<'t> Reader<'t, '_> {
    /// Reads one key of the top of the file.
    fn top(&mut self, document: &mut Document<'t>, key: &Spanned<Cow<'t, str>>, value: Spanned<DeValue<'t>>) {
        let span = value.span();
        match (key.get_ref().as_ref(), value.into_inner()) {
            ("rule", DeValue::Array(items)) => {
                for item in items {
                    let span = item.span();
                    match item.into_inner() {
                        DeValue::Table(table) => {
                            document.rules.extend(self.section(span, table, keys::rule_keys()));
                        }
                        _ => self.report(WRONG_TYPE.at(self.source, span, "a rule is a table")),
                    }
                }
            }
            ("rule", DeValue::Table(_)) => {
                let finding =
                    SYNTAX.at(self.source, span.clone(), "there may be any number of rules: `[[rule]]`");
                self.report(match self.text.get(span.clone()) {
                    Some("[rule]") => finding.with_fix(span, "[[rule]]", true),
                    _ => finding,
                });
            }
            ("defaults", DeValue::Table(table)) => {
                document.defaults = self.section(span, table, keys::default_keys());
            }
            ("daemon", DeValue::Table(table)) => {
                document.daemon = self.section(span, table, keys::daemon_keys());
            }
            (name @ ("rule" | "defaults" | "daemon"), _) => {
                let header = if name == "rule" { "[[rule]]".to_owned() } else { format!("[{name}]") };
                self.report(WRONG_TYPE.at(self.source, span, format!("`{name}` is a table: `{header}`")));
            }
            (name, _) => {
                let finding = UNKNOWN_KEY.at(
                    self.source,
                    key.span(),
                    format!("unknown key {} at the top of a file", shown(name)),
                );
                let is_of_rule = keys::rule_keys().any(|key| key.name == name);
                let near = nearest(name, ["rule", "defaults", "daemon"].into_iter());
                self.report(match near {
                    _ if is_of_rule => finding.with_help("the keys of a rule stand below a `[[rule]]`"),
                    Some(near) => finding.with_help(format!("did you mean `{near}`?")),
                    None => finding.with_help("a rule file has `[daemon]`, `[defaults]` and `[[rule]]`"),
                });
            }
        }
    }

    /// Reads a table; none: it stands where the text is not understood any more.
    fn section(
        &mut self,
        header: Range<usize>,
        table: DeTable<'t>,
        known: impl Iterator<Item = &'static Key> + Clone,
    ) -> Option<Section<'t>> {
        if header.start >= self.syntax.understood_until {
            return None;
        }
        let mut entries = Vec::with_capacity(table.len());
        let mut is_flawed = false;
        let mut meant = Vec::new();
        for (written, value) in table {
            // What the parser made up where it did not understand is not looked at.
            if !self.syntax.is_understood(&written.span()) || !self.syntax.is_understood(&value.span()) {
                is_flawed = true;
                continue;
            }
            match known.clone().find(|key| key.name == written.get_ref().as_ref()) {
                Some(key) => entries.push(Entry { key, key_span: written.span(), value }),
                None => {
                    is_flawed = true;
                    meant.extend(self.unknown_key(&written, known.clone()));
                }
            }
        }
        entries.sort_by_key(|entry| entry.key_span.start);
        Some(Section { header, entries, is_flawed, meant })
    }

    /// Reports a key that nobody knows; the one that was probably meant.
    fn unknown_key(
        &mut self,
        written: &Spanned<Cow<'_, str>>,
        known: impl Iterator<Item = &'static Key> + Clone,
    ) -> Option<&'static str> {
        if self.findings.is_full() {
            return None;
        }
        let name = written.get_ref().as_ref();
        let finding = UNKNOWN_KEY.at(self.source, written.span(), format!("unknown key {}", shown(name)));
        if let Some(key) = keys::KEYS.iter().find(|key| key.name == name) {
            let place = if key.section == keys::Section::Daemon { "[daemon]" } else { "[[rule]]" };
            self.report(finding.with_help(format!("`{name}` stands below `{place}`")));
            return None;
        }
        let foreign = FOREIGN_KEYS.iter().find(|(foreign, _)| is_same_word(name, foreign));
        let near = match foreign {
            Some((_, ours)) => known.clone().map(|key| key.name).find(|name| name == ours),
            None => nearest(name, known.map(|key| key.name)),
        };
        self.report(match near {
            Some(near) => finding.with_help(format!("did you mean `{near}`?")).with_fix(
                written.span(),
                near,
                is_same_word(name, near),
            ),
            None => finding,
        });
        near
    }

    fn report(&mut self, finding: Diagnostic) {
        if self.syntax.is_understood(&finding.span) {
            self.findings.push(finding);
        }
    }
}
