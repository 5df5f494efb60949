//! Values as written become values as meant: strings, numbers, durations, words, lists. Knows no rule.
//!
//! Every function gives the value, or reports what is wrong with it and gives none.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::findings::Findings;
use super::keys::{DURATION_MILLIS_MAX, Key, Kind};
use super::text::{is_same_word, nearest, shown};
use crate::codes::{
    BAD_DURATION, BAD_GLOB, BAD_NAME, BAD_PATH, Code, OUT_OF_RANGE, TOO_MUCH, UNKNOWN_WORD, WRONG_TYPE,
};
use crate::diagnostic::{Diagnostic, boundary_after};
use crate::glob::{Glob, GlobError, TEMPORARY, TEMPORARY_NAME};
use crate::rule::Identity;

/// The longest path that the kernel takes, bytes (PATH_MAX without its NUL).
const PATH_MAX: usize = 4095;

/// The longest name of a rule.
const RULE_NAME_MAX: usize = 64;

/// A value as written.
pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// Reads the values of one file.
pub(super) struct Values<'t, 'f> {
    /// Which of the sources.
    pub source: usize,
    /// Its text.
    pub text: &'t str,
    /// Where mistakes go.
    pub findings: &'f mut Findings,
    /// What was compiled before, by its text.
    pub globs: &'f mut HashMap<String, Glob>,
}

impl Values<'_, '_> {
    /// Reports a mistake.
    pub fn report(&mut self, finding: Diagnostic) {
        self.findings.push(finding);
    }

    /// A finding in this file.
    pub fn at(&self, code: &'static Code, span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        code.at(self.source, span, message)
    }

    /// The key got something else than its kind.
    pub fn mismatch(&mut self, key: &Key, value: &Value<'_>) {
        let message = format!("`{}` takes {}, not {}", key.name, key.kind.expected(), noun(value.get_ref()));
        let finding = self.at(WRONG_TYPE, value.span(), message);
        self.report(finding);
    }

    /// A string without NUL.
    pub fn string<'v>(&mut self, key: &Key, value: &'v Value<'_>) -> Option<&'v str> {
        let DeValue::String(text) = value.get_ref() else {
            self.mismatch(key, value);
            return None;
        };
        if text.contains('\0') {
            let message = format!("`{}` cannot hold a NUL", key.name);
            let finding = self.at(WRONG_TYPE, value.span(), message);
            self.report(finding);
            return None;
        }
        Some(text)
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &Key, value: &Value<'_>) -> Option<bool> {
        if let DeValue::Boolean(boolean) = value.get_ref() {
            return Some(*boolean);
        }
        let message = format!("`{}` takes true or false, not {}", key.name, noun(value.get_ref()));
        let finding = self.at(WRONG_TYPE, value.span(), message);
        self.report(match value.get_ref() {
            DeValue::String(text) if matches!(text.as_ref(), "true" | "false") => {
                finding.with_help("write it without quotes").with_fix(value.span(), text.as_ref(), true)
            }
            _ => finding,
        });
        None
    }

    /// One of the words of a table.
    pub fn word<T: Copy>(
        &mut self,
        key: &Key,
        value: &Value<'_>,
        words: &[(&'static str, T, &'static str)],
    ) -> Option<T> {
        let text = self.string(key, value)?;
        if let Some((_, meant, _)) = words.iter().find(|(word, ..)| *word == text) {
            return Some(*meant);
        }
        let known = words.iter().map(|(word, ..)| *word);
        let message = format!("`{}` takes {}, not {}", key.name, key.kind.expected(), shown(text));
        let finding = self.at(UNKNOWN_WORD, value.span(), message);
        self.report(match nearest(text, known) {
            Some(near) => finding.with_help(format!("did you mean `\"{near}\"`?")).with_fix(
                value.span(),
                format!("\"{near}\""),
                is_same_word(text, near),
            ),
            None => finding,
        });
        None
    }

    /// A whole number within the bounds of the key, or none for its word.
    pub fn integer(&mut self, key: &Key, value: &Value<'_>) -> Option<Option<i64>> {
        let Kind::Integer { min, max, word } = key.kind else {
            unreachable!("the table of keys says that {} is no number", key.name);
        };
        match value.get_ref() {
            DeValue::String(text) if word == Some(text.as_ref()) => Some(None),
            DeValue::Integer(_) => match whole(value.get_ref()) {
                Some(number) if (min..=max).contains(&number) => Some(Some(number)),
                _ => {
                    let message = format!("`{}` takes {}", key.name, key.kind.expected());
                    let finding = self.at(OUT_OF_RANGE, value.span(), message);
                    self.report(finding);
                    None
                }
            },
            _ => {
                self.mismatch(key, value);
                None
            }
        }
    }

