//! The journal: what must outlive the process. What waits for an answer, who owes a rescan, who is paused, and what
//! was watched until when, kept in the state directory.
//!
//! ```text
//! engine.changes() ─► Notes ─► frames ─► Writer (a thread) ─► write(2) ─► journal.0 | journal.1
//!                     (pure)                  └─► Syncer (a thread) ─► fsync(2), at most once a second
//! next start:  journal.* ─► Content ─► State ─► Restored ─► Input::Restore
//!                          (pure)      (pure)
//! ```
//!
//! What is promised, and why it holds:
//!
//! - *The file is always a prefix of what happened*: notes go through one queue in the order of the engine's
//!   decisions, and a piece that was not written to its end is recognised by its frame. So what is read back is
//!   the state that the engine had at some moment shortly before the end.
//! - *Nothing that waited is lost*: a path waits in the file from before its run until after the end of that run.
//!   Before a run is spawned, [`Journal::note`] waits until the kernel has what waits (write(2) has returned: it
//!   survives a kill -9). What happened after the last piece was written is repeated: a run whose end was not noted
//!   runs again. That is allowed; losing it is not.
//! - *What was watched until when* is noted behind everything that was read before that moment, so catching up
//!   from there leaves no gap. What the kernel's queue held when the daemon was killed is found by catching up, or
//!   in the service manager's file-descriptor store.
//! - *The loop never waits for the disk*: it waits at most 250 ms for the writer, and not again before the writer
//!   has caught up. Too many notes are thrown away, and everything is said again later.
//! - *A full disk, a directory that became read-only, an I/O error*: the daemon goes on without the files, and
//!   tries every two seconds to write them anew. Half a mebibyte is reserved ahead for that moment.
//! - *Bounded*: [`WAITING_MAX`] paths in all, of 16 MiB; what cannot be held makes its rule owe a rescan. The file
//!   grows to 4 MiB and three times its content before it is written anew.
//! - *A file that cannot be read* is kept as `journal.bad-N`, and is never a reason not to start. What was read of
//!   it up to there holds, and every rule owes a rescan for what came after.

mod changes;
mod content;
mod fields;
mod frame;

mod notes;
mod record;
mod restored;
mod stamp;
mod state;
mod store;
mod syncer;
mod writer;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::engine::{Action, Engine};
use crate::moment::Moment;
use crate::rule::{Rule, RuleSet};
use crate::sys::clock;
use crate::sys::private::{PrivateDirectory, PrivateError};
use notes::Notes;
use store::Store;
use writer::Writer;

pub use content::{Content, Damage};
pub use restored::{Restored, RestoredRule};
pub use stamp::Stamp;
pub use state::{State, WAITING_MAX};
pub use writer::Health;

/// Bytes of notes that are handed over before the end of a turn: what a few runs leave. Each piece wakes the writer,
/// and what was not handed over when the daemon is killed is repeated.
const PIECE_LEN: usize = 1024;

/// Between two tries to hand over what the writer had no room for, while nothing else wakes the loop.
const SEND_PAUSE: Duration = Duration::from_millis(250);

/// How long the end waits for the writer and its disk.
const CLOSED_WAIT: Duration = Duration::from_secs(5);

/// The journal of a running daemon.
#[derive(Debug)]
pub struct Journal {
    notes: Notes,
    writer: Writer,
    directory: PathBuf,
    /// Whether something that waits was handed over, and not seen to be written.
    is_unsure: bool,
    /// When to try again to hand over what the writer had no room for; none: it has everything.
    next_try: Option<Moment>,
}

/// Why there is no journal. (A directory that cannot be used is no reason: see [`Journal::health`].)
#[derive(Debug)]
pub enum OpenError {
    /// Another daemon keeps its state in this directory.
    InUse(PathBuf),
    /// The system has no threads left.
    Failed(io::Error),
}

