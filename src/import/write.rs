//! The rule file that an import writes: toml_edit makes the values, comments stay where they stood.

use std::collections::BTreeSet;
use std::time::Duration;

use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table as TomlTable, Value, value};

use crate::diagnostic::Severity;
use crate::escape;
use crate::event::EventMask;

use super::draft::{Draft, Run, User, scope_name};
use super::findings::Findings;
use super::{Concurrency, Options, Table, table};

/// Where editors find the keys of a rule file.
const SCHEMA: &str = "#:schema /usr/share/facron/facron.schema.json\n";

/// Gathers rules and what stands between them.
pub struct Writer<'o> {
    options: &'o Options,
    rules: ArrayOfTables,
    /// Comments and empty lines since the last rule.
    pending: String,
    /// What the tables are, for people.
    tables: Vec<String>,
}

impl<'o> Writer<'o> {
    /// A file without rules, for these tables.
    pub fn new(options: &'o Options, tables: &[Table]) -> Self {
        let tables = tables.iter().map(Table::describe).collect();
        Writer { options, rules: ArrayOfTables::new(), pending: String::new(), tables }
    }

    /// A table begins, by its place among them. One alone needs no word.
    pub fn begin(&mut self, index: usize) {
        if self.tables.len() > 1 {
            self.blank();
            self.blank_after_rule();
            self.pending.push_str(&format!("# From {}.\n\n", self.tables[index]));
        }
    }

    /// An empty line; two in a row are one.
    pub fn blank(&mut self) {
        if !self.pending.is_empty() && !self.pending.ends_with("\n\n") {
            self.pending.push('\n');
        }
    }

    /// A comment of the table.
    pub fn comment(&mut self, line: &[u8]) {
        self.blank_after_rule();
        let line = line.trim_ascii();
        let is_comment = line.starts_with(b"#");
        // `#:` would speak to editors.
        let marker = if !is_comment {
            "# "
        } else if line.starts_with(b"#:") {
            "#"
        } else {
            ""
        };
        self.pending.push_str(marker);
        self.pending.push_str(&table::readable(line));
        self.pending.push('\n');
    }

    /// A line that is left out, with the reasons.
    pub fn refused(&mut self, line: &[u8], findings: &Findings) {
        self.blank_after_rule();
        self.say(findings, |severity| Some(if severity == Severity::Error { "Refused" } else { "Also" }));
        self.classic_line(line);
        self.blank();
    }

    /// The rules of a line, below the line that they came from.
    pub fn rules(&mut self, line: &[u8], rules: &[(String, Draft)], findings: &Findings) {
        self.blank_after_rule();
        self.classic_line(line);
        self.say(findings, |severity| (severity == Severity::Warning).then_some("Changed"));
        for (name, draft) in rules {
            self.blank_after_rule();
            let mut table = rule_table(name, draft);
            table.decor_mut().set_prefix(std::mem::take(&mut self.pending));
            self.rules.push(table);
        }
    }

    /// The file as text.
    pub fn finish(mut self) -> String {
        let mut header = SCHEMA.to_owned();
        for table in &self.tables {
            header.push_str(&format!("# Translated by facron import from {table}.\n"));
        }
        let mut document = DocumentMut::new();
        let rest = self.pending.trim_end();
        let rest = if rest.is_empty() { String::new() } else { format!("{rest}\n") };
        if self.rules.is_empty() {
            document.set_trailing(format!("{header}\n{}", rest.trim_start()));
            return document.to_string();
        }
        let mut defaults = defaults_table(self.options);
        defaults.decor_mut().set_prefix(format!("{header}\n"));
        document.insert("defaults", Item::Table(defaults));
        document.insert("rule", Item::ArrayOfTables(std::mem::take(&mut self.rules)));
        document.set_trailing(rest);
        document.to_string()
    }

    fn blank_after_rule(&mut self) {
        if self.pending.is_empty() {
            self.pending.push('\n');
        }
    }

    fn classic_line(&mut self, line: &[u8]) {
        let line = line.trim_ascii();
        self.pending.push_str("# ");
        self.pending.push_str(&table::readable(line));
        self.pending.push('\n');
    }

