//! What a command finds when it starts, as written: mask, limits, environment, output; and how it is ended.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use toml::de::{DeTable, DeValue};

use super::keys::{DURATION_MILLIS_MAX, Key};
use super::text::{is_same_word, nearest, shown};
use super::value::{Value, Values, noun, parse_duration, whole};
use crate::codes::{BAD_DURATION, BAD_NAME, OUT_OF_RANGE, TOO_MUCH, UNKNOWN_KEY, UNKNOWN_WORD, WRONG_TYPE};
use crate::diagnostic::Diagnostic;
use crate::rule::{Output, RESOURCES, Resource, StartLimit};
use crate::signal;

/// The longest variable with its name that the kernel takes, bytes (MAX_ARG_STRLEN without `=` and NUL).
const VARIABLE_MAX: usize = 131_070;

/// The most starts that a `start-limit` may allow.
const STARTS_MAX: u32 = 1_000_000;

/// What stands behind a size.
const SIZE_UNITS: &[(&str, u32)] = &[
    ("KiB", 10),
    ("MiB", 20),
    ("GiB", 30),
    ("TiB", 40),
    ("K", 10),
    ("M", 20),
    ("G", 30),
    ("T", 40),
    ("B", 0),
    ("", 0),
];

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

    /// A table of resource limits.
    pub fn limits(&mut self, key: &Key, value: &Value<'_>) -> Option<BTreeMap<Resource, Option<u64>>> {
        let mut limits = BTreeMap::new();
        let mut is_fine = true;
        for (name, limit) in self.table(key, value)? {
            let known = RESOURCES.iter().map(|(name, ..)| *name);
            let Some((_, resource, about)) = RESOURCES.iter().find(|(known, ..)| *known == name.get_ref())
            else {
                let message = format!("unknown resource {}", shown(name.get_ref()));
                let finding = self.at(UNKNOWN_KEY, name.span(), message);
                self.report(match nearest(name.get_ref(), known) {
                    Some(near) => finding.with_help(format!("did you mean `{near}`?")).with_fix(
                        name.span(),
                        near,
                        is_same_word(name.get_ref(), near),
                    ),
                    None => finding,
                });
                is_fine = false;
                continue;
            };
            match self.limit(name.get_ref(), limit, about.ends_with("bytes")) {
                Some(limit) => {
                    limits.insert(*resource, limit);
                }
                None => is_fine = false,
            }
        }
        is_fine.then_some(limits)
    }

    /// One resource limit; none: unlimited.
    fn limit(&mut self, name: &str, value: &Value<'_>, is_size: bool) -> Option<Option<u64>> {
        let parsed = match value.get_ref() {
            DeValue::Integer(_) => whole(value.get_ref()).and_then(|number| u64::try_from(number).ok()),
            DeValue::String(text) if text == "unlimited" => return Some(None),
            DeValue::String(text) if is_size => size(text),
            DeValue::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            _ => None,
        };
        // RLIM_INFINITY would mean unlimited.
        if let Some(limit) = parsed.filter(|limit| *limit < u64::MAX) {
            return Some(Some(limit));
        }
        let kind = if is_size { "a size such as \"512M\" or \"1GiB\"" } else { "a whole number" };
        let message = format!("the limit `{name}` takes {kind}, or \"unlimited\"");
        let finding = self.at(OUT_OF_RANGE, value.span(), message);
        self.report(match value.get_ref() {
            DeValue::String(text) if is_size && text.ends_with(['B', 'b']) => finding
                .with_help("`KiB`, `MiB` and `GiB` are powers of 1024; `KB` and the like are not taken"),
            _ => finding,
        });
        None
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

    /// `"N/DURATION"`, or none for `"none"`.
    pub fn start_limit(&mut self, key: &Key, value: &Value<'_>) -> Option<Option<StartLimit>> {
        let text = self.string(key, value)?;
        if text == "none" {
            return Some(None);
        }
        let Some((starts, span)) = text.split_once('/') else {
            self.mismatch_text(key, value, text);
            return None;
        };
        let starts = starts.trim();
        let is_number = starts.bytes().all(|byte| byte.is_ascii_digit());
        let Some(starts) =
            starts.parse().ok().filter(|starts: &NonZeroU32| is_number && starts.get() <= STARTS_MAX)
        else {
            let message = format!("`{}` allows 1 to {STARTS_MAX} starts, not {}", key.name, shown(starts));
            let finding = self.at(OUT_OF_RANGE, value.span(), message);
            self.report(finding);
            return None;
        };
        match parse_duration(span.trim(), false, DURATION_MILLIS_MAX) {
            Ok(span) => Some(Some(StartLimit { starts, span })),
            Err(fault) => {
                let message = format!("the span of `{}` {}", key.name, fault.message);
                let finding = self.at(BAD_DURATION, value.span(), message);
                self.report(Diagnostic { help: fault.help, ..finding });
                None
            }
        }
    }

    fn mismatch_text(&mut self, key: &Key, value: &Value<'_>, text: &str) {
        let message = format!("`{}` takes {}, not {}", key.name, key.kind.expected(), shown(text));
        let finding = self.at(UNKNOWN_WORD, value.span(), message);
        self.report(finding);
    }

    /// The entries of a table.
    fn table<'v, 't>(&mut self, key: &Key, value: &'v Value<'t>) -> Option<Vec<Variable<'v, 't>>> {
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

type Variable<'v, 't> = (&'v toml::Spanned<std::borrow::Cow<'t, str>>, &'v Value<'t>);

fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

/// A number with a unit that is a power of 1024.
fn size(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let unit = text[digits..].trim_start();
    let (_, shift) = SIZE_UNITS.iter().find(|(name, _)| *name == unit)?;
    let number: u64 = text[..digits].parse().ok()?;
    number.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, expected) in [
            ("0", Some(0)),
            ("512K", Some(512 << 10)),
            ("1GiB", Some(1 << 30)),
            ("1 GiB", Some(1 << 30)),
            ("7B", Some(7)),
            ("1GB", None),
            ("1k", None),
            ("-1", None),
            ("1.5G", None),
            ("G", None),
            ("99999999999T", None),
        ] {
            assert_eq!(size(text), expected, "{text}");
        }
    }
}