impl Journal {
    /// Opens the journal in its directory, which is locked from here on, and reads what an earlier life left for
    /// these rules. Call it before anything is armed, with the signals of the loop blocked.
    ///
    /// # Errors
    /// Another daemon has it, or no thread can be started.
    pub fn open(directory: &Path, rules: &RuleSet, now: Stamp) -> Result<(Journal, Restored), OpenError> {
        let (store, mut state) = match PrivateDirectory::open(directory) {
            Ok(directory) => {
                let (store, found) = Store::open(Arc::new(directory));
                found.report(store.directory());
                (Some(store), found.state)
            }
            Err(PrivateError::InUse) => return Err(OpenError::InUse(directory.to_owned())),
            // The writer tries again, and says why it cannot.
            Err(PrivateError::Unfit(_) | PrivateError::Failed(_)) => (None, State::default()),
        };
        state.begin_life();
        let known = by_name(rules);
        state.keep_watches(|rule, path| {
            known.get(rule).is_some_and(|rule| rule.watch.paths.iter().any(|own| own == path))
        });
        let restored = Restored::new(&state, rules, now);
        let owing = rules.rules.iter().filter_map(|rule| {
            let state = state.rules.get(&*rule.name)?;
            Some((Arc::clone(&rule.name), state.owes_rescan?))
        });
        let is_paused = |rule: &&Arc<Rule>| state.rules.get(&*rule.name).is_some_and(|state| state.is_paused);
        let paused = rules.rules.iter().filter(is_paused).map(|rule| Arc::clone(&rule.name));
        let mut notes = Notes::new(now, owing.collect(), paused.collect());
        for (rule, paths) in &restored.removed {
            if restored.rules.contains_key(rule) {
                notes.answered(rule, paths.iter().map(PathBuf::as_path));
            } else {
                notes.forgotten(rule);
            }
        }
        let writer = Writer::start(directory.to_owned(), store, state).map_err(OpenError::Failed)?;
        Ok((Journal::new(notes, writer, directory.to_owned()), restored))
    }

    fn new(notes: Notes, writer: Writer, directory: PathBuf) -> Journal {
        Journal { notes, writer, directory, is_unsure: false, next_try: None }
    }

    /// Notes what the engine's last input has changed, and the actions that came of it, which may be carried out when
    /// it returns: if one of them starts a run, the kernel has the note of what waits, or was waited for for 250 ms.
    /// Call it after every [`Engine::handle`].
    pub fn note(&mut self, engine: &Engine, actions: &[Action]) {
        changes::note(engine, &mut self.notes);
        self.say_again_if_due(engine);
        let starts_run = actions.iter().any(|action| matches!(action, Action::Spawn(_)));
        if starts_run && (self.notes.has_waiting() || self.is_unsure) {
            self.hand_over();
            self.writer.wait();
            self.is_unsure = false;
        } else if self.notes.len() >= PIECE_LEN {
            self.hand_over();
        }
    }

    /// Hands over what was noted, in order: call it before the loop waits, and again at [`Journal::next_deadline`].
    pub fn commit(&mut self, now: Moment, engine: &Engine) {
        self.say_again_if_due(engine);
        self.hand_over();
        let is_left = self.notes.len() > 0 || self.notes.is_shed();
        self.next_try = is_left.then(|| now + SEND_PAUSE);
    }