    /// Says what was found, each once, behind the word for how bad it is; no word: nothing is said.
    fn say(&mut self, findings: &Findings, word: impl Fn(Severity) -> Option<&'static str>) {
        let mut said = BTreeSet::new();
        for finding in findings.iter() {
            let Some(word) = word(finding.code.severity) else { continue };
            let sentence = format!("# {word} ({}): {}.\n", finding.code.name, escape::line(&finding.message));
            if said.insert(sentence.clone()) {
                self.pending.push_str(&sentence);
            }
        }
    }
}

/// What the options and the classic daemons' way say for every rule.
fn defaults_table(options: &Options) -> TomlTable {
    let mut table = TomlTable::new();
    if let Some(debounce) = options.debounce {
        table.insert("debounce", value(duration(debounce)));
    }
    match options.concurrency {
        None | Some(Concurrency::Unlimited) => {
            table.insert("concurrency", value("unlimited"));
            table.insert("on-busy", value("queue"));
        }
        Some(Concurrency::Limit(limit)) => {
            table.insert("concurrency", value(i64::from(limit.get())));
        }
    }
    if let Some(timeout) = options.timeout {
        table.insert("timeout", value(duration(timeout)));
    }
    table
}

fn rule_table(name: &str, draft: &Draft) -> TomlTable {
    let mut table = TomlTable::new();
    table.insert("name", value(name));
    if !draft.is_enabled {
        table.insert("enabled", value(false));
    }
    if !draft.allow.is_empty() {
        table.insert("allow", value(draft.allow.iter().copied().collect::<Array>()));
    }
    table.insert("path", string(&draft.path));
    if let Some(scope) = draft.scope {
        table.insert("scope", value(scope_name(scope)));
    }
    for (key, globs) in [("include", &draft.include), ("exclude", &draft.exclude)] {
        if !globs.is_empty() {
            table.insert(key, strings(globs));
        }
    }
    if draft.has_dirs {
        table.insert("dirs", value(true));
    }
    table.insert("on", value(events(&draft.on)));
    if draft.is_serial {
        table.insert("concurrency", value(1));
        table.insert("on-busy", value("coalesce"));
    }
    match &draft.run {
        Run::Argv(arguments) => table.insert("command", strings(arguments)),
        Run::Shell(text) => table.insert("shell", string(text)),
    };
    if let Some(user) = &draft.user {
        table.insert("user", value(&user.name));
        table.insert("env", value(environment(user)));
        // A command of the user's own may start programs with rights of their own, such as sudo or sendmail.
        table.insert("no-new-privs", value(false));
    }
    if draft.is_guard() {
        table.insert("verdict", value("allow"));
    }
    table
}

/// What facron would set otherwise, or not at all.
fn environment(user: &User) -> InlineTable {
    [("PATH", user.path), ("USERNAME", &user.name)].into_iter().collect()
}

fn strings(texts: &[String]) -> Item {
    value(texts.iter().map(|text| plain_value(text)).collect::<Array>())
}

fn string(text: &str) -> Item {
    value(plain_value(text))
}

/// A string whose text cannot deceive whoever reads the file: what is no printable character is escaped.
fn plain_value(text: &str) -> Value {
    if escape::line(text) == text {
        return Value::from(text);
    }
    let mut written = String::from("\"");
    for character in text.chars() {
        let is_printable = escape::line(character.encode_utf8(&mut [0; 4])).starts_with(character);
        match character {
            '"' | '\\' => written.extend(['\\', character]),
            _ if is_printable => written.push(character),
            _ => written.push_str(&format!("\\U{:08X}", u32::from(character))),
        }
    }
    written.push('"');
    written.parse().expect("quotes and backslashes are escaped")
}

/// One event as a string, several as an array, those that belong together as an inner one.
fn events(on: &[EventMask]) -> Value {
    let names = |events: EventMask| events.kinds().map(|kind| kind.name).collect::<Vec<_>>();
    let alternatives: Vec<Value> = on
        .iter()
        .map(|events| match names(*events).as_slice() {
            [name] => Value::from(*name),
            names => Value::Array(names.iter().copied().collect()),
        })
        .collect();
    match alternatives.as_slice() {
        [single] if single.is_str() => single.clone(),
        several => Value::Array(several.iter().cloned().collect()),
    }
}

fn duration(span: Duration) -> String {
    humantime::format_duration(span).to_string()
}
