//! Values as written become values as meant: strings, numbers, durations, words, lists. Knows no rule.
//!
//! Every function gives the value, or reports what is wrong with it and gives none.

use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;

use super::findings::Findings;
use super::globs::Compiled;
use super::keys::{Key, Kind};
use super::text::{is_same_word, nearest, shown};
use crate::codes::{BAD_NAME, BAD_PATH, Code, OUT_OF_RANGE, TOO_MUCH, UNKNOWN_WORD, WRONG_TYPE};
use crate::diagnostic::Diagnostic;
use crate::escape;
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
    pub compiled: &'f mut Compiled,
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
        let mut list = Some(Vec::new());
        for item in self.items(value) {
            if self.findings.is_full() {
                return None;
            }
            // After a mistake the rest is read for its mistakes.
            match (read(self, item), &mut list) {
                (Some(item), Some(list)) => list.push(item),
                (Some(_), None) | (None, _) => list = None,
            }
        }
        // It is kept for as long as the rule, and has mostly one item.
        list.iter_mut().for_each(Vec::shrink_to_fit);
        list
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
        self.report(match meant_path(text) {
            Some(meant) => finding.with_help(format!("did you mean `\"{meant}\"`?")).with_fix(
                value.span(),
                format!("\"{meant}\""),
                false,
            ),
            None if text.starts_with('~') => {
                finding.with_help("`~` is a word of shells: write the home directory")
            }
            None if text.starts_with('/') => finding,
            None => finding.with_help("a path begins with `/`"),
        });
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
        let meant: String =
            name.trim().chars().take(RULE_NAME_MAX).map(|c| if is_fine(c) { c } else { '-' }).collect();
        self.report(match meant.trim_matches('-') {
            "" => finding,
            meant => finding.with_help(format!("for example `\"{meant}\"`")).with_fix(
                value.span(),
                format!("\"{meant}\""),
                false,
            ),
        });
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

/// A path with `..` resolved, as far as the text tells.
fn meant_path(text: &str) -> Option<String> {
    let mut path = PathBuf::new();
    for component in Path::new(text).components() {
        match component {
            Component::ParentDir => {
                path.pop();
            }
            other => path.push(other),
        }
    }
    let meant = path.to_str().filter(|meant| meant.starts_with('/') && *meant != text)?;
    let is_plain = !meant.contains(['"', '\\']) && escape::line(meant) == meant && meant.len() <= PATH_MAX;
    is_plain.then(|| meant.to_owned())
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
