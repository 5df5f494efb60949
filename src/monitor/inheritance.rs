//! Groups of an earlier life, kept by the service manager: what the kernel reported while nobody read waits in them.
//!
//! A life never goes on with them. It makes and marks groups of its own, as its rules say; when all is marked, what
//! waits in the old ones is told, and they are closed. So their marks, flags and privileges do not have to fit, and
//! what no rule asks for is passed over as always. What happens between both is in both, and may be told twice.
//!
//! Not told is what happened on file systems without an id (FUSE, NFS): their handles may mean anything.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use super::atlas::{NodeId, Whereabouts};
use super::causes::Attributor;
use super::notice::Notice;
use super::traffic::Token;
use super::world::{Now, World};
use super::{BUFFER_LEN, EVENT_LEN_MAX, Monitor, QUEUE_LEN};
use crate::plan;
use crate::sys::decode::{self, Parts, RawEntry, RawEvent, RawHandle};
use crate::sys::fanotify::{Group, ON_DIRECTORY};
use crate::sys::handle::{ObjectKey, fsid_of};

/// What begins the name of a group that is kept.
const LABEL: &str = "facron-fanotify";
/// Reads that empty the fullest group.
const READS_MAX: u64 = QUEUE_LEN * EVENT_LEN_MAX as u64 / BUFFER_LEN as u64;

/// What earlier lives left, and what this one leaves.
#[derive(Debug, Default)]
pub struct Inheritance {
    left: Vec<Left>,
    /// Until when the rules were watched in an earlier life, as far as that is known.
    watched_until: Option<SystemTime>,
    /// The number of this life: names of groups are never used twice.
    life: u32,
    /// Whether our own groups are kept; not before all is marked, or lives that end early would leave too many.
    is_kept: bool,
}

/// A group that an earlier life left.
#[derive(Debug)]
struct Left {
    label: Label,
    group: Group,
}

/// The name under which a group is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Label {
    life: u32,
    token: u32,
    /// The daemon's, whose own doings are passed over.
    pid: i32,
}

impl Monitor {
    /// Takes over what an earlier life left, before the first rules are set; gives the names of what is of no use
    /// and closed already. `watched_until` is when that life read its last event, as far as that is known.
    pub fn inherit(
        &mut self,
        stored: Vec<(String, OwnedFd)>,
        watched_until: Option<SystemTime>,
    ) -> Vec<String> {
        let mut useless = Vec::new();
        self.inheritance.watched_until = watched_until;
        for (name, fd) in stored {
            match Label::parse(&name).map(|label| Ok((label, Group::adopt(fd)?))) {
                Some(Ok((label, group))) => {
                    self.inheritance.life = self.inheritance.life.max(label.life);
                    self.inheritance.left.push(Left { label, group });
                }
                Some(Err(error)) => {
                    let error: io::Error = error;
                    log::warn!(name = name, reason = error.to_string(); "a kept descriptor is of no use");
                    useless.push(name);
                }
                None => {
                    log::warn!(name = name; "a kept descriptor is not one of ours");
                    useless.push(name);
                }
            }
        }
        useless
    }

    /// All is marked: tells what waits in the groups of an earlier life, and lets ours be kept in their stead.
    pub(super) fn take_inheritance(
        &mut self,
        now: Now,
        attributor: &mut dyn Attributor,
        notices: &mut Vec<Notice>,
    ) {
        if self.inheritance.is_kept {
            return;
        }
        self.inheritance.is_kept = true;
        let left = std::mem::take(&mut self.inheritance.left);
        self.inheritance.life += 1;
        for (token, group) in &self.groups {
            notices.extend(self.inheritance.keep(*token, group));
        }
        for Left { label, group } in left {
            match group.unmark().and_then(|()| self.waiting_in(&group)) {
                Ok(waiting) => self.tell_waiting(&waiting, label, now, attributor, notices),
                Err(error) => {
                    log::warn!(name = label.name(), reason = error.to_string(); "a kept group cannot be read");
                    self.overflow(self.inheritance.since(), now, notices);
                }
            }
            notices.push(Notice::LetGo { name: label.name() });
        }
    }

    /// All that waits in a group that has no marks any more.
    fn waiting_in(&mut self, group: &Group) -> io::Result<Vec<u8>> {
        let mut waiting = Vec::new();
        for _ in 0..READS_MAX {
            match group.read(&mut self.buffer)? {
                0 => break,
                len => waiting.extend_from_slice(&self.buffer[..len]),
            }
        }
        Ok(waiting)
    }

