//! The events of a line of facron.conf: groups between commas, of which any will do; inside a group `|`, which
//! meant all bits in one event; and what they are as events of a rule.

use std::ops::Range;

use crate::event::EventMask;
use crate::import::codes;
use crate::import::findings::Findings;
use crate::import::table::{Line, shown};

use super::words::Word;

/// More groups than this were read as something else.
const GROUPS_MAX: usize = 511;

/// What a line asks for.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Any of these; one with several events means all of them.
    pub on: Vec<EventMask>,
    /// FAN_ONDIR stands somewhere.
    pub has_on_directory: bool,
    /// FAN_EVENT_ON_CHILD stands somewhere.
    pub has_on_child: bool,
    /// FAN_EVENT_ON_CHILD stands in every group that has events, and nowhere alone.
    pub is_on_child_throughout: bool,
}

/// A word between separators.
#[derive(Clone, Copy)]
enum Token {
    Event(EventMask),
    /// Several bits, which classic facron wanted in one event.
    Set(EventMask),
    OnDirectory,
    OnChild,
}

/// Every word of the language, without `FAN_`.
const TOKENS: &[(&str, Token)] = &[
    ("ACCESS", Token::Event(EventMask::ACCESS)),
    ("MODIFY", Token::Event(EventMask::MODIFY)),
    ("CLOSE_WRITE", Token::Event(EventMask::CLOSE_WRITE)),
    ("CLOSE_NOWRITE", Token::Event(EventMask::CLOSE_NOWRITE)),
    ("OPEN", Token::Event(EventMask::OPEN)),
    ("Q_OVERFLOW", Token::Event(EventMask::Q_OVERFLOW)),
    ("OPEN_PERM", Token::Event(EventMask::OPEN_PERM)),
    ("ACCESS_PERM", Token::Event(EventMask::ACCESS_PERM)),
    ("ONDIR", Token::OnDirectory),
    ("EVENT_ON_CHILD", Token::OnChild),
    ("CLOSE", Token::Set(EventMask::CLOSE_WRITE.union(EventMask::CLOSE_NOWRITE))),
    ("ALL_EVENTS", Token::Set(ALL_EVENTS)),
    ("ALL_PERM_EVENTS", Token::Set(ALL_PERMISSION_EVENTS)),
    ("ALL_OUTGOING_EVENTS", Token::Set(ALL_OUTGOING_EVENTS)),
];

const ALL_EVENTS: EventMask = EventMask::ACCESS
    .union(EventMask::MODIFY)
    .union(EventMask::CLOSE_WRITE)
    .union(EventMask::CLOSE_NOWRITE)
    .union(EventMask::OPEN);

const ALL_PERMISSION_EVENTS: EventMask = EventMask::OPEN_PERM.union(EventMask::ACCESS_PERM);

const ALL_OUTGOING_EVENTS: EventMask = ALL_EVENTS.union(ALL_PERMISSION_EVENTS).union(EventMask::Q_OVERFLOW);

/// Events that come alone, whatever else a path does.
const ALONE: EventMask = EventMask::Q_OVERFLOW.union(EventMask::ALL_PERMISSION);

/// What stands between two commas.
#[derive(Clone, Default)]
struct Group {
    range: Range<usize>,
    events: EventMask,
    sets: EventMask,
    has_on_directory: bool,
    has_on_child: bool,
}

/// Whether a word names events, with or without separators at its ends.
pub fn is_mask(word: &[u8]) -> bool {
    let tokens = word.split(|byte| is_separator(*byte)).filter(|token| !token.is_empty());
    let mut tokens = tokens.peekable();
    tokens.peek().is_some() && tokens.all(|name| token(name).is_some())
}

/// Reads the events; none: the reasons are among the findings.
pub fn parse(line: &Line<'_>, word: &Word<'_>, findings: &mut Findings) -> Option<Wanted> {
    let separators = word.bytes.iter().filter(|byte| is_separator(**byte)).count();
    if separators >= GROUPS_MAX {
        let message = format!("{} events, more than the 511 of classic facron", separators + 1);
        findings.push(&codes::TOO_LONG, line.at(word.range.clone()), message, None);
        return None;
    }
    let groups = groups(line, word, findings)?;
    let mut wanted = Wanted::default();
    let has_events = |group: &Group| !group.events.union(group.sets).is_empty();
    wanted.has_on_directory = groups.iter().any(|group| group.has_on_directory);
    wanted.has_on_child = groups.iter().any(|group| group.has_on_child);
    wanted.is_on_child_throughout =
        groups.iter().all(|group| group.has_on_child || (!has_events(group) && group.has_on_directory));
    for group in &groups {
        for events in meant(line, group, findings) {
            if wanted.on.contains(&events) {
                let message = format!("`{events}` is asked for twice");
                findings.push(&codes::REPEATED_EVENTS, line.at(group.range.clone()), message, None);
            } else {
                wanted.on.push(events);
            }
        }
    }
    if wanted.on.is_empty() {
        let message = "these are flags: no event is asked for";
        let help = "put an event before it, such as FAN_CLOSE_WRITE".to_owned();
        findings.push(&codes::FLAGS_ONLY, line.at(word.range.clone()), message, Some(help));
        return None;
    }
    Some(wanted)
}