    /// A duration, or none for the word of the key.
    pub fn duration(&mut self, key: &Key, value: &Value<'_>) -> Option<Option<Duration>> {
        let Kind::Duration { word, may_be_zero, millis_max } = key.kind else {
            unreachable!("the table of keys says that {} is no duration", key.name);
        };
        let text = match value.get_ref() {
            DeValue::Integer(number) => {
                let message = format!("`{}` needs a unit of time", key.name);
                let finding = self.at(BAD_DURATION, value.span(), message);
                let number: String = number.as_str().chars().take(20).collect();
                self.report(
                    finding.with_help(format!("write `\"{number}s\"` for seconds, or `\"{number}ms\"`")),
                );
                return None;
            }
            DeValue::String(text) if word == Some(text.as_ref()) => return Some(None),
            _ => self.string(key, value)?,
        };
        match parse_duration(text, may_be_zero, millis_max) {
            Ok(duration) => Some(Some(duration)),
            Err(fault) => {
                let finding =
                    self.at(BAD_DURATION, value.span(), format!("`{}` {}", key.name, fault.message));
                self.report(Diagnostic { help: fault.help, ..finding });
                None
            }
        }
    }

    /// The items of an array, or the one value that stands for an array of it.
    pub fn items<'v, 't>(&mut self, value: &'v Value<'t>) -> &'v [Value<'t>] {
        match value.get_ref() {
            DeValue::Array(items) => items,
            _ => std::slice::from_ref(value),
        }
    }

    /// Every item of an array by the same function; none if one of them is wrong.
    pub fn list<T>(
        &mut self,
        value: &Value<'_>,
        mut read: impl FnMut(&mut Self, &Value<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let items = self.items(value);
        let read: Vec<Option<T>> = items.iter().map(|item| read(self, item)).collect();
        read.into_iter().collect()
    }

    /// An absolute path, cleaned of `//`, `/./` and a trailing `/`.
    pub fn path(&mut self, key: &Key, value: &Value<'_>) -> Option<PathBuf> {
        let text = self.string(key, value)?;
        let fault = if !text.starts_with('/') {
            "is not absolute"
        } else if Path::new(text).components().any(|component| component == Component::ParentDir) {
            "has a `..`, which leads elsewhere where a directory before it is a link"
        } else if text.len() > PATH_MAX {
            "is longer than 4095 bytes"
        } else {
            return Some(Path::new(text).components().collect());
        };
        let finding = self.at(BAD_PATH, value.span(), format!("the path {} {fault}", shown(text)));
        self.report(finding);
        None
    }

    /// One absolute path or several.
    pub fn paths(&mut self, key: &Key, value: &Value<'_>) -> Option<Vec<PathBuf>> {
        self.list(value, |values, item| values.path(key, item))
    }

    /// One user or several.
    pub fn identities(&mut self, key: &Key, value: &Value<'_>) -> Option<Vec<Identity>> {
        self.list(value, |values, item| values.identity(key, item))
    }

    /// One name of a variable or several.
    pub fn variables(&mut self, key: &Key, value: &Value<'_>) -> Option<Vec<String>> {
        self.list(value, |values, item| values.variable(key, item))
    }

    /// One exit code or several, each once.
    pub fn exit_codes(&mut self, key: &Key, value: &Value<'_>) -> Option<Vec<i32>> {
        let mut codes = self.list(value, |values, item| values.exit_code(key, item))?;
        codes.sort_unstable();
        codes.dedup();
        Some(codes)
    }

    /// One glob or several; equal ones are compiled once.
    pub fn globs(&mut self, key: &Key, value: &Value<'_>) -> Option<Vec<Glob>> {
        let lists = self.list(value, |values, item| values.glob(key, item))?;
        Some(lists.into_iter().flatten().collect())
    }

    /// A glob, or those that `@temporary` stands for.
    fn glob(&mut self, key: &Key, value: &Value<'_>) -> Option<Vec<Glob>> {
        let text = self.string(key, value)?;
        let texts = if text == TEMPORARY_NAME { TEMPORARY } else { &[text][..] };
        let compiled: Result<Vec<Glob>, GlobError> = texts
            .iter()
            .map(|text| match self.globs.get(*text) {
                Some(glob) => Ok(glob.clone()),
                None => {
                    let glob = Glob::parse(text)?;
                    self.globs.insert((*text).to_owned(), glob.clone());
                    Ok(glob)
                }
            })
            .collect();
        match compiled {
            Ok(globs) => Some(globs),
            Err(error) => {
                let end = boundary_after(text, error.offset + 1);
                let span = self.inside(value, error.offset..end);
                let finding = self.at(BAD_GLOB, span, format!("{} is no glob: {error}", shown(text)));
                self.report(finding);
                None
            }
        }
    }

    /// The name of a rule.
    pub fn rule_name(&mut self, key: &Key, value: &Value<'_>) -> Option<Arc<str>> {
        let name = self.string(key, value)?;
        let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let fault = if name.is_empty() {
            "a rule's name is not empty".to_owned()
        } else if name.len() > RULE_NAME_MAX {
            format!("a rule's name is at most {RULE_NAME_MAX} characters")
        } else if let Some(c) = name.chars().find(|c| !is_fine(*c)) {
            format!("a rule's name has no {}: only A-Z a-z 0-9 . _ -", shown(&c.to_string()))
        } else {
            return Some(name.into());
        };
        let finding = self.at(BAD_NAME, value.span(), fault);
        self.report(finding);
        None
    }

    /// Where a part of a string stands in the file; the whole string, where escapes make that unclear.
    pub fn inside(&self, value: &Value<'_>, part: Range<usize>) -> Range<usize> {
        let span = value.span();
        let (Some(raw), DeValue::String(text)) = (self.text.get(span.clone()), value.get_ref()) else {
            return span;
        };
        let body = raw.trim_start_matches(['"', '\'']);
        let quotes = raw.len() - body.len();
        // `""` and a first line break after `"""` are the cases where the text does not begin here.
        match raw.get(quotes..quotes + text.len()) {
            Some(same) if same == text => span.start + quotes + part.start..span.start + quotes + part.end,
            _ => span,
        }
    }

    /// Too large for the kernel: refused at load, not at the first event.
    pub fn too_long(&mut self, value: &Value<'_>, what: &str, max: usize) {
        let finding = self.at(TOO_MUCH, value.span(), format!("{what} is longer than {max} bytes"));
        self.report(finding);
    }
}

