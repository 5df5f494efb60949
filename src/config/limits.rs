//! `limits` as written: resource limits by name, as numbers and sizes.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::keys::Key;
use super::text::{is_same_word, nearest, shown};
use super::value::{Value, Values, whole};
use crate::codes::{OUT_OF_RANGE, UNKNOWN_KEY};
use crate::rule::{RESOURCES, Resource};

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
