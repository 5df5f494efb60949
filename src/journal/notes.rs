//! Notes: what the loop tells the journal, as frames that wait to be handed to the writer. Pure.
//!
//! They stay in order. When the writer is so far behind that they grow too long, those about what waits are
//! thrown away, and everything that waits is said again when it has caught up.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::frame::{self, Next, Reader};
use super::record::{Object, Record, Waiting};
use super::stamp::Stamp;
use crate::event::{Event, EventMask};
use crate::rule::Scope;

/// Bytes of frames that may wait for the writer.
const FRAMES_LEN_MAX: usize = 2 * 1024 * 1024;

/// Bytes of a path that can be noted; the kernel's own limit for a path in one piece is 4096.
const PATH_LEN_MAX: usize = 16 * 1024;

/// Bytes of paths in one record.
const PATHS_LEN_MAX: usize = 32 * 1024;

/// How often it is noted that everything has been read.
const READ_UNTIL_PAUSE: Duration = Duration::from_secs(1);

/// What is noted and not handed over yet.
#[derive(Debug)]
pub struct Notes {
    frames: Vec<u8>,
    /// Whether something waits that has not been handed over.
    has_waiting: bool,
    is_shed: bool,
    read_until: Stamp,
    noted_until: Option<Stamp>,
    /// Whether something else was noted since.
    is_beyond: bool,
    owing: BTreeMap<Arc<str>, Stamp>,
    paused: BTreeSet<Arc<str>>,
}

impl Notes {
    /// Nothing is noted yet but who owes a rescan and who is paused.
    pub fn new(now: Stamp, owing: BTreeMap<Arc<str>, Stamp>, paused: BTreeSet<Arc<str>>) -> Notes {
        let mut notes = Notes {
            frames: Vec::new(),
            has_waiting: false,
            is_shed: false,
            read_until: now,
            noted_until: None,
            is_beyond: false,
            owing,
            paused,
        };
        notes.note_read_until();
        notes
    }

    /// This waits on a path, whatever was noted of it before.
    pub fn waits(&mut self, rule: &str, event: &Event) {
        // Nobody waits for an answer to a permission event of an earlier life.
        let mask = event.mask.without(EventMask::ALL_PERMISSION);
        if mask.is_empty() || self.is_shed {
            return;
        }
        let path = event.path.as_os_str().as_bytes();
        let old_path = event.old_path.as_deref().map(|path| path.as_os_str().as_bytes());
        if path.len().max(old_path.map_or(0, <[u8]>::len)) > PATH_LEN_MAX {
            self.push(&Record::Incomplete { rule, since: self.read_until });
            return;
        }
        let object = event.object.as_ref().map(|object| Object {
            fsid: object.fsid,
            kind: object.kind,
            handle: &object.handle,
        });
        let waiting = Waiting {
            mask,
            is_dir: event.is_dir,
            origin: event.origin,
            time: event.time,
            path,
            old_path,
            object,
        };
        self.push(&Record::Waits { rule, waiting });
        self.has_waiting = true;
    }

