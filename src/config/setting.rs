//! What a command finds when it starts, as written: mask, environment, output; and how it is ended.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::keys::Key;
use super::text::{nearest, shown};
use super::value::{Value, Values, noun, whole};
use crate::codes::{BAD_NAME, OUT_OF_RANGE, TOO_MUCH, UNKNOWN_KEY, UNKNOWN_WORD, WRONG_TYPE};
use crate::rule::Output;
use crate::signal;

/// The longest variable with its name that the kernel takes, bytes (MAX_ARG_STRLEN without `=` and NUL).
const VARIABLE_MAX: usize = 131_070;

impl Values<'_, '_> {
    /// An octal number in a string.
    pub fn umask(&mut self, key: &Key, value: &Value<'_>) -> Option<u32> {
        let mask = match value.get_ref() {
            DeValue::Integer(number) if number.radix() == 8 => whole(value.get_ref()),
            DeValue::String(text) if text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                i64::from_str_radix(text, 8).ok()
            }
            DeValue::String(_) => None,
            _ => {
                self.mismatch(key, value);
                return None;
            }
        };
        let mask = mask.and_then(|mask| u32::try_from(mask).ok()).filter(|mask| *mask <= 0o777);
        if mask.is_none() {
            let message = format!("`{}` takes {}", key.name, key.kind.expected());
            let finding = self.at(OUT_OF_RANGE, value.span(), message);
            self.report(finding);
        }
        mask
    }

    /// A table of variables.
    pub fn environment(&mut self, key: &Key, value: &Value<'_>) -> Option<BTreeMap<String, String>> {
        let mut variables = BTreeMap::new();
        let mut is_fine = true;
        for (name, value) in self.table(key, value)? {
            if !is_variable(name.get_ref()) {
                let message = format!("{} is no name of a variable", shown(name.get_ref()));
                let finding = self.at(BAD_NAME, name.span(), message);
                self.report(finding);
                is_fine = false;
            }
            match value.get_ref() {
                DeValue::String(text) if text.contains('\0') => {
                    let finding = self.at(WRONG_TYPE, value.span(), "a variable cannot hold a NUL");
                    self.report(finding);
                    is_fine = false;
                }
                DeValue::String(text) if name.get_ref().len() + text.len() > VARIABLE_MAX => {
                    self.too_long(value, "the variable", VARIABLE_MAX);
                    is_fine = false;
                }
                DeValue::String(text) => {
                    variables.insert(name.get_ref().to_string(), text.to_string());
                }
                other => {
                    let message = format!("a variable is a string, not {}", noun(other));
                    let finding = self.at(WRONG_TYPE, value.span(), message);
                    let raw = self.text.get(value.span()).unwrap_or_default();
                    self.report(match other {
                        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) => {
                            finding.with_fix(value.span(), format!("\"{raw}\""), true)
                        }
                        _ => finding,
                    });
                    is_fine = false;
                }
            }
        }
        is_fine.then_some(variables)
    }

    /// The name of a variable.
    pub fn variable(&mut self, key: &Key, value: &Value<'_>) -> Option<String> {
        let name = self.string(key, value)?;
        if is_variable(name) {
            return Some(name.to_owned());
        }
        let finding = self.at(BAD_NAME, value.span(), format!("{} is no name of a variable", shown(name)));
        self.report(finding);
        None
    }

    /// `"log"`, `"discard"` or `{ file = PATH }`.
    pub fn output(&mut self, key: &Key, value: &Value<'_>) -> Option<Output> {
        let text = match value.get_ref() {
            DeValue::Table(table) => return self.output_file(key, value, table),
            DeValue::String(_) => self.string(key, value)?,
            _ => {
                self.mismatch(key, value);
                return None;
            }
        };
        match text {
            "log" => return Some(Output::Log),
            "discard" => return Some(Output::Discard),
            _ => {}
        }
        let message = format!("`{}` takes {}, not {}", key.name, key.kind.expected(), shown(text));
        let finding = self.at(UNKNOWN_WORD, value.span(), message);
        self.report(match nearest(text, ["log", "discard"].into_iter()) {
            Some(near) => finding.with_help(format!("did you mean `\"{near}\"`?")).with_fix(
                value.span(),
                format!("\"{near}\""),
                false,
            ),
            None if text.starts_with('/') => {
                let raw = self.text.get(value.span()).unwrap_or_default();
                finding.with_help("a file is written as a table").with_fix(
                    value.span(),
                    format!("{{ file = {raw} }}"),
                    true,
                )
            }
            None => finding,
        });
        None
    }

    fn output_file(&mut self, key: &Key, value: &Value<'_>, table: &DeTable<'_>) -> Option<Output> {
        let mut file = None;
        let mut is_fine = true;
        for (name, path) in table.iter() {
            if name.get_ref() == "file" {
                file = self.path(key, path);
            } else {
                let message = format!("unknown key {}: an output has a `file`", shown(name.get_ref()));
                let finding = self.at(UNKNOWN_KEY, name.span(), message);
                self.report(finding);
                is_fine = false;
            }
        }
        if table.is_empty() {
            self.mismatch(key, value);
        }
        file.filter(|_| is_fine).map(Output::File)
    }

    /// The name of a signal.
    pub fn signal(&mut self, key: &Key, value: &Value<'_>) -> Option<i32> {
        let name = self.string(key, value)?;
        let number = signal::number(name);
        if number.is_none() {
            let finding = self.at(UNKNOWN_WORD, value.span(), format!("unknown signal {}", shown(name)));
            let short = name.to_ascii_uppercase();
            let short = short.strip_prefix("SIG").unwrap_or(&short);
            self.report(match nearest(short, signal::SIGNALS.iter().map(|(name, _)| *name)) {
                Some(near) => finding.with_help(format!("did you mean `\"{near}\"`?")).with_fix(
                    value.span(),
                    format!("\"{near}\""),
                    false,
                ),
                None => finding,
            });
        }
        number
    }

    /// An exit code.
    pub fn exit_code(&mut self, key: &Key, value: &Value<'_>) -> Option<i32> {
        let DeValue::Integer(_) = value.get_ref() else {
            self.mismatch(key, value);
            return None;
        };
        let code = whole(value.get_ref()).and_then(|code| i32::try_from(code).ok());
        let code = code.filter(|code| (0..=255).contains(code));
        if code.is_none() {
            let finding = self.at(OUT_OF_RANGE, value.span(), "an exit code is a whole number from 0 to 255");
            self.report(finding);
        }
        code
    }

    /// The entries of a table.
    pub fn table<'v, 't>(&mut self, key: &Key, value: &'v Value<'t>) -> Option<Vec<Variable<'v, 't>>> {
        let DeValue::Table(table) = value.get_ref() else {
            self.mismatch(key, value);
            return None;
        };
        if table.len() > 10_000 {
            let finding =
                self.at(TOO_MUCH, value.span(), format!("`{}` has more than 10000 entries", key.name));
            self.report(finding);
            return None;
        }
        Some(table.iter().collect())
    }
}

pub(super) type Variable<'v, 't> = (&'v toml::Spanned<std::borrow::Cow<'t, str>>, &'v Value<'t>);

fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}
