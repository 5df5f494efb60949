//! The monitor: fanotify groups and marks; kernel records become events of rules; rescans; mounts.
//!
//! Two sides. The loop's side ([`Monitor`], [`world::World`]) reads the groups and never waits for anything: it
//! knows directories by their handles, what each means to the rules, and looks at a file only where that cannot
//! block. The surveyor is a thread that follows paths, sets marks and walks trees; it makes each directory known to
//! the loop before it marks it.
//!
//! A rule's path is watched by names, in three parts: each directory on the way, for its going away; the entry in
//! the directory above, for what happens to the name; and, where it is a directory, itself.

mod arrivals;
mod atlas;
mod causes;
mod entry;
mod judge;
mod notice;
mod recent;
mod roster;
mod surveyor;
mod traffic;
mod verdict;
mod world;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

pub use arrivals::HELD_MAX;
pub use causes::{Attributor, Unattributed};
pub use notice::Notice;
pub use world::Now;

use self::surveyor::Surveyor;
use self::traffic::{Found, Inbox, MAIN, Mailbox, Message, Token};
use self::world::World;
use crate::moment::Moment;
use crate::rule::RuleSet;
use crate::sys::decode;
use crate::sys::fanotify::{BUFFER_LEN, Group};
use crate::sys::poller::{Interest, Poller};

/// Reads of one group in one call, so that the loop has its turn.
const READS_MAX: usize = 8;
/// The longest event: a read that leaves less room than this may have left events behind.
const EVENT_LEN_MAX: usize = 2048;
/// Events that the kernel keeps for a group at most, by default: after so many, all that waited is read.
const QUEUE_LEN: u64 = 16_384;
/// The token of the mailbox in the poller; groups have their own numbers.
const MAIL: u64 = u64::MAX;

/// How a monitor works.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Pass over what this very process does, as the daemon must: it looks at files itself.
    pub ignores_itself: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { ignores_itself: true }
    }
}

/// Watches what rules ask for.
#[derive(Debug)]
pub struct Monitor {
    world: World,
    groups: BTreeMap<Token, Arc<Group>>,
    poller: Poller,
    mailbox: Mailbox,
    inbox: Arc<Inbox>,
    surveyor: Option<JoinHandle<()>>,
    buffer: Box<[u8]>,
    /// What walks found, each with how many events had been read by then: told once what the kernel reported before
    /// has been.
    found: VecDeque<(u64, Found)>,
    events_read: u64,
    rule_sets: u64,
}

impl Monitor {
    /// A monitor that watches nothing yet.
    ///
    /// # Errors
    /// The kernel has no fanotify that names entries (Linux 5.9, for users 5.13), or grants no more groups.
    pub fn new(options: Options) -> io::Result<Monitor> {
        let main = Arc::new(Group::new()?);
        let inbox = Arc::new(Inbox::new()?);
        let (outbox, mailbox) = traffic::mail()?;
        let poller = Poller::new()?;
        let reading = Interest { is_reading: true, is_writing: false };
        poller.add(mailbox.wakeup().as_fd(), MAIL, reading)?;
        poller.add(main.as_fd(), u64::from(MAIN.0), reading)?;
        let surveyor = Surveyor::new(Arc::clone(&inbox), outbox, Arc::clone(&main))?;
        let thread = std::thread::Builder::new().name("surveyor".to_owned()).spawn(|| surveyor.run())?;
        let own_pid = options.ignores_itself.then(|| i32::try_from(std::process::id()).unwrap_or(0));
        Ok(Monitor {
            world: World::new(Arc::clone(&inbox), own_pid),
            groups: BTreeMap::from([(MAIN, main)]),
            poller,
            mailbox,
            inbox,
            surveyor: Some(thread),
            buffer: vec![0; BUFFER_LEN].into_boxed_slice(),
            found: VecDeque::new(),
            events_read: 0,
            rule_sets: 0,
        })
    }

    /// Puts rules in the place of the old ones. From now on events are told by their ids; rules whose paths were
    /// watched already go on being so, the others are [`Notice::Armed`] bit by bit, and [`Notice::Settled`] says
    /// when there are no more to come.
    pub fn set_rules(&mut self, rules: &Arc<RuleSet>) {
        self.rule_sets += 1;
        let number = self.rule_sets;
        let roots = self.world.roster.replace(rules);
        self.world.atlas.revise();
        let walks = self.world.recent.ask();
        self.inbox.order(|orders| {
            orders.roots = Some((number, roots));
            orders.walks = walks;
        });
    }

