//! Records: what the journal says, one small fact each, as bytes and back.
//!
//! A record is a tag byte and its fields in the order in which they stand here; how each field looks is told in
//! `fields.rs`. Paths are bytes.

use std::time::SystemTime;

use super::fields::{Fields, number_of, put_mask, put_option, put_stamp, put_text, put_time, put_u64};
use super::stamp::Stamp;
use crate::event::{EventMask, Origin};
use crate::rule::Scope;

/// One fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// Of two files the one with the higher generation holds; the first record of each.
    Generation(u64),
    /// The snapshot at the beginning of the file is complete; what follows was added later.
    Complete,
    /// This is what waits for an answer on a path: more than before, less, or for the first time.
    Waits {
        /// Whose.
        rule: &'a str,
        /// What.
        waiting: Waiting<'a>,
    },
    /// Nothing waits on these paths any more: they are answered or dropped.
    Answered {
        /// Whose.
        rule: &'a str,
        /// Which.
        paths: Vec<&'a [u8]>,
    },
    /// Whatever waits, is owed or is paused is said again behind this.
    Reset,
    /// There is no such rule any more.
    Forgotten {
        /// Which.
        rule: &'a str,
    },
    /// What changed since a moment is to be found by a walk, or has been found.
    OwesRescan {
        /// Whose.
        rule: &'a str,
        /// None: it has been found.
        since: Option<Stamp>,
    },
    /// The journal could not hold everything that waits: only a walk can tell.
    Incomplete {
        /// Whose.
        rule: &'a str,
        /// What came from then on.
        since: Stamp,
    },
    /// A person has paused or resumed the rule.
    Paused {
        /// Which.
        rule: &'a str,
        /// Whether it is paused.
        is_paused: bool,
    },
    /// A path of the rule is watched from here on.
    Armed {
        /// Whose.
        rule: &'a str,
        /// Which.
        path: &'a [u8],
        /// How far below.
        scope: Scope,
    },
    /// A path of the rule is not watched from here on.
    Disarmed {
        /// Whose.
        rule: &'a str,
        /// Which.
        path: &'a [u8],
    },
    /// A path of the rule was watched until then (in snapshots).
    WatchedUntil {
        /// Whose.
        rule: &'a str,
        /// Which.
        path: &'a [u8],
        /// How far below.
        scope: Scope,
        /// Then.
        until: Stamp,
    },
    /// Whatever was changed before this moment has been read, and what of it waits is recorded.
    ReadUntil(Stamp),
}

/// Something that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting<'a> {
    /// What happened.
    pub mask: EventMask,
    /// Whether the subject is a directory.
    pub is_dir: bool,
    /// How we know.
    pub origin: Origin,
    /// When it was read.
    pub time: SystemTime,
    /// Where.
    pub path: &'a [u8],
    /// For `rename`: the path before.
    pub old_path: Option<&'a [u8]>,
    /// The very file.
    pub object: Option<Object<'a>>,
}

/// [`crate::event::ObjectId`] in borrowed bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object<'a> {
    /// The file system's id.
    pub fsid: [i32; 2],
    /// `handle_type`.
    pub kind: i32,
    /// `f_handle`.
    pub handle: &'a [u8],
}

const GENERATION: u8 = 1;
const COMPLETE: u8 = 2;
const WAITS: u8 = 3;
const ANSWERED: u8 = 4;
const RESET: u8 = 5;
const FORGOTTEN: u8 = 6;
const OWES_RESCAN: u8 = 7;
const INCOMPLETE: u8 = 8;
const PAUSED: u8 = 9;
const ARMED: u8 = 10;
const DISARMED: u8 = 11;
const WATCHED_UNTIL: u8 = 12;
const READ_UNTIL: u8 = 13;

/// The numbers of enums that have no number of their own.
const ORIGINS: [(Origin, u8); 4] =
    [(Origin::Event, 0), (Origin::Rescan, 1), (Origin::CatchUp, 2), (Origin::Trigger, 3)];
const SCOPES: [(Scope, u8); 3] = [(Scope::Itself, 0), (Scope::Children, 1), (Scope::Tree, 2)];

