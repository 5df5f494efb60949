//! The events and options of a line of an incrontab.

use std::ops::Range;

use crate::event::EventMask;
use crate::import::codes;
use crate::import::findings::Findings;
use crate::import::table::{Line, shown};

use super::words::Entry;

/// More words than this are no mask that anybody wrote.
const WORDS_MAX: usize = 64;

/// What a line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Any of these.
    pub on: EventMask,
    /// Directories below the path too.
    pub is_recursive: bool,
    /// Those that begin with a dot as well.
    pub has_dot_directories: bool,
    /// The command was meant not to run again for what it does itself.
    pub is_loop_guarded: bool,
    /// The path itself, were it a symbolic link.
    pub is_link_itself: bool,
}

/// Every name, with its bits (inotify(7)).
const NAMES: &[(&str, u32)] = &[
    ("IN_ACCESS", 0x1),
    ("IN_MODIFY", 0x2),
    ("IN_ATTRIB", 0x4),
    ("IN_CLOSE_WRITE", 0x8),
    ("IN_CLOSE_NOWRITE", 0x10),
    ("IN_OPEN", 0x20),
    ("IN_MOVED_FROM", 0x40),
    ("IN_MOVED_TO", 0x80),
    ("IN_CREATE", 0x100),
    ("IN_DELETE", 0x200),
    ("IN_DELETE_SELF", 0x400),
    ("IN_MOVE_SELF", 0x800),
    ("IN_UNMOUNT", UNMOUNT),
    ("IN_Q_OVERFLOW", Q_OVERFLOW),
    ("IN_IGNORED", IGNORED),
    ("IN_CLOSE", 0x18),
    ("IN_MOVE", 0xc0),
    ("IN_ALL_EVENTS", ALL_EVENTS),
    ("IN_ONLYDIR", ONLYDIR),
    ("IN_DONT_FOLLOW", DONT_FOLLOW),
    ("IN_ISDIR", ISDIR),
    ("IN_ONESHOT", ONESHOT),
];

const ALL_EVENTS: u32 = 0xfff;
const UNMOUNT: u32 = 0x2000;
const Q_OVERFLOW: u32 = 0x4000;
const IGNORED: u32 = 0x8000;
const ONLYDIR: u32 = 0x0100_0000;
const DONT_FOLLOW: u32 = 0x0200_0000;
const ISDIR: u32 = 0x4000_0000;
const ONESHOT: u32 = 0x8000_0000;

/// What a word that is no event does, by its exact text.
#[derive(Clone, Copy)]
enum Word {
    Flat,
    DotDirectories,
    LoopGuard,
    /// It says what holds anyway.
    Nothing,
}

const WORDS: &[(&str, Word)] = &[
    ("recursive=false", Word::Flat),
    ("dotdirs=true", Word::DotDirectories),
    ("loopable=true", Word::LoopGuard),
    ("IN_NO_LOOP", Word::LoopGuard),
    ("recursive=true", Word::Nothing),
    ("dotdirs=false", Word::Nothing),
    ("loopable=false", Word::Nothing),
];

/// Whether a word names events, with or without commas at its ends.
pub fn is_mask(word: &str) -> bool {
    let mut names = word.split(',').filter(|name| !name.is_empty()).peekable();
    names.peek().is_some()
        && names.all(|name| {
            NAMES
                .iter()
                .map(|(known, _)| known)
                .chain(WORDS.iter().map(|(known, _)| known))
                .any(|known| *known == name)
        })
}

/// Reads the events; none: the reasons are among the findings.
pub fn parse(line: &Line<'_>, entry: &Entry<'_>, findings: &mut Findings) -> Option<Wanted> {
    let mut reader = Reader {
        line,
        entry,
        findings,
        bits: 0,
        has_unknown: false,
        wanted: Wanted {
            on: EventMask::EMPTY,
            is_recursive: true,
            has_dot_directories: false,
            is_loop_guarded: false,
            is_link_itself: false,
        },
    };
    let is_number =
        entry.mask.first().is_some_and(|first| first.is_ascii_digit() || matches!(first, b'+' | b'-'));
    if is_number {
        reader.number(&String::from_utf8_lossy(entry.mask))?;
    } else {
        reader.names()?;
    }
    reader.finish()
}

struct Reader<'r, 'l> {
    line: &'r Line<'l>,
    entry: &'r Entry<'l>,
    findings: &'r mut Findings,
    bits: u32,
    has_unknown: bool,
    wanted: Wanted,
}

impl Reader<'_, '_> {
    /// incron read a number as sscanf(3) does, and the rest of the word not at all.
    fn number(&mut self, mask: &str) -> Option<()> {
        let digits = mask.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = mask.split_at(digits);
        match number.parse() {
            Ok(bits) if rest.is_empty() || rest.starts_with(',') => self.bits = bits,
            _ => {
                let message = format!("`{}` is no number of events", shown(mask.as_bytes()));
                let help = "write the names of the events, such as IN_CLOSE_WRITE".to_owned();
                self.say(&codes::BAD_NUMBER, message, Some(help));
                return None;
            }
        }
        if !rest.trim_matches(',').is_empty() {
            let message = format!("`{}` behind a number was never read", shown(rest.as_bytes()));
            let help = "write names instead of the number if the rest was meant".to_owned();
            self.say(&codes::NUMBER_TAIL, message, Some(help));
        }
        Some(())
    }

