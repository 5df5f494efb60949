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
mod findings;
mod inbox;
mod inheritance;
mod judge;
mod notice;
mod periodic;
mod recent;
mod roster;
mod surveyor;
mod territory;
mod traffic;
mod unavailable;
mod verdict;
mod world;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use nix::errno::Errno;

pub use arrivals::HELD_MAX;
pub use causes::{Attributor, Unattributed};
pub use findings::Room;
pub use notice::Notice;
pub use unavailable::Unavailable;
pub use world::Now;

use self::findings::{Finding, Findings};
use self::inbox::{Inbox, RescanOrder};
use self::inheritance::Inheritance;
use self::periodic::Periodic;
use self::surveyor::Surveyor;
use self::traffic::{MAIN, Mailbox, Message, Token};
use self::world::World;
use crate::event::{Cause, Origin};
use crate::moment::Moment;
use crate::rule::{CauseFilter, RuleId, RuleSet};
use crate::sys::decode;
use crate::sys::fanotify::{BUFFER_LEN, Features, Group};
use crate::sys::place;
use crate::sys::poller::{Interest, Poller};

/// Reads of one group in one call, so that the loop has its turn.
const READS_MAX: usize = 2;
/// The longest event: a read that leaves less room than this may have left events behind.
const EVENT_LEN_MAX: usize = 2048;
/// Events that the kernel keeps for a group at most, by default: after so many, all that waited is read.
const QUEUE_LEN: u64 = 16_384;
/// The token of the mailbox in the poller; groups have their own numbers.
const MAIL: u64 = u64::MAX;
/// How long after events were passed over for want of descriptors what they told of is looked for.
const MISSED_PAUSE: Duration = Duration::from_secs(1);

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
    findings: Findings,
    events_read: u64,
    rule_sets: u64,
    /// When everything that the kernel had reported was read, last.
    good: Option<Now>,
    /// … and before the turn whose events are being taken over.
    good_before: Option<Now>,
    /// Since when changes may have been missed, by the rule's name.
    gaps: BTreeMap<Arc<str>, SystemTime>,
    /// Events were passed over since this time, which counts as an overflow at this moment.
    missed: Option<(Moment, SystemTime)>,
    periodic: Periodic,
    /// The number of the last rescan.
    rescans: u64,
    /// The last rescan that was asked for from outside, by the rule's name.
    asked_rescans: BTreeMap<Arc<str>, u64>,
    inheritance: Inheritance,
    /// Every rule of the rule set is armed, or degraded, and that is still to be told.
    is_settled: bool,
}