impl<'a> Record<'a> {
    /// Adds its bytes.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Record::Generation(generation) => {
                bytes.push(GENERATION);
                put_u64(bytes, *generation);
            }
            Record::Complete => bytes.push(COMPLETE),
            Record::Waits { rule, waiting } => {
                put_tag(bytes, WAITS, rule);
                waiting.write(bytes);
            }
            Record::Answered { rule, paths } => {
                put_tag(bytes, ANSWERED, rule);
                paths.iter().for_each(|path| put_text(bytes, path));
            }
            Record::Reset => bytes.push(RESET),
            Record::Forgotten { rule } => put_tag(bytes, FORGOTTEN, rule),
            Record::OwesRescan { rule, since } => {
                put_tag(bytes, OWES_RESCAN, rule);
                put_option(bytes, since.as_ref(), |bytes, since| put_stamp(bytes, *since));
            }
            Record::Incomplete { rule, since } => {
                put_tag(bytes, INCOMPLETE, rule);
                put_stamp(bytes, *since);
            }
            Record::Paused { rule, is_paused } => {
                put_tag(bytes, PAUSED, rule);
                bytes.push(u8::from(*is_paused));
            }
            Record::Armed { rule, path, scope } => {
                put_tag(bytes, ARMED, rule);
                put_text(bytes, path);
                bytes.push(number_of(&SCOPES, *scope));
            }
            Record::Disarmed { rule, path } => {
                put_tag(bytes, DISARMED, rule);
                put_text(bytes, path);
            }
            Record::WatchedUntil { rule, path, scope, until } => {
                put_tag(bytes, WATCHED_UNTIL, rule);
                put_text(bytes, path);
                bytes.push(number_of(&SCOPES, *scope));
                put_stamp(bytes, *until);
            }
            Record::ReadUntil(stamp) => {
                bytes.push(READ_UNTIL);
                put_stamp(bytes, *stamp);
            }
        }
    }

    /// Reads the bytes of one record, all of them; none if they are not what [`Record::write`] makes.
    pub fn read(bytes: &'a [u8]) -> Option<Record<'a>> {
        let mut fields = Fields(bytes);
        let record = match fields.u8()? {
            GENERATION => Record::Generation(fields.u64()?),
            COMPLETE => Record::Complete,
            WAITS => Record::Waits { rule: fields.name()?, waiting: Waiting::read(&mut fields)? },
            ANSWERED => {
                let (rule, mut paths) = (fields.name()?, Vec::new());
                while !fields.0.is_empty() {
                    paths.push(fields.text()?);
                }
                Record::Answered { rule, paths }
            }
            RESET => Record::Reset,
            FORGOTTEN => Record::Forgotten { rule: fields.name()? },
            OWES_RESCAN => Record::OwesRescan { rule: fields.name()?, since: fields.option(Fields::stamp)? },
            INCOMPLETE => Record::Incomplete { rule: fields.name()?, since: fields.stamp()? },
            PAUSED => Record::Paused { rule: fields.name()?, is_paused: fields.bool()? },
            ARMED => {
                Record::Armed { rule: fields.name()?, path: fields.text()?, scope: fields.one_of(&SCOPES)? }
            }
            DISARMED => Record::Disarmed { rule: fields.name()?, path: fields.text()? },
            WATCHED_UNTIL => Record::WatchedUntil {
                rule: fields.name()?,
                path: fields.text()?,
                scope: fields.one_of(&SCOPES)?,
                until: fields.stamp()?,
            },
            READ_UNTIL => Record::ReadUntil(fields.stamp()?),
            _ => return None,
        };
        fields.0.is_empty().then_some(record)
    }
}

impl<'a> Waiting<'a> {
    fn write(&self, bytes: &mut Vec<u8>) {
        put_mask(bytes, self.mask);
        bytes.push(u8::from(self.is_dir));
        bytes.push(number_of(&ORIGINS, self.origin));
        put_time(bytes, self.time);
        put_text(bytes, self.path);
        put_option(bytes, self.old_path.as_ref(), |bytes, path| put_text(bytes, path));
        put_option(bytes, self.object.as_ref(), |bytes, object| {
            for number in [object.fsid[0], object.fsid[1], object.kind] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            put_text(bytes, object.handle);
        });
    }

    fn read(fields: &mut Fields<'a>) -> Option<Waiting<'a>> {
        Some(Waiting {
            mask: fields.mask()?,
            is_dir: fields.bool()?,
            origin: fields.one_of(&ORIGINS)?,
            time: fields.time()?,
            path: fields.text()?,
            old_path: fields.option(Fields::text)?,
            object: fields.option(Fields::object)?,
        })
    }
}

fn put_tag(bytes: &mut Vec<u8>, tag: u8, rule: &str) {
    bytes.push(tag);
    put_text(bytes, rule.as_bytes());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn one_of_each() -> Vec<Record<'static>> {
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
        let stamp = Stamp { wall: time, since_boot: Duration::new(77, 5), boot_id: u128::MAX / 3 };
        let before_1970 = Stamp { wall: SystemTime::UNIX_EPOCH - Duration::from_millis(4_250), ..stamp };
        let waiting = Waiting {
            mask: EventMask::ALL_KERNEL | EventMask::ARRIVED | EventMask::Q_OVERFLOW,
            is_dir: true,
            origin: Origin::CatchUp,
            time,
            path: b"/srv/\xff\n",
            old_path: Some(b"/srv/old"),
            object: Some(Object { fsid: [-1, 7], kind: 129, handle: &[9; 128] }),
        };
        let plain = Waiting { old_path: None, object: None, is_dir: false, ..waiting.clone() };
        let rule = "name";
        vec![
            Record::Generation(u64::MAX),
            Record::Complete,
            Record::Waits { rule, waiting },
            Record::Waits { rule, waiting: plain },
            Record::Answered { rule, paths: vec![b"/a", b"/b"] },
            Record::Reset,
            Record::Forgotten { rule },
            Record::OwesRescan { rule, since: Some(stamp) },
            Record::OwesRescan { rule, since: None },
            Record::Incomplete { rule, since: before_1970 },
            Record::Paused { rule, is_paused: true },
            Record::Armed { rule, path: b"/srv", scope: Scope::Tree },
            Record::Disarmed { rule, path: b"/srv" },
            Record::WatchedUntil { rule, path: b"/srv", scope: Scope::Itself, until: stamp },
            Record::ReadUntil(stamp),
        ]
    }

    #[test]
    fn every_record_is_read_as_it_was_written() {
        for record in one_of_each() {
            let mut bytes = Vec::new();
            record.write(&mut bytes);
            assert_eq!(Record::read(&bytes), Some(record));
        }
    }

    #[test]
    fn a_part_of_a_record_is_none_or_another_one() {
        for record in one_of_each() {
            let mut bytes = Vec::new();
            record.write(&mut bytes);
            for len in 0..bytes.len() {
                assert_ne!(Record::read(&bytes[..len]), Some(record.clone()));
            }
            bytes.push(0);
            assert_ne!(Record::read(&bytes), Some(record.clone()));
        }
    }
}