    /// Takes in what is ready, and does what is due. To be called when the descriptor is readable and at
    /// [`Monitor::next_deadline`]; never waits.
    ///
    /// # Errors
    /// The system refuses to read a group, or the kernel speaks another language: this monitor is of no more use.
    pub fn turn(
        &mut self,
        now: Now,
        attributor: &mut dyn Attributor,
        notices: &mut Vec<Notice>,
    ) -> io::Result<()> {
        self.poller.ready()?;
        let mut is_drained = true;
        for (token, group) in self.groups.clone() {
            is_drained &= self.read(token, &group, now, attributor, notices)?;
        }
        self.mail(now, notices);
        self.tell_found(is_drained, now, notices);
        if is_drained {
            while let Some(held) = self.world.arrivals.next_due(now.moment) {
                self.world.look_again(held, now, notices);
            }
        }
        Ok(())
    }

    /// When there is something to do that no descriptor tells of.
    pub fn next_deadline(&self) -> Option<Moment> {
        let found = (!self.found.is_empty()).then(Moment::default);
        [found, self.world.arrivals.next_deadline()].into_iter().flatten().min()
    }

    /// Reads a group; says whether nothing waits there any more.
    fn read(
        &mut self,
        token: Token,
        group: &Group,
        now: Now,
        attributor: &mut dyn Attributor,
        notices: &mut Vec<Notice>,
    ) -> io::Result<bool> {
        for _ in 0..READS_MAX {
            let len = group.read(&mut self.buffer)?;
            if len == 0 {
                return Ok(true);
            }
            // Whatever these events are about was made known before it was marked.
            self.mail(now, notices);
            let buffer = std::mem::take(&mut self.buffer);
            let result = self.judge(token, &buffer[..len], now, attributor, notices);
            self.buffer = buffer;
            result.map_err(|malformed| io::Error::new(io::ErrorKind::InvalidData, malformed))?;
            if len + EVENT_LEN_MAX <= BUFFER_LEN {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn judge(
        &mut self,
        token: Token,
        buffer: &[u8],
        now: Now,
        attributor: &mut dyn Attributor,
        notices: &mut Vec<Notice>,
    ) -> Result<(), decode::Malformed> {
        let pids = decode::events(buffer).filter_map(|event| event.ok().map(|event| event.pid));
        self.world.causes.begin(pids.filter(|pid| *pid > 0), attributor);
        for event in decode::events(buffer) {
            self.events_read += 1;
            self.world.judge(token, &event?, now, notices)?;
        }
        Ok(())
    }

    /// Hears what the surveyor tells.
    fn mail(&mut self, _now: Now, notices: &mut Vec<Notice>) {
        self.mailbox.wakeup().clear();
        while let Some(message) = self.mailbox.next() {
            match message {
                Message::Group(token, group) => {
                    let reading = Interest { is_reading: true, is_writing: false };
                    match self.poller.add(group.as_fd(), u64::from(token.0), reading) {
                        Ok(()) => drop(self.groups.insert(token, group)),
                        Err(error) => log::error!("cannot listen to a group of events: {error}"),
                    }
                }
                Message::Known(known) => self.world.learn(known),
                Message::Chart(root, attachments) => self.world.attach(root, attachments),
                Message::Found(found) => self.found.push_back((self.events_read, found)),
                Message::Walked(number) => self.world.recent.finish(number),
                Message::Users(users) => self.world.learn_users(users),
                Message::State(root, state) => self.world.note(root, state, notices),
                Message::Settled(number) => {
                    if number == self.rule_sets {
                        notices.push(Notice::Settled);
                    }
                }
            }
        }
    }

    /// Tells what walks found, once everything is read that the kernel had reported by then.
    fn tell_found(&mut self, is_drained: bool, now: Now, notices: &mut Vec<Notice>) {
        while let Some((read_before, found)) = self.found.pop_front() {
            if !is_drained && self.events_read < read_before + QUEUE_LEN {
                self.found.push_front((read_before, found));
                return;
            }
            self.world.found(&found, now, notices);
        }
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.inbox.order(|orders| orders.is_over = true);
        if let Some(thread) = self.surveyor.take() {
            while !thread.is_finished() {
                // It may be waiting for us to hear it.
                while self.mailbox.next().is_some() {}
                std::thread::yield_now();
            }
            // It panicked, or not: there is nobody left to tell.
            thread.join().ok();
        }
    }
}