    fn tell_waiting(
        &mut self,
        waiting: &[u8],
        label: Label,
        now: Now,
        attributor: &mut dyn Attributor,
        notices: &mut Vec<Notice>,
    ) {
        let before = notices.len();
        let tokens: Vec<Token> = self.groups.keys().copied().collect();
        let events: Vec<RawEvent<'_>> = decode::events(waiting).map_while(Result::ok).collect();
        self.world.causes.begin(events.iter().map(|event| event.pid).filter(|pid| *pid > 0), attributor);
        let mut gone = self.world.learn_gone(&tokens, &events);
        self.world.past = Some(label.pid);
        for event in &events {
            if event.mask & libc::FAN_Q_OVERFLOW != 0 {
                self.overflow(self.inheritance.since(), now, notices);
            }
            if !has_id(event) {
                continue;
            }
            for token in &tokens {
                // Records of a group that was made with our flags are whole; one that is not is of no use.
                self.world.judge(*token, event, now, notices).ok();
                self.world.forget_gone(*token, event, &mut gone);
            }
        }
        self.world.past = None;
        gone.iter().for_each(|(token, key)| self.world.atlas.remove(*token, key.as_bytes()));
        let told = notices.len() - before;
        log::info!(events = events.len(), told = told; "what the kernel reported meanwhile is read");
    }
}

impl Inheritance {
    /// How a group of ours is to be kept.
    pub fn keep(&self, token: Token, group: &Arc<Group>) -> Option<Notice> {
        let name = self.label(token).name();
        self.is_kept.then(|| Notice::Keep { name, group: Arc::clone(group) })
    }

    /// How it is to be kept no more.
    pub fn let_go(&self, token: Token) -> Option<Notice> {
        let name = self.label(token).name();
        self.is_kept.then_some(Notice::LetGo { name })
    }

    fn label(&self, token: Token) -> Label {
        let pid = i32::try_from(std::process::id()).unwrap_or(0);
        Label { life: self.life, token: token.0, pid }
    }

    /// Since when something may be missing if groups that were left are not whole.
    fn since(&self) -> SystemTime {
        self.watched_until.unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

impl Label {
    fn name(self) -> String {
        let Label { life, token, pid } = self;
        format!("{LABEL}-life{life}-group{token}-pid{pid}")
    }

    fn parse(name: &str) -> Option<Label> {
        let rest = name.strip_prefix(LABEL)?.strip_prefix("-life")?;
        let (life, rest) = rest.split_once("-group")?;
        let (token, pid) = rest.split_once("-pid")?;
        Some(Label { life: life.parse().ok()?, token: token.parse().ok()?, pid: pid.parse().ok()? })
    }
}

impl World {
    /// Makes directories known that are gone by now, so that what happened in them before has a path: the last event
    /// comes first, since it tells of the topmost.
    fn learn_gone(&mut self, tokens: &[Token], events: &[RawEvent<'_>]) -> BTreeSet<(Token, ObjectKey)> {
        let mut gone = BTreeSet::new();
        for event in events.iter().rev() {
            let Some((entry, object)) = directory_of(event).filter(|_| has_id(event)) else { continue };
            for token in tokens {
                self.territories.learn(*token, event);
                if !self.atlas.directory(*token, object.as_bytes()).is_empty() {
                    continue;
                }
                for parent in self.atlas.directory(*token, entry.directory.as_bytes()).to_vec() {
                    let id = NodeId { key: object.into(), ..parent.id.clone() };
                    let whereabouts = Whereabouts::Below(Rc::clone(&parent), entry.name.to_owned());
                    self.atlas.place(id, whereabouts, parent.is_foreign);
                    gone.insert((*token, object.into()));
                }
            }
        }
        gone
    }

    /// From this event on, a directory that is gone is so in what is told, too.
    fn forget_gone(&mut self, token: Token, event: &RawEvent<'_>, gone: &mut BTreeSet<(Token, ObjectKey)>) {
        let is_gone = event.mask & (libc::FAN_DELETE | libc::FAN_MOVED_FROM) != 0
            && event.mask & (libc::FAN_CREATE | libc::FAN_MOVED_TO) == 0;
        if let Some((_, object)) = directory_of(event).filter(|_| is_gone)
            && gone.remove(&(token, object.into()))
        {
            self.atlas.remove(token, object.as_bytes());
        }
    }
}

/// Whether an event happened on a file system whose handles mean nothing anywhere else.
fn has_id(event: &RawEvent<'_>) -> bool {
    let Ok(parts) = event.parts() else { return false };
    let entry = parts.entry.or(parts.old).or(parts.new);
    let handle = entry.map(|entry| entry.directory).or(parts.object);
    handle.is_some_and(|handle| fsid_of(handle.as_bytes()) != [0, 0])
}

/// What an event says of the name of a directory.
fn directory_of<'b>(event: &RawEvent<'b>) -> Option<(RawEntry<'b>, RawHandle<'b>)> {
    if event.mask & ON_DIRECTORY == 0 || event.mask & plan::STRUCTURE & !ON_DIRECTORY == 0 {
        return None;
    }
    match event.parts() {
        Ok(Parts { entry: Some(entry), object: Some(object), .. }) => Some((entry, object)),
        Ok(_) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_manager_takes_says_which_group_it_is() {
        let label = Label { life: u32::MAX, token: 7, pid: i32::MAX };
        let name = label.name();
        assert!(name.len() <= 255 && !name.contains(':') && name.chars().all(|c| c.is_ascii_graphic()));
        assert_eq!(Label::parse(&name), Some(label));
        for other in ["", "stored", "facron-fanotify", "facron-fanotify-life1-group2", "x-life1-group2-pid3"]
        {
            assert_eq!(Label::parse(other), None, "{other}");
        }
    }
}
