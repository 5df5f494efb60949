//! Users and groups as written. Whether they exist is asked elsewhere; here nothing may pass that could be taken
//! for somebody else: no sign, no other base, no number out of range.

use toml::de::DeValue;

use super::keys::Key;
use super::text::shown;
use super::value::{Value, Values, whole};
use crate::codes::BAD_IDENTITY;
use crate::rule::Identity;

/// The longest name of a user, bytes (LOGIN_NAME_MAX without its NUL).
const NAME_MAX: usize = 255;

/// 4294967295 is (uid_t) -1: to chown(2) and setresuid(2) it means "leave it as it is".
const ID_MAX: u32 = u32::MAX - 1;

impl Values<'_, '_> {
    /// A user or group by name or decimal number.
    pub fn identity(&mut self, key: &Key, value: &Value<'_>) -> Option<Identity> {
        let parsed = match value.get_ref() {
            DeValue::Integer(number) if number.radix() != 10 => Err("must be decimal"),
            DeValue::Integer(number) if number.as_str().starts_with(['+', '-']) => Err("must have no sign"),
            DeValue::Integer(_) => whole(value.get_ref())
                .and_then(|number| u32::try_from(number).ok())
                .filter(|id| *id <= ID_MAX)
                .map(Identity::Id)
                .ok_or("must be at most 4294967294"),
            _ => parse(self.string(key, value)?),
        };
        match parsed {
            Ok(identity) => Some(identity),
            Err(fault) => {
                let raw = self.text.get(value.span()).unwrap_or_default();
                let message = format!("`{}` {fault}: {}", key.name, shown(raw));
                let finding = self.at(BAD_IDENTITY, value.span(), message);
                self.report(finding);
                None
            }
        }
    }
}

/// Reads a text as a user or group.
fn parse(text: &str) -> Result<Identity, &'static str> {
    if text.is_empty() {
        return Err("must not be empty; leave the key out for the daemon's own");
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let has_zeros = text.len() > 1 && text.starts_with('0');
        let id = text.parse().ok().filter(|id| *id <= ID_MAX && !has_zeros);
        return id.map(Identity::Id).ok_or("must be a decimal number up to 4294967294");
    }
    let has_foreign_base = text.starts_with('0') && text[1..].starts_with(['x', 'X', 'o', 'b']);
    if has_foreign_base || text.starts_with(['+', '-']) {
        return Err("is neither a name nor a decimal number");
    }
    let is_forbidden = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '/' | ':' | ',');
    if text.len() > NAME_MAX || text.contains(is_forbidden) || matches!(text, "." | "..") {
        return Err("is not a name that a user can have");
    }
    Ok(Identity::Name(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_decimal_numbers_pass() {
        for text in ["www-data", "_apt", "4ever", "DOM\\alice", "bob@example.org", "machine$"] {
            assert_eq!(parse(text), Ok(Identity::Name(text.to_owned())), "{text}");
        }
        assert_eq!(parse("0"), Ok(Identity::Id(0)));
        assert_eq!(parse("4294967294"), Ok(Identity::Id(4_294_967_294)));
    }

    #[test]
    fn what_could_be_taken_for_somebody_else_does_not() {
        for text in [
            "",
            "-1",
            "+1",
            "0x2b3bfa0",
            "4294967295",
            "99999999999",
            "010",
            "../../bin/cp",
            "a:b",
            "a b",
            "a\n",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