    /// When something is to be handed over even if nothing happens.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.next_try
    }

    fn hand_over(&mut self) {
        if self.notes.len() == 0 {
            return;
        }
        let (frames, has_waiting) = self.notes.take();
        match self.writer.send(frames) {
            Ok(()) => self.is_unsure |= has_waiting,
            Err(frames) => {
                if self.notes.put_back(frames, has_waiting) {
                    log::warn!(
                        directory:% = self.directory.display();
                        "journal is too far behind: what waits is only in memory until it has caught up"
                    );
                }
            }
        }
    }

    /// Notes that everything has been read until the last moment that it was told, hands everything over and waits
    /// until it is on the disk, at most five seconds in all. Call it when the engine is finished.
    pub fn close(mut self, engine: &Engine) {
        let end = clock::monotonic() + CLOSED_WAIT;
        let left = self.hand_over_last(engine, |writer| writer.wait_until(end));
        if left > 0 {
            log::warn!(
                directory:% = self.directory.display(), notes = left;
                "journal is too far behind: the last notes are lost, and the next start goes by the older ones"
            );
        }
        if !self.writer.close(end) {
            log::warn!(
                directory:% = self.directory.display();
                "journal is not on the disk: the disk has not answered for five seconds"
            );
        }
    }

    /// Hands over all that is left, after a wait if the writer has no room for it. Returns how many notes it did not
    /// take.
    fn hand_over_last(&mut self, engine: &Engine, wait: impl FnOnce(&Writer)) -> usize {
        if self.notes.is_shed() {
            changes::say_again(engine, &mut self.notes);
        }
        self.notes.note_read_until();
        let (frames, _) = self.notes.take();
        if frames.is_empty() {
            return 0;
        }
        let result = self.writer.send(frames).or_else(|frames| {
            wait(&self.writer);
            self.writer.send(frames)
        });
        result.map_or_else(|frames| frame::count(&frames), |()| 0)
    }

    /// A path of the rule is watched from here on: its marks are set. If the rule is to catch up with what came
    /// before, note that it owes a rescan first.
    pub fn armed(&mut self, rule: &Rule, path: &Path) {
        self.notes.armed(&rule.name, path, rule.watch.scope);
    }

    /// A path of the rule is not watched any more from here on: unmounted, removed, degraded.
    pub fn disarmed(&mut self, rule: &str, path: &Path) {
        self.notes.disarmed(rule, path);
    }

    /// Other rules are in force from here on: paths that a rule has no more are not watched any more. (A rule that is
    /// gone is forgotten with all its paths, as [`Journal::note`] hears from the engine.)
    pub fn reloaded(&mut self, old: &RuleSet, new: &RuleSet) {
        let new = by_name(new);
        for old in &old.rules {
            let Some(new) = new.get(&*old.name) else { continue };
            let gone = old.watch.paths.iter().filter(|path| !new.watch.paths.contains(path));
            gone.for_each(|path| self.notes.disarmed(&old.name, path));
        }
    }

    /// The rule owes a walk that finds what changed since this moment, until the engine says that it owes none.
    pub fn owes_rescan(&mut self, rule: &Arc<str>, since: Stamp) {
        self.notes.owes_rescan(rule, since);
    }

    /// From which change time on the rule's walk has to look, if it owes one.
    pub fn owed_since(&self, rule: &str, now: Stamp) -> Option<std::time::SystemTime> {
        self.notes.owed_since(rule).map(|since| since.changed_since(now))
    }

    /// Whatever changed before this moment has been read and handed to the engine: call it when the kernel's queue
    /// was found empty, with the moment before it was looked at.
    pub fn read_until(&mut self, moment: Stamp) {
        self.notes.read_until(moment);
    }

    /// How the journal fares, for status.
    pub fn health(&self) -> Health {
        self.writer.health()
    }

    fn say_again_if_due(&mut self, engine: &Engine) {
        if self.must_say_again(engine) {
            changes::say_again(engine, &mut self.notes);
        }
    }

    /// After notes were thrown away, once the writer is there again; or when more waited than could be held, and
    /// all of it is answered.
    fn must_say_again(&self, engine: &Engine) -> bool {
        if self.notes.is_shed() {
            return self.writer.has_caught_up();
        }
        self.writer.is_incomplete() && engine.is_idle()
    }
}