    fn names(&mut self) -> Option<()> {
        let words = || self.entry.mask.split(|byte| *byte == b',');
        if words().count() > WORDS_MAX {
            let message = format!("{} words where the events belong", words().count());
            self.say(&codes::TOO_LONG, message, None);
            return None;
        }
        let mut start = self.entry.mask_range.start;
        for word in words() {
            if !word.is_empty() {
                self.name(&String::from_utf8_lossy(word), start..start + word.len());
            }
            start += word.len() + 1;
        }
        Some(())
    }

    fn name(&mut self, name: &str, range: Range<usize>) {
        if let Some((_, bits)) = NAMES.iter().find(|(known, _)| *known == name) {
            self.bits |= bits;
            return;
        }
        match WORDS.iter().find(|(known, _)| *known == name) {
            Some((_, Word::Flat)) => self.wanted.is_recursive = false,
            Some((_, Word::DotDirectories)) => self.wanted.has_dot_directories = true,
            Some((_, Word::LoopGuard)) => {
                self.wanted.is_loop_guarded = true;
                let message = format!("`{name}` did nothing in incron 0.5.12");
                self.findings.push(&codes::NO_LOOP, self.line.at(range), message, None);
            }
            Some((_, Word::Nothing)) => {}
            None => self.unknown(name, range),
        }
    }

    fn unknown(&mut self, name: &str, range: Range<usize>) {
        self.has_unknown = true;
        let said = shown(name.as_bytes());
        let help = if name.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("FAN_")) {
            Some("translate facron.conf with --from facron".to_owned())
        } else if name.contains('|') {
            Some("write commas between the events".to_owned())
        } else if name.contains('=') {
            Some(
                "incron knew recursive=false, dotdirs=true and loopable=true, in exactly these words"
                    .to_owned(),
            )
        } else {
            nearest(name).map(|near| format!("did you mean {near}?"))
        };
        let message = format!("unknown word `{said}` among the events");
        self.findings.push(&codes::UNKNOWN_WORD, self.line.at(range), message, help);
    }

    fn finish(mut self) -> Option<Wanted> {
        self.wanted.on = EventMask::from_kernel_bits(u64::from(self.bits & ALL_EVENTS));
        self.wanted.is_link_itself = self.bits & DONT_FOLLOW != 0;
        if self.bits & Q_OVERFLOW != 0 {
            self.wanted.on |= EventMask::Q_OVERFLOW;
            self.say(&codes::LOST_EVENTS, "IN_Q_OVERFLOW never fired in incron".to_owned(), None);
        }
        if self.bits & ONESHOT != 0 {
            let help = "let the command pause its rule: facron pause RULE".to_owned();
            self.say(&codes::ONCE, "IN_ONESHOT ends the watch after one event".to_owned(), Some(help));
        }
        let known = NAMES.iter().fold(0, |known, (_, bits)| known | bits);
        let lost = (self.bits & !known) | (self.bits & (UNMOUNT | IGNORED));
        if self.wanted.on.is_empty() {
            let message = match self.has_unknown {
                true => "no word that incron knew is an event",
                false if lost != 0 => "facron has no such event",
                false => "no event is asked for",
            };
            self.say(&codes::NO_KNOWN_EVENT, message.to_owned(), None);
            return None;
        }
        if lost != 0 {
            let message = format!("facron has no counterpart for {}", names(lost));
            self.say(&codes::NO_COUNTERPART, message, None);
        }
        if self.bits & ISDIR != 0 {
            let help = "add `include = [\"*/\"]` if only directories were meant".to_owned();
            self.say(&codes::IS_DIRECTORY, "IN_ISDIR filters nothing".to_owned(), Some(help));
        }
        if self.bits & ALL_EVENTS == ALL_EVENTS {
            let message = "every event is asked for, each open and read included".to_owned();
            self.say(&codes::ALL_EVENTS, message, None);
        }
        Some(self.wanted)
    }

    fn say(&mut self, code: &'static codes::Code, message: String, help: Option<String>) {
        self.findings.push(code, self.line.at(self.entry.mask_range.clone()), message, help);
    }
}

fn names(bits: u32) -> String {
    let known = NAMES.iter().filter(|(_, bit)| bit.count_ones() == 1 && bits & bit != 0);
    let unknown = known.clone().fold(bits, |rest, (_, bit)| rest & !bit);
    let mut names: Vec<String> = known.map(|(name, _)| (*name).to_owned()).collect();
    if unknown != 0 {
        names.push(format!("{unknown:#x}"));
    }
    names.join(", ")
}

fn nearest(name: &str) -> Option<&'static str> {
    let text = name.get(..name.len().min(40))?.to_ascii_uppercase();
    let text = text.trim_matches('"');
    let distance = |known: &str| strsim::damerau_levenshtein(text, known);
    let (near, _) = NAMES.iter().min_by_key(|(known, _)| distance(known))?;
    (distance(near) <= 3).then_some(*near)
}