    /// Nothing waits on these paths any more.
    pub fn answered<'a>(&mut self, rule: &str, paths: impl IntoIterator<Item = &'a Path>) {
        if self.is_shed {
            return;
        }
        let (mut piece, mut piece_len) = (Vec::new(), 0);
        let bytes = paths.into_iter().map(|path| path.as_os_str().as_bytes());
        // A longer one was not noted when it began to wait.
        for path in bytes.filter(|path| path.len() <= PATH_LEN_MAX) {
            if piece_len + path.len() > PATHS_LEN_MAX && !piece.is_empty() {
                self.push(&Record::Answered { rule, paths: std::mem::take(&mut piece) });
                piece_len = 0;
            }
            piece.push(path);
            piece_len += path.len() + 4;
        }
        if !piece.is_empty() {
            self.push(&Record::Answered { rule, paths: piece });
        }
    }

    /// The rule is paused.
    pub fn paused(&mut self, rule: &Arc<str>) {
        if self.paused.insert(Arc::clone(rule)) {
            self.push(&Record::Paused { rule, is_paused: true });
        }
    }

    /// The rule is not paused.
    pub fn resumed(&mut self, rule: &str) {
        if self.paused.remove(rule) {
            self.push(&Record::Paused { rule, is_paused: false });
        }
    }

    /// The rule owes a walk for what changed since this moment; if it did already, since the earlier one.
    pub fn owes_rescan(&mut self, rule: &Arc<str>, since: Stamp) {
        let since = since.or_earlier(self.owing.get(rule).copied());
        if self.owing.insert(Arc::clone(rule), since) != Some(since) {
            self.push(&Record::OwesRescan { rule, since: Some(since) });
        }
    }

    /// The rule owes no walk.
    pub fn rescanned(&mut self, rule: &str) {
        if self.owing.remove(rule).is_some() {
            self.push(&Record::OwesRescan { rule, since: None });
        }
    }

    /// There is no such rule any more.
    pub fn forgotten(&mut self, rule: &str) {
        self.owing.remove(rule);
        self.paused.remove(rule);
        self.push(&Record::Forgotten { rule });
    }

    /// A path of the rule is watched from here on.
    pub fn armed(&mut self, rule: &str, path: &Path, scope: Scope) {
        let path = path.as_os_str().as_bytes();
        // The kernel knows no longer ones, so it was not armed either.
        if path.len() <= PATH_LEN_MAX {
            self.push(&Record::Armed { rule, path, scope });
        }
    }

    /// A path of the rule is not watched from here on.
    pub fn disarmed(&mut self, rule: &str, path: &Path) {
        let path = path.as_os_str().as_bytes();
        if path.len() <= PATH_LEN_MAX {
            self.push(&Record::Disarmed { rule, path });
        }
    }

    /// Whatever changed before this moment has been read, and noted before this. It is noted in its turn at most once
    /// a second, and only after something else: what we write is an event too, and would wake us for ever. While
    /// nothing happens that concerns a rule, an older moment is as good. After notes were thrown away nothing is
    /// noted: until they are said again, what came before this moment is not all noted before it.
    pub fn read_until(&mut self, now: Stamp) {
        self.read_until = now;
        if self.is_shed {
            return;
        }
        let is_due = |noted: Stamp| now.since_boot.saturating_sub(noted.since_boot) >= READ_UNTIL_PAUSE;
        if self.is_beyond && self.noted_until.is_none_or(is_due) {
            self.note_read_until();
        }
    }

    /// As [`Notes::read_until`] said last, at once.
    pub fn note_read_until(&mut self) {
        if self.noted_until.replace(self.read_until) != Some(self.read_until) {
            self.push(&Record::ReadUntil(self.read_until));
        }
        self.is_beyond = false;
    }

    /// The last moment before which everything was read.
    pub fn last_read(&self) -> Stamp {
        self.read_until
    }

    /// The moment since which the rule owes a walk.
    pub fn owed_since(&self, rule: &str) -> Option<Stamp> {
        self.owing.get(rule).copied()
    }

    /// How many bytes are to be handed over.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether something that waits is to be handed over.
    pub fn has_waiting(&self) -> bool {
        self.has_waiting
    }

    /// Whether what waits must be said again: notes were thrown away.
    pub fn is_shed(&self) -> bool {
        self.is_shed
    }

    /// What waits is said again from here on, completely; who owes a rescan and who is paused is said here.
    pub fn reset(&mut self) {
        self.is_shed = false;
        self.push(&Record::Reset);
        for rule in std::mem::take(&mut self.paused) {
            self.paused(&rule);
        }
        for (rule, since) in std::mem::take(&mut self.owing) {
            self.owes_rescan(&rule, since);
        }
    }

    /// What is noted, to be handed over; and whether there is something in it that waits.
    pub fn take(&mut self) -> (Vec<u8>, bool) {
        (std::mem::take(&mut self.frames), std::mem::take(&mut self.has_waiting))
    }

    /// What [`Notes::take`] gave could not be handed over. Returns whether notes had to be thrown away.
    pub fn put_back(&mut self, frames: Vec<u8>, has_waiting: bool) -> bool {
        self.frames = frames;
        if self.frames.len() <= FRAMES_LEN_MAX {
            self.has_waiting = has_waiting;
            return false;
        }
        self.is_shed = true;
        // It is thrown away too, if it is among them.
        self.noted_until = None;
        let frames = std::mem::take(&mut self.frames);
        let mut reader = Reader::new(&frames[..]);
        while let Ok(Next::Payload(payload)) = reader.next() {
            if let Some(record) = Record::read(payload).filter(is_said_once) {
                self.push(&record);
            }
        }
        true
    }

    fn push(&mut self, record: &Record<'_>) {
        self.is_beyond = true;
        let fits = frame::push(&mut self.frames, |bytes| record.write(bytes));
        debug_assert!(fits, "paths are bounded so that a record fits into a frame");
    }
}

