//! `allow` as written: codes of findings that are meant. Only what a rule can be right with may be allowed.

use super::keys::Key;
use super::text::{is_same_word, nearest, shown};
use super::value::{Value, Values};
use crate::codes::{CODES, UNKNOWN_WORD};
use crate::diagnostic::Severity;

impl Values<'_, '_> {
    /// One code of a note or warning, or several; by their names.
    pub fn codes(&mut self, key: &Key, value: &Value<'_>) -> Option<Vec<&'static str>> {
        self.list(value, |values, item| values.code(key, item))
    }

    fn code(&mut self, key: &Key, value: &Value<'_>) -> Option<&'static str> {
        let text = self.string(key, value)?;
        let known = CODES.iter().find(|code| code.name == text);
        if let Some(code) = known.filter(|code| code.can_be_allowed()) {
            return Some(code.name);
        }
        let finding = |message: String| self.at(UNKNOWN_WORD, value.span(), message);
        let near = nearest(text, CODES.iter().filter(|code| code.can_be_allowed()).map(|code| code.name));
        let finding = match (known, near) {
            (Some(code), _) => {
                let why = match code.severity {
                    Severity::Error => "an error, which is mended and never allowed",
                    Severity::Warning | Severity::Note => "about a rule file, and no rule can allow it",
                };
                finding(format!("`{text}` is {why}"))
                    .with_help(format!("`facron check --explain {text}` says what to do"))
            }
            (None, Some(near)) => finding(format!("there is no finding {}", shown(text)))
                .with_help(format!("did you mean `\"{near}\"`?"))
                .with_fix(value.span(), format!("\"{near}\""), is_same_word(text, near)),
            (None, None) => finding(format!("there is no finding {}", shown(text)))
                .with_help("`facron check` shows the code of each finding, such as `F031`"),
        };
        self.report(finding);
        None
    }
}
