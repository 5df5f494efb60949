//! Which variables of a shell text may hold a name, and where the shell would evaluate what a variable holds.

use std::collections::BTreeSet;

use super::shell::{Mark, Quoting, Reading, Word};
use super::text::Unit;

/// Variables that a shell sets by itself, from words that may be names.
const BY_ITSELF: &[&str] = &["COPROC", "MAPFILE", "OLDPWD", "OPTARG", "PWD", "REPLY", "_"];

/// Words behind which the names of variables stand that are given something.
const SETTERS: &[&str] = &["for", "select", "read", "mapfile", "readarray", "getopts", "-v", "-p"];

/// How far behind a `$` is looked, and at how many of them: incron read 999 bytes of a line.
const UNITS_MAX: usize = 1000;

/// The variables of a text that may hold a name: all that are not given a literal.
#[derive(Debug)]
pub struct Variables(BTreeSet<String>);

impl Variables {
    /// Reads what a text gives to its variables.
    pub fn of(reading: &Reading) -> Variables {
        let mut names = BTreeSet::new();
        for words in &reading.segments {
            let mut is_set = false;
            for word in words.iter().filter(|word| !word.is_redirected) {
                let text = word.literal();
                if is_set && text != "in" {
                    names.insert(text.clone());
                }
                is_set |= SETTERS.contains(&text.as_str());
                let Some((name, value)) = text.split_once('=') else { continue };
                let is_literal = !value.is_empty()
                    && !word.has_wildcard()
                    && !word.is_substituted
                    && !value.contains(['$', '`']);
                if !is_literal {
                    let name = name.split(['+', '[']).next().unwrap_or(name);
                    names.insert(name.to_owned());
                }
            }
        }
        Variables(names)
    }

    /// Whether a word may have a name in it.
    pub fn may_be_in(&self, word: &Word) -> bool {
        word.has_wildcard() || word.is_substituted || word.has_quoted_substitution() || self.are_in(word)
    }

    /// Whether a word has one of the variables in it.
    pub fn are_in(&self, word: &Word) -> bool {
        expansions(&word.marks).any(|inside| {
            let name = inside.trim_start_matches(['{', '!', '#']);
            let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
            let name = &name[..end];
            self.0.contains(name) || BY_ITSELF.contains(&name) || name.starts_with("FACRON_")
        })
    }
}

/// Whether `${…}` evaluates more than a variable: a subscript, an offset, a name of a name, or something put in.
pub fn evaluates(marks: &[Mark]) -> bool {
    let has_wildcard = expansion_starts(marks).take(UNITS_MAX).any(|start| {
        let inside = &marks[start..];
        let is_brace = inside.first().is_some_and(|mark| mark.unit == Unit::Character('{'));
        let inside = inside.iter().take(UNITS_MAX).take_while(|mark| mark.unit != Unit::Character('}'));
        is_brace && inside.into_iter().any(|mark| matches!(mark.unit, Unit::Wildcard(_)))
    });
    let is_too_much = expansion_starts(marks).nth(UNITS_MAX).is_some();
    is_too_much
        || has_wildcard
        || expansions(marks).any(|text| text.strip_prefix('{').is_some_and(evaluates_inside))
}

fn evaluates_inside(text: &str) -> bool {
    let inside = text.split('}').next().unwrap_or(text);
    let is_number = |text: &str| text.chars().all(|c| c.is_ascii_digit() || matches!(c, ' ' | ':' | '-'));
    let has_subscript = inside.split('[').skip(1).any(|rest| {
        let subscript = rest.split(']').next().unwrap_or(rest);
        !matches!(subscript, "@" | "*") && !is_number(subscript)
    });
    let name_len = inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inside.len());
    let behind = &inside[name_len..];
    let has_offset = behind
        .strip_prefix(':')
        .is_some_and(|offset| !offset.starts_with(['-', '=', '?', '+']) && !is_number(offset));
    let sets = behind.trim_start_matches(':').starts_with('=');
    inside.starts_with('!') || has_subscript || has_offset || sets || behind.starts_with('@')
}

/// What stands behind each `$` that means something.
fn expansions(marks: &[Mark]) -> impl Iterator<Item = String> {
    expansion_starts(marks).map(|start| {
        let word =
            Word { marks: marks.iter().skip(start).take(UNITS_MAX).copied().collect(), ..Word::default() };
        word.literal()
    })
}

fn expansion_starts(marks: &[Mark]) -> impl Iterator<Item = usize> {
    let is_expanded =
        |mark: &Mark| mark.unit == Unit::Dollar && matches!(mark.quoting, Quoting::Bare | Quoting::Double);
    marks.iter().enumerate().filter(move |(_, mark)| is_expanded(mark)).map(|(at, _)| at + 1)
}