/// What is wrong with a text, and the way out.
pub(super) struct Fault {
    /// A predicate: `is …`, `needs …`.
    pub message: String,
    /// In words.
    pub help: Option<String>,
}

/// A duration as humantime writes it, between 1 ms and a maximum.
pub(super) fn parse_duration(text: &str, may_be_zero: bool, millis_max: u64) -> Result<Duration, Fault> {
    let fault = |message: String, help: Option<String>| Err(Fault { message, help });
    let example = || Some("a duration is written as `\"250ms\"`, `\"10m\"` or `\"1h 30m\"`".to_owned());
    // humantime knows month and year, which are no fixed span; `1M` is more often meant as minutes.
    if text.len() > 100 {
        return fault("is not a duration".to_owned(), example());
    }
    let mut units = text.split(|c: char| !c.is_alphabetic());
    if units.clone().any(|unit| unit == "M") {
        let minutes = text.replace('M', "m");
        return fault(
            format!("is not a duration: `M` in {} would be a month", shown(text)),
            Some(format!("write `\"{minutes}\"` for minutes")),
        );
    }
    if !text.trim().is_empty() && units.all(str::is_empty) && text.trim() != "0" {
        let number: String = text.trim().chars().take(20).collect();
        return fault(
            "needs a unit of time".to_owned(),
            Some(format!("write `\"{number}s\"` for seconds, or `\"{number}ms\"`")),
        );
    }
    let Ok(duration) = humantime::parse_duration(text) else {
        return fault(format!("is not a duration: {}", shown(text)), example());
    };
    let max = Duration::from_millis(millis_max);
    if duration.is_zero() && may_be_zero {
        Ok(duration)
    } else if duration < Duration::from_millis(1) {
        fault(format!("is at least 1 ms, not {}", shown(text)), None)
    } else if duration > max {
        let max = if max.as_millis() == u128::from(DURATION_MILLIS_MAX) {
            "366 days".to_owned()
        } else {
            humantime::format_duration(max).to_string()
        };
        fault(format!("is at most {max}, not {}", shown(text)), None)
    } else {
        Ok(duration)
    }
}

/// A whole number, if it is one that fits; hexadecimal, octal and binary ones too.
pub(super) fn whole(value: &DeValue<'_>) -> Option<i64> {
    match value {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    }
}

/// What a value is, for people.
pub(super) fn noun(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
