//! Durations as written: a number with a unit, within bounds; and `start-limit`, which has one.

use std::num::NonZeroU32;
use std::time::Duration;

use toml::de::DeValue;

use super::keys::{DURATION_MILLIS_MAX, Key, Kind};
use super::text::shown;
use super::value::{Value, Values};
use crate::codes::{BAD_DURATION, OUT_OF_RANGE, UNKNOWN_WORD};
use crate::diagnostic::Diagnostic;
use crate::rule::StartLimit;

/// The most starts that a `start-limit` may allow.
const STARTS_MAX: u32 = 1_000_000;

impl Values<'_, '_> {
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

    /// `"N/DURATION"`, or none for `"none"`.
    pub fn start_limit(&mut self, key: &Key, value: &Value<'_>) -> Option<Option<StartLimit>> {
        let text = self.string(key, value)?;
        if text == "none" {
            return Some(None);
        }
        let Some((starts, span)) = text.split_once('/') else {
            let message = format!("`{}` takes {}, not {}", key.name, key.kind.expected(), shown(text));
            let finding = self.at(UNKNOWN_WORD, value.span(), message);
            self.report(finding);
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
}

/// What is wrong with a text, and the way out.
pub(super) struct Fault {
    /// A predicate: `is …`, `needs …`.
    pub(super) message: String,
    /// In words.
    help: Option<String>,
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
