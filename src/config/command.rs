//! `command`, `shell` and `on-failure`: from text to arguments.

use std::ops::Range;
use std::path::Path;

use toml::de::DeValue;

use super::keys::Key;
use super::misread::said;
use super::shell;
use super::text::{nearest, shown};
use super::value::{Value, Values};
use crate::codes::{BAD_COMMAND, PLACEHOLDER_IN_SHELL, UNKNOWN_PLACEHOLDER};
use crate::rule::Command;
use crate::template::{PLACEHOLDERS, Part, Template, TemplateError, TemplateErrorKind};

/// The longest argument that the kernel takes, bytes (MAX_ARG_STRLEN without its NUL).
const ARGUMENT_MAX: usize = 131_071;

/// The longest safe form that is shown, bytes.
const SAFE_FORM_MAX: usize = 1000;

/// One word of a command and where it stands.
struct Word {
    text: String,
    span: Range<usize>,
    /// Whether the span is that of this word alone, so that a part of it has a place too.
    is_exact: bool,
}

impl Values<'_, '_> {
    /// A program by its absolute path and its arguments.
    pub fn command(&mut self, key: &Key, value: &Value<'_>) -> Option<Command> {
        let words = self.words(key, value)?;
        let arguments: Vec<Option<Template>> =
            words.iter().enumerate().map(|(at, word)| self.argument(value, at, word)).collect();
        let arguments: Vec<Template> = arguments.into_iter().collect::<Option<_>>()?;
        let is_program_fine = self.check_program(&words[0], &arguments[0]);
        let is_shell_fine = self.check_shell_text(value, &words, &arguments);
        (is_program_fine && is_shell_fine).then_some(Command::Argv(arguments))
    }

    /// A text for `/bin/sh -c`.
    pub fn shell(&mut self, key: &Key, value: &Value<'_>) -> Option<Command> {
        let text = self.string(key, value)?;
        if text.trim().is_empty() {
            let finding = self.at(BAD_COMMAND, value.span(), "the shell has nothing to do");
            self.report(finding);
            return None;
        }
        if text.len() > ARGUMENT_MAX {
            self.too_long(value, "the text", ARGUMENT_MAX);
            return None;
        }
        let found = shell::placeholders(text);
        if found.is_empty() {
            return Some(Command::Shell(text.to_owned()));
        }
        let safe = shell::with_expansions(text, |_, name| expansion_in_shell(name).map(str::to_owned));
        let safe = safe.map(|(safe, _)| toml_string(&safe));
        let places = found.into_iter().map(|(span, name)| (self.inside(value, span), name)).collect();
        self.report_in_shell(value, places, safe, "shell = ", |name| match expansion_in_shell(name) {
            Some(expansion) => format!("the shell has it as `\"{expansion}\"`"),
            None => format!(
                "give it to a `command`, `[\"/bin/sh\", \"-c\", TEXT, \"sh\", \"{{{name}}}\"]`, as `\"$1\"`"
            ),
        });
        None
    }

    /// The words of a command, at least one.
    fn words(&mut self, key: &Key, value: &Value<'_>) -> Option<Vec<Word>> {
        let words = match value.get_ref() {
            DeValue::Array(_) => self.list(value, |values, item| {
                let text = values.string(key, item)?.to_owned();
                Some(Word { text, span: item.span(), is_exact: true })
            })?,
            _ => {
                let text = self.string(key, value)?;
                let Ok(words) = shell_words::split(text) else {
                    let message = format!("`{}` has a quote that is never closed", key.name);
                    let finding = self.at(BAD_COMMAND, value.span(), message);
                    self.report(finding);
                    return None;
                };
                words.into_iter().map(|text| Word { text, span: value.span(), is_exact: false }).collect()
            }
        };
        if words.is_empty() {
            let finding = self.at(BAD_COMMAND, value.span(), format!("`{}` has no program", key.name));
            self.report(finding);
            return None;
        }
        Some(words)
    }

    fn argument(&mut self, value: &Value<'_>, at: usize, word: &Word) -> Option<Template> {
        if self.findings.is_full() {
            return None;
        }
        if word.text.len() > ARGUMENT_MAX {
            self.too_long(value, "an argument", ARGUMENT_MAX);
            return None;
        }
        match Template::parse(&word.text) {
            Ok(template) => Some(template),
            Err(error) => {
                self.bad_argument(value, at, word, &error);
                None
            }
        }
    }

    fn bad_argument(&mut self, value: &Value<'_>, at: usize, word: &Word, error: &TemplateError) {
        let item = match value.get_ref() {
            DeValue::Array(items) => &items[at],
            _ => value,
        };
        let span = if word.is_exact { self.inside(item, error.span.clone()) } else { word.span.clone() };
        let has_place = word.is_exact && span != item.span();
        let message = match &error.kind {
            TemplateErrorKind::Unknown(name) => {
                format!("unknown placeholder {}", shown(&format!("{{{name}}}")))
            }
            other => other.to_string(),
        };
        let finding = self.at(UNKNOWN_PLACEHOLDER, span.clone(), message);
        self.report(match &error.kind {
            TemplateErrorKind::Unknown(name) => {
                let known = PLACEHOLDERS.iter().map(|(name, ..)| *name);
                match nearest(name, known) {
                    Some(near) => {
                        let finding = finding.with_help(format!("did you mean `{{{near}}}`?"));
                        if has_place { finding.with_fix(span, format!("{{{near}}}"), false) } else { finding }
                    }
                    None => finding.with_help("braces that are meant are doubled: `{{` and `}}`"),
                }
            }
            TemplateErrorKind::PathsInside => {
                finding.with_help("`{paths}` becomes one argument for each path, so it stands alone")
            }
            TemplateErrorKind::LoneBrace(brace) => {
                let finding =
                    finding.with_help(format!("a brace that is meant is doubled: `{brace}{brace}`"));
                if has_place { finding.with_fix(span, format!("{brace}{brace}"), true) } else { finding }
            }
            TemplateErrorKind::Nul => finding,
        });
    }