/// Whether a record is not said again after a reset.
fn is_said_once(record: &Record<'_>) -> bool {
    match record {
        Record::Forgotten { .. } | Record::Armed { .. } | Record::Disarmed { .. } => true,
        Record::Generation(_)
        | Record::Complete
        | Record::Waits { .. }
        | Record::Answered { .. }
        | Record::Reset
        | Record::OwesRescan { .. }
        | Record::Incomplete { .. }
        | Record::Paused { .. }
        | Record::WatchedUntil { .. }
        | Record::ReadUntil(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::event::{Cause, Origin};

    const RULE: &str = "rule";

    fn at(seconds: u64) -> Stamp {
        let since_boot = Duration::from_secs(seconds);
        Stamp { wall: SystemTime::UNIX_EPOCH + since_boot, since_boot, boot_id: 1 }
    }

    fn event(path: &str) -> Event {
        Event {
            mask: EventMask::MODIFY,
            path: Path::new(path).into(),
            old_path: None,
            is_dir: false,
            cause: Cause::default(),
            time: at(1).wall,
            origin: Origin::Event,
            object: None,
        }
    }

    fn notes() -> Notes {
        let mut notes = Notes::new(at(1), BTreeMap::new(), BTreeSet::new());
        notes.take();
        notes
    }

    /// More than may wait for the writer is put back.
    fn shed(notes: &mut Notes) {
        let long = format!("/srv/{}", "x".repeat(PATH_LEN_MAX / 2));
        while notes.len() <= FRAMES_LEN_MAX {
            notes.waits(RULE, &event(&long));
        }
        let (frames, has_waiting) = notes.take();
        assert!(notes.put_back(frames, has_waiting), "it was too much");
        assert!(notes.is_shed());
    }

    /// The moments until which everything was read, as the notes to be handed over say.
    fn moments(notes: &mut Notes) -> Vec<Stamp> {
        let (frames, _) = notes.take();
        let (mut reader, mut moments) = (Reader::new(&frames[..]), Vec::new());
        while let Ok(Next::Payload(payload)) = reader.next() {
            if let Some(Record::ReadUntil(stamp)) = Record::read(payload) {
                moments.push(stamp);
            }
        }
        moments
    }

    #[test]
    fn what_is_put_back_still_waits_to_be_handed_over() {
        let mut notes = notes();
        notes.waits(RULE, &event("/srv/a"));
        let (frames, has_waiting) = notes.take();
        assert!(!notes.put_back(frames, has_waiting), "there is room for it");
        assert!(notes.has_waiting(), "a run has to wait until this is written");
    }

    #[test]
    fn no_moment_is_noted_before_what_was_thrown_away_is_said_again() {
        let mut notes = notes();
        shed(&mut notes);
        notes.armed(RULE, Path::new("/srv"), Scope::Tree);
        notes.read_until(at(10));
        assert_eq!(moments(&mut notes), [], "not all that came before it is noted");
        notes.reset();
        notes.read_until(at(11));
        assert_eq!(moments(&mut notes), [at(11)]);
    }

    #[test]
    fn a_moment_that_was_thrown_away_is_noted_again() {
        let mut notes = notes();
        notes.waits(RULE, &event("/srv/a"));
        notes.read_until(at(10));
        shed(&mut notes);
        notes.reset();
        notes.read_until(at(10));
        assert_eq!(moments(&mut notes), [at(10)]);
    }

    #[test]
    fn a_path_that_is_too_long_to_be_noted_is_not_noted_as_answered_either() {
        let mut notes = notes();
        let long = format!("/srv/{}", "x".repeat(70_000));
        let paths = ["/srv/a", &long, "/srv/b"].map(Path::new);
        notes.answered(RULE, paths);
        let (frames, _) = notes.take();
        let mut reader = Reader::new(&frames[..]);
        let Ok(Next::Payload(payload)) = reader.next() else { panic!("there is a note") };
        let paths = vec![&b"/srv/a"[..], b"/srv/b"];
        assert_eq!(Record::read(payload), Some(Record::Answered { rule: RULE, paths }));
    }
}