fn by_name(rules: &RuleSet) -> BTreeMap<&str, &Rule> {
    rules.rules.iter().map(|rule| (&*rule.name, &**rule)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::SystemTime;

    use super::writer::{Hand, PIECES_MAX};
    use super::*;
    use crate::config;
    use crate::diagnostic::SourceText;
    use crate::engine::Input;
    use crate::event::{Cause, Event, EventMask, Origin};
    use crate::rule::RuleId;

    const RULES: &str = "
        [[rule]]
        name = 'slow'
        path = '/srv'
        on = 'all'
        debounce = '300d'
        command = ['/bin/true']
    ";

    const RULE: RuleId = RuleId(0);

    /// A life with a writer that does nothing before the test says so.
    struct Life {
        engine: Engine,
        journal: Journal,
        hand: Hand,
        now: Moment,
    }

    impl Life {
        fn begin() -> Life {
            let text = SourceText { name: "rules.toml".into(), text: RULES.into() };
            let engine = Engine::new(Arc::new(config::parse(&[text]).rules));
            let stamp = Stamp { wall: SystemTime::UNIX_EPOCH, since_boot: Duration::ZERO, boot_id: 1 };
            let (writer, hand) = Writer::by_hand();
            let journal =
                Journal::new(Notes::new(stamp, BTreeMap::new(), BTreeSet::new()), writer, "/".into());
            Life { engine, journal, hand, now: Moment::default() }
        }

        /// A life with a writer that has no room, and an event whose note waits for some.
        fn stuck(path: &str) -> Life {
            let mut life = Life::begin();
            for number in 0..PIECES_MAX {
                life.event(&format!("/srv/{number}"));
                life.commit();
                assert_eq!(life.journal.next_deadline(), None, "there is room for {number}");
            }
            life.event(path);
            life.commit();
            life
        }

        fn event(&mut self, path: &str) {
            let event = Event {
                mask: EventMask::MODIFY,
                path: Path::new(path).into(),
                old_path: None,
                is_dir: false,
                cause: Cause::default(),
                time: SystemTime::UNIX_EPOCH,
                origin: Origin::Event,
                object: None,
            };
            let actions = self.engine.handle(self.now, Input::Event { rule: RULE, event });
            self.journal.note(&self.engine, &actions);
        }

        fn commit(&mut self) {
            self.journal.commit(self.now, &self.engine);
        }

        /// What the writer knows once it has taken all that it was sent.
        fn waiting_count(&self) -> usize {
            self.hand.take_all().waiting_count()
        }
    }

    #[test]
    fn what_the_writer_has_no_room_for_is_tried_again_though_nothing_happens() {
        let mut life = Life::stuck("/srv/last");
        assert_eq!(life.journal.next_deadline(), Some(life.now + SEND_PAUSE));
        life.now = life.now + SEND_PAUSE;
        life.commit();
        assert_eq!(life.journal.next_deadline(), Some(life.now + SEND_PAUSE), "there is no room yet");
        assert_eq!(life.waiting_count(), PIECES_MAX);
        life.commit();
        assert_eq!(life.journal.next_deadline(), None, "the loop may sleep");
        assert_eq!(life.waiting_count(), PIECES_MAX + 1);
    }

    #[test]
    fn what_was_thrown_away_is_said_again_though_nothing_happens() {
        let mut life = Life::stuck("/srv/last");
        while !life.journal.notes.is_shed() {
            life.event(&format!("/srv/{}/{}", "x".repeat(8 * 1024), life.journal.notes.len()));
            life.commit();
        }
        assert_eq!(life.journal.next_deadline(), Some(life.now + SEND_PAUSE));
        assert_eq!(life.waiting_count(), PIECES_MAX);
        life.commit();
        assert_eq!(life.journal.next_deadline(), None, "the loop may sleep");
        let kept = life.engine.kept().map(|kept| kept.events.len()).sum::<usize>();
        assert_eq!(life.waiting_count(), kept);
    }

    #[test]
    fn the_end_waits_until_there_is_room_for_the_last_notes() {
        let mut life = Life::stuck("/srv/last");
        let hand = &life.hand;
        let left = life.journal.hand_over_last(&life.engine, |_| drop(hand.take_all()));
        assert_eq!(left, 0);
        assert_eq!(life.waiting_count(), PIECES_MAX + 1);
    }

    #[test]
    fn the_end_knows_how_many_notes_are_lost_when_there_is_no_room() {
        let mut life = Life::stuck("/srv/last");
        let left = life.journal.hand_over_last(&life.engine, |_| {});
        assert_eq!(left, 1);
    }
}