impl Monitor {
    /// A monitor that watches nothing yet.
    ///
    /// # Errors
    /// The kernel has no fanotify that names entries (Linux 5.9, for users 5.13), grants no more groups, or a sandbox
    /// forbids what is needed.
    pub fn new(options: Options) -> Result<Monitor, Unavailable> {
        unavailable::require_openat2()?;
        let main = Arc::new(Group::new()?);
        // File systems without an id of their own are told from others by what the kernel refuses to mix with this.
        main.anchor();
        let inbox = Arc::new(Inbox::new()?);
        let (outbox, mailbox) = traffic::mail()?;
        let poller = Poller::new()?;
        poller.add(mailbox.wakeup().as_fd(), MAIL, READING)?;
        poller.add(main.as_fd(), u64::from(MAIN.0), READING)?;
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
            findings: Findings::default(),
            events_read: 0,
            rule_sets: 0,
            good: None,
            good_before: None,
            gaps: BTreeMap::new(),
            missed: None,
            periodic: Periodic::default(),
            rescans: 0,
            asked_rescans: BTreeMap::new(),
            inheritance: Inheritance::default(),
            is_settled: false,
        })
    }

    /// What of a rule's trees may not be read: one directory, and how many they are.
    pub fn unreadable(&self, rule: RuleId) -> Option<(&Path, usize)> {
        self.world.roster.unreadable(rule)
    }

    /// What the kernel agreed to.
    pub fn features(&self) -> Features {
        self.groups[&MAIN].features()
    }

    /// Puts rules in the place of the old ones. From now on events are told by their ids; rules whose paths were
    /// watched already go on being so, the others are [`Notice::Armed`] bit by bit, and [`Notice::Settled`] says
    /// when there are no more to come.
    pub fn set_rules(&mut self, rules: &Arc<RuleSet>) {
        self.rule_sets += 1;
        let number = self.rule_sets;
        let roots = self.world.roster.replace(rules);
        self.world.revise();
        self.periodic.replace(rules);
        let walks = self.world.recent.ask();
        self.inbox.order(|orders| {
            orders.roots = Some((number, roots));
            orders.walks = walks;
        });
    }

    /// Finds by a walk what changed for a rule since a time, or since events of it may have been lost, whichever is
    /// earlier: told as events of this origin, and then as [`Notice::RescanDone`].
    pub fn rescan(&mut self, rule: RuleId, since: Option<SystemTime>, origin: Origin) {
        let name = Arc::clone(&self.world.roster.rule(rule).name);
        let gap = self.gaps.remove(&name);
        let good = self.good.map(|good| good.wall);
        let since = [since, gap].into_iter().flatten().min().or(good).unwrap_or(SystemTime::UNIX_EPOCH);
        let number = self.walk(Arc::clone(&name), since, origin);
        self.asked_rescans.insert(name, number);
    }

    /// A rule had no room for what the last turn told: its next rescan goes back to before that.
    pub fn owe(&mut self, rule: RuleId, now: Now) {
        let since = since_good(self.good_before, now);
        let gap = self.gaps.entry(Arc::clone(&self.world.roster.rule(rule).name)).or_insert(since);
        *gap = (*gap).min(since);
    }

    /// Takes in what is ready, and does what is due. To be called when the descriptor is readable and at
    /// [`Monitor::next_deadline`]; never waits. What rescans find is told of a rule as far as it has room, and else
    /// later.
    ///
    /// # Errors
    /// The system refuses to read a group, or the kernel speaks another language: this monitor is of no more use.
    pub fn turn(
        &mut self,
        now: Now,
        attributor: &mut dyn Attributor,
        room: Room<'_>,
        notices: &mut Vec<Notice>,
    ) -> io::Result<()> {
        self.good_before = self.good;
        let (ready, mut is_drained) = match self.poller.ready() {
            Err(error) if is_passing(&error) => (Vec::new(), false),
            ready => (ready?, true),
        };
        for ready in ready {
            let token = u32::try_from(ready.token).map(Token).ok();
            let group = token.and_then(|token| Some((token, Arc::clone(self.groups.get(&token)?))));
            if let Some((token, group)) = group {
                is_drained &= self.read(token, &group, now, attributor, notices)?;
            }
        }
        if self.world.territories.has_missed() {
            let since = self.good_since(now);
            self.missed.get_or_insert((now.moment + MISSED_PAUSE, since));
        }
        if let Some((_, since)) = self.missed.take_if(|(until, _)| *until <= now.moment) {
            self.overflow(since, now, notices);
        }
        self.hear(now, notices);
        if std::mem::take(&mut self.is_settled) {
            self.take_inheritance(now, attributor, notices);
            notices.push(Notice::Settled);
        }
        if is_drained && self.missed.is_none() {
            self.good = Some(now);
        }
        self.tell_findings(is_drained, now, room, notices);
        if is_drained {
            while let Some(held) = self.world.arrivals.next_due(now.moment) {
                self.world.look_again(held, now, notices);
            }
        }
        for (name, since) in self.periodic.due(now) {
            self.walk(name, since, Origin::Rescan);
        }
        Ok(())
    }

    /// Who did something that came another way than through this monitor, and may be gone; none where the filter does
    /// not ask for it. Its session, where that is known, may be that of a run that still lives.
    pub fn cause_for(
        &mut self,
        filter: &CauseFilter,
        pid: i32,
        session: Option<i32>,
        attributor: &mut dyn Attributor,
    ) -> Option<Cause> {
        self.world.causes.begin([pid], attributor);
        let mut cause = self.world.causes.cause(pid);
        cause.run = cause.run.or_else(|| attributor.run_of(session?));
        self.world.causes.accepts(filter, &mut cause).then_some(cause)
    }

    /// The rules that were to be told of files that have come and are not finished, each with when the file changed last.
    /// This is the end: a rescan since then finds them in the next life, where they are waited for again.
    pub fn let_go_of_held(&mut self) -> Vec<(RuleId, SystemTime)> {
        self.world.let_go_of_held()
    }

    /// Everything that the kernel had reported before this time has been told.
    pub fn read_until(&self) -> Option<Now> {
        self.good
    }

    /// When there is something to do that no descriptor tells of.
    pub fn next_deadline(&self, room: Room<'_>) -> Option<Moment> {
        let findings = self.findings.next_deadline(|name| self.world.roster.by_name(name).map_or(1, room));
        let missed = self.missed.map(|(until, _)| until);
        let deadlines =
            [findings, self.world.arrivals.next_deadline(), self.periodic.next_deadline(), missed];
        deadlines.into_iter().flatten().min()
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
            let len = match group.read(&mut self.buffer) {
                // It stays readable, and is read the next time.
                Err(error) if is_passing(&error) => return Ok(false),
                read => read?,
            };
            if len == 0 {
                return Ok(true);
            }
            // Whatever these events are about was made known before it was marked.
            self.hear(now, notices);
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
        if self.world.territories.are_there() {
            decode::events(buffer)
                .filter_map(Result::ok)
                .for_each(|event| self.world.territories.learn(token, &event));
        }
        for event in decode::events(buffer) {
            let event = event?;
            self.events_read += 1;
            if event.mask & libc::FAN_Q_OVERFLOW != 0 {
                self.overflow(self.good_since(now), now, notices);
            } else {
                self.world.judge(token, &event, now, notices)?;
            }
        }
        let too_long = self.world.atlas.too_long();
        notices.extend(self.world.territories.unnameable(too_long).map(|count| Notice::Unnameable { count }));
        Ok(())
    }

    fn good_since(&self, now: Now) -> SystemTime {
        since_good(self.good, now)
    }

    /// Events were lost: any rule may have missed some, and any directory may have come, gone or moved unseen.
    fn overflow(&mut self, since: SystemTime, now: Now, notices: &mut Vec<Notice>) {
        let rules = Arc::clone(self.world.roster.rules());
        for (_, rule) in rules.iter() {
            let gap = self.gaps.entry(Arc::clone(&rule.name)).or_insert(since);
            *gap = (*gap).min(since);
        }
        self.world.revise();
        self.world.recent.forget();
        let walks = self.world.recent.ask();
        let roots = self.world.roster.ids();
        self.inbox.order(|orders| {
            orders.repair.extend(roots);
            orders.walks = walks;
        });
        self.world.tell_overflow(now, notices);
        notices.push(Notice::Overflow { rules: rules.iter().map(|(id, _)| id).collect() });
    }

    /// Hears what the surveyors tell.
    fn hear(&mut self, now: Now, notices: &mut Vec<Notice>) {
        self.mailbox.wakeup().clear();
        while let Some(message) = self.mailbox.next() {
            match message {
                Message::Group(token, group) => {
                    match self.poller.add(group.as_fd(), u64::from(token.0), READING) {
                        Ok(()) => {
                            notices.extend(self.inheritance.keep(token, &group));
                            self.groups.insert(token, group);
                        }
                        Err(error) => log::error!("cannot listen to a group of events: {error}"),
                    }
                }
                Message::GroupGone(token) => {
                    if let Some(group) = self.groups.remove(&token) {
                        // It goes with its last descriptor; a surveyor may still hold one.
                        self.poller.remove(group.as_fd()).ok();
                        notices.extend(self.inheritance.let_go(token));
                    }
                    self.world.atlas.forget_group(token);
                }
                Message::Known(known) => self.world.learn(known),
                Message::Forgotten(ids) => ids.iter().for_each(|id| self.world.atlas.remove_node(id)),
                Message::MountGone(mount) => self.world.atlas.forget_mount(mount),
                Message::Territory(territory) => self.world.territories.open(territory),
                Message::Chart(surveyor, root, attachments) => {
                    self.world.attach(surveyor, root, attachments);
                }
                Message::Found(found) => self.keep_found(found, now, notices),
                Message::Rescanned(name, number) => self.keep_own(&name, Finding::Rescanned(number)),
                Message::Lost(root, is_dir) => self.world.lost(root, is_dir, now, notices),
                Message::Walked(number) => self.keep_walked(number),
                Message::Users(users) => self.world.causes.learn(users),
                Message::State(root, state) => self.world.note(root, state, notices),
                Message::Unreadable(root, one) => self.world.unreadable(root, one, notices),
                Message::Settled(number) if number == self.rule_sets => self.is_settled = true,
                Message::Settled(_) => {}
            }
        }
    }

    fn walk(&mut self, rule: Arc<str>, since: SystemTime, origin: Origin) -> u64 {
        self.rescans += 1;
        let number = self.rescans;
        let walks = self.world.recent.ask();
        self.inbox.order(|orders| {
            orders.walks = walks;
            orders.rescan(RescanOrder { number, rule, since, origin, walk: walks });
        });
        number
    }
}

/// When everything was read, last; measured on both clocks, since the one that people read may have been set back.
fn since_good(good: Option<Now>, now: Now) -> SystemTime {
    good.map_or(now.wall, |good| {
        let by_moment = now.wall.checked_sub(now.moment.since(good.moment));
        by_moment.map_or(good.wall, |by_moment| by_moment.min(good.wall))
    })
}

/// Whether the system has no memory for this at the moment, and nothing is wrong with it.
fn is_passing(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|errno| place::is_passing(Errno::from_raw(errno)))
}

/// Everything here is read.
const READING: Interest = Interest { is_reading: true, is_writing: false };

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
                std::thread::sleep(Duration::from_millis(1));
            }
            // It panicked, or not: there is nobody left to tell.
            thread.join().ok();
        }
    }
}