/// The groups as written.
fn groups(line: &Line<'_>, word: &Word<'_>, findings: &mut Findings) -> Option<Vec<Group>> {
    let mut groups = vec![Group { range: word.range.start..word.range.start, ..Group::default() }];
    let mut start = 0;
    let mut is_good = true;
    while start < word.bytes.len() {
        let len = word.bytes[start..].iter().position(|byte| is_separator(*byte));
        let end = len.map_or(word.bytes.len(), |len| start + len);
        let range = word.range.start + start..word.range.start + end;
        let name = &word.bytes[start..end];
        let group = groups.last_mut().expect("there is a group from the start");
        match token(name) {
            Some(token) => group.add(token),
            None => {
                refuse(line, name, range.clone(), findings);
                is_good = false;
            }
        }
        group.range.end = range.end;
        let separator = word.bytes.get(end).copied();
        start = end + 1;
        if separator.is_some() && start == word.bytes.len() {
            let message = "a separator without an event behind it";
            findings.push(&codes::TRAILING_SEPARATOR, line.at(range.end..range.end + 1), message, None);
        } else if separator == Some(b',') {
            groups.push(Group {
                range: word.range.start + start..word.range.start + start,
                ..Group::default()
            });
        }
    }
    is_good.then_some(groups)
}

impl Group {
    fn add(&mut self, token: Token) {
        match token {
            Token::Event(event) => self.events |= event,
            Token::Set(set) => self.sets |= set,
            Token::OnDirectory => self.has_on_directory = true,
            Token::OnChild => self.has_on_child = true,
        }
    }
}

/// What a group surely meant, as events of which any will do.
fn meant(line: &Line<'_>, group: &Group, findings: &mut Findings) -> Vec<EventMask> {
    let range = || line.at(group.range.clone());
    let asked = group.events | group.sets;
    let say_once = |mask: EventMask, code, what: &str, findings: &mut Findings| {
        if asked.intersects(mask) {
            findings.push(code, range(), format!("{what} never fired in classic facron"), None);
        }
    };
    say_once(EventMask::Q_OVERFLOW, &codes::OVERFLOW, "FAN_Q_OVERFLOW", findings);
    say_once(EventMask::ALL_PERMISSION, &codes::PERMISSION, "a permission event", findings);

    let set = group.sets.without(ALONE);
    let joined = group.events.without(ALONE).without(set);
    if !group.sets.is_empty() {
        let message = format!("a set asks for {} in one event, which never comes", group.sets);
        findings.push(&codes::EVENT_SET, range(), message, None);
    }
    let mut meant: Vec<EventMask> = if joined.is_empty() {
        set.singles().collect()
    } else if set.is_empty() {
        vec![joined]
    } else {
        // `FAN_OPEN|FAN_CLOSE`: an open, and any close.
        set.singles().map(|member| joined | member).collect()
    };
    if meant.iter().any(|events| events.kinds().count() > 1) {
        let message = format!("`|` asks for {} in one event", group.events | group.sets);
        let help =
            "write `,` instead of `|`, or an `on` without an inner array, if any of them will do".to_owned();
        findings.push(&codes::JOINED_EVENTS, range(), message, Some(help));
    }
    meant.extend(asked.intersection(ALONE).singles());
    meant
}

/// Says why a word is no event, and what may have been meant.
fn refuse(line: &Line<'_>, name: &[u8], range: Range<usize>, findings: &mut Findings) {
    let range = line.at(range);
    let said = shown(name);
    let text = String::from_utf8_lossy(name);
    let (code, message, help) = if name.is_empty() {
        (&codes::NO_EVENT, "a separator without an event before it".to_owned(), None)
    } else if name.starts_with(b"/") {
        let help = "put the events between the path and the command, such as FAN_CLOSE_WRITE".to_owned();
        (&codes::NO_EVENT, format!("`{said}` stands where the events belong"), Some(help))
    } else if name.iter().all(u8::is_ascii_digit) {
        (&codes::NO_EVENT, format!("`{said}` is a number, and classic facron knew none"), None)
    } else if text.starts_with("IN_") {
        let help = "translate incrontabs with --from incron".to_owned();
        (&codes::UNKNOWN_EVENT, format!("`{said}` is an event of incron"), Some(help))
    } else if let Some(event) = EventMask::from_name(&text).filter(|_| is_prefixed(name)) {
        let help = format!("facron knows it: write a rule with `on = \"{event}\"`");
        (&codes::UNKNOWN_EVENT, format!("classic facron did not know `{said}`"), Some(help))
    } else {
        let help = nearest(&text).map(|name| format!("did you mean FAN_{name}?"));
        (&codes::UNKNOWN_EVENT, format!("unknown event `{said}`"), help)
    };
    findings.push(code, range, message, help);
}

fn nearest(text: &str) -> Option<&'static str> {
    // A word much longer than any name is near to none of them, and not worth the time.
    let text = text.get(..text.len().min(40))?.to_ascii_uppercase();
    let text = text.strip_prefix("FAN_").unwrap_or(&text);
    let distance = |name: &str| strsim::damerau_levenshtein(text, name);
    let (name, _) = TOKENS.iter().min_by_key(|(name, _)| distance(name))?;
    (distance(name) <= 3).then_some(*name)
}

fn token(name: &[u8]) -> Option<Token> {
    if !is_prefixed(name) {
        return None;
    }
    TOKENS
        .iter()
        .find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(&name[4..]))
        .map(|(_, token)| *token)
}

fn is_prefixed(name: &[u8]) -> bool {
    name.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"FAN_"))
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'|' | b',')
}