    fn check_program(&mut self, word: &Word, program: &Template) -> bool {
        let fault = match program.as_literal() {
            None => "the program is an absolute path, not a placeholder".to_owned(),
            Some("") => "the program is empty".to_owned(),
            Some(path) if !path.starts_with('/') => {
                format!("the program {} is not an absolute path", shown(path))
            }
            Some(path) if Path::new(path).file_name().is_none() => {
                format!("{} is no program", shown(path))
            }
            Some(_) => return true,
        };
        let finding = self.at(BAD_COMMAND, word.span.clone(), fault);
        self.report(match program.as_literal() {
            Some(name) if !name.is_empty() && !name.starts_with('/') => {
                finding.with_help(format!("write the path that `command -v` prints for {}", shown(name)))
            }
            _ => finding,
        });
        false
    }

    /// Whether no name gets into the text of a shell.
    fn check_shell_text(&mut self, value: &Value<'_>, words: &[Word], arguments: &[Template]) -> bool {
        let Some(at) = shell::text_of(&said(arguments)) else { return true };
        if arguments[at].as_literal().is_some() {
            return true;
        }
        let text = &words[at].text;
        let mut found = shell::placeholders(text);
        found.retain(|(_, name)| has_placeholder(&arguments[at], name));
        let takes_arguments = shell::takes_arguments(&said(arguments), at);
        let own = match takes_arguments {
            true => "give it as an argument of its own behind the text, where the shell has it as `\"$1\"`",
            false => "let the text read the names from standard input: `stdin = \"paths0\"`",
        };
        if found.is_empty() {
            let message = format!("{} as shell text would run what the file's name says", shown(text));
            let finding = self.at(PLACEHOLDER_IN_SHELL, words[at].span.clone(), message);
            self.report(finding.with_help(own));
            return false;
        }
        let places = found.into_iter().map(|(span, name)| match (words[at].is_exact, value.get_ref()) {
            (true, DeValue::Array(items)) => (self.inside(&items[at], span), name),
            _ => (words[at].span.clone(), name),
        });
        let places = places.collect();
        let safe = safe_command(words, at).filter(|_| takes_arguments);
        self.report_in_shell(value, places, safe, "", |_| own.to_owned());
        false
    }

    /// Reports placeholders in the text of a shell. The first shows the safe form of the whole value, where there is
    /// one that can be looked at; what one edit mends need not be said twice.
    fn report_in_shell(
        &mut self,
        value: &Value<'_>,
        places: Vec<(Range<usize>, &'static str)>,
        safe: Option<String>,
        key: &str,
        help: impl Fn(&str) -> String,
    ) {
        let mut safe = safe.filter(|safe| safe.len() <= SAFE_FORM_MAX);
        for (span, name) in places {
            let message = format!("`{{{name}}}` in shell text would run what the file's name says");
            let finding =
                self.at(PLACEHOLDER_IN_SHELL, span, message).with_label("a name must not become text");
            self.report(match safe.take() {
                Some(safe) => finding.with_help(format!("the safe form: `{key}{safe}`")).with_fix(
                    value.span(),
                    safe,
                    false,
                ),
                None => finding.with_help(help(name)),
            });
        }
    }
}

fn has_placeholder(template: &Template, name: &str) -> bool {
    let Template::Parts(parts) = template else { return false };
    parts.iter().any(|part| {
        matches!(part, Part::Placeholder(placeholder)
            if PLACEHOLDERS.iter().any(|(known, it, _)| *known == name && *it == Some(*placeholder)))
    })
}

/// A command whose shell text has arguments in place of placeholders, in TOML.
fn safe_command(words: &[Word], at: usize) -> Option<String> {
    let behind = words.len() - at - 1;
    // `$0` is the first word behind the text.
    let first = behind.max(1);
    let (text, names) = shell::with_expansions(&words[at].text, |index, _| match first + index {
        number @ 0..=9 => Some(format!("${number}")),
        // The braces are doubled, since the text is an argument with placeholders.
        number => Some(format!("${{{{{number}}}}}")),
    })?;
    if names.is_empty() {
        return None;
    }
    let mut safe: Vec<String> = words.iter().map(|word| toml_string(&word.text)).collect();
    safe[at] = toml_string(&text);
    if behind == 0 {
        safe.push(toml_string("sh"));
    }
    safe.extend(names.iter().map(|name| toml_string(&format!("{{{name}}}"))));
    Some(format!("[{}]", safe.join(", ")))
}

/// What a `shell` text writes for a placeholder, without quotes around it; none: it has no such thing.
fn expansion_in_shell(name: &str) -> Option<&'static str> {
    Some(match name {
        "path" => "$1",
        "paths" => "$@",
        "dir" => "${1%/*}",
        "name" => "${1##*/}",
        "old-path" => "$FACRON_OLD_PATH",
        "events" => "$FACRON_EVENTS",
        "pid" => "$FACRON_PID",
        "rule" => "$FACRON_RULE",
        "run" => "$FACRON_RUN",
        "count" => "$FACRON_COUNT",
        _ => return None,
    })
}

/// A text as a string of TOML, in single quotes where that is possible.
pub(super) fn toml_string(text: &str) -> String {
    if text.contains(['"', '\\']) && !text.contains('\'') && !text.contains(|c: char| c.is_control()) {
        return format!("'{text}'");
    }
    toml_edit::Value::from(text).to_string()
}
