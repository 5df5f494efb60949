//! The command of a line of an incrontab as incron read it: characters, and what it put in place of `$x`, before
//! any shell.

/// One character or wildcard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Stands for itself.
    Character(char),
    /// A `$` for the shell.
    Dollar,
    /// What incron put in.
    Wildcard(Wildcard),
}

/// What incron puts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wildcard {
    /// `$@/$#`: the path of what happened.
    Path,
    /// `$@`: the path that is watched.
    Watched,
    /// `$#`: the name below it.
    Name,
    /// `$%`: the events by their names.
    Events,
    /// `$&`: the events as a number.
    Number,
}

/// A command as incron read it.
#[derive(Debug, PartialEq, Eq)]
pub struct Text {
    /// In order.
    pub units: Vec<Unit>,
    /// Whether a `$` stood before something that incron did not know: it was dropped, and is kept here.
    pub has_odd_dollar: bool,
}

impl Text {
    /// Reads a command.
    pub fn parse(command: &str) -> Text {
        let mut units = Vec::new();
        let mut has_odd_dollar = false;
        let mut rest = command;
        while let Some(character) = rest.chars().next() {
            rest = &rest[character.len_utf8()..];
            if character != '$' {
                units.push(Unit::Character(character));
                continue;
            }
            if let Some(behind) = rest.strip_prefix("@/$#") {
                units.push(Unit::Wildcard(Wildcard::Path));
                rest = behind;
                continue;
            }
            let (unit, is_odd) = match rest.chars().next() {
                Some('@') => (Unit::Wildcard(Wildcard::Watched), false),
                Some('#') => (Unit::Wildcard(Wildcard::Name), false),
                Some('%') => (Unit::Wildcard(Wildcard::Events), false),
                Some('&') => (Unit::Wildcard(Wildcard::Number), false),
                Some('$') => (Unit::Dollar, false),
                _ => (Unit::Dollar, true),
            };
            units.push(unit);
            has_odd_dollar |= is_odd;
            rest = if is_odd { rest } else { &rest[1..] };
        }
        Text { units, has_odd_dollar }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_read_before_any_shell() {
        let text = Text::parse("a$@/$#$@$$$%$HOME$&$");
        use Unit::{Character as C, Dollar as D, Wildcard as W};
        let (h, o, m, e) = (C('H'), C('O'), C('M'), C('E'));
        assert_eq!(
            text.units,
            [
                C('a'),
                W(Wildcard::Path),
                W(Wildcard::Watched),
                D,
                W(Wildcard::Events),
                D,
                h,
                o,
                m,
                e,
                W(Wildcard::Number),
                D
            ]
        );
        assert!(text.has_odd_dollar);
        assert!(!Text::parse("$$HOME").has_odd_dollar);
    }
}
