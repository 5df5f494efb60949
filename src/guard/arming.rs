//! How the daemon brings the guard to what the rules' paths lead to, starts it, and lets it go.

use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;

use super::notice::GuardNotice;
use super::process::Process;
use super::wire::{Order, PostId};
use super::{BELL, Guard, LEAVING, NAMES, Outside, READING, SOCKET};
use crate::guardable::Facts;
use crate::moment::Moment;
use crate::signal;
use crate::sys::mounts::Mountinfo;
use crate::sys::names::NameWatcher;
use crate::sys::poller::Interest;
use crate::sys::process::Ended;

/// Before a guard that was lost is started again; doubles up to [`DELAY_MAX`].
pub(super) const DELAY_MIN: Duration = Duration::from_secs(1);

/// The longest delay.
const DELAY_MAX: Duration = Duration::from_secs(60);

/// A guard that stood for so long has earned a short delay again.
const STOOD_WELL: Duration = Duration::from_secs(60);

/// Before what the system refused for want of means (descriptors, memory, posts) is tried again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

impl Guard {
    pub(super) fn start(&mut self, now: Moment, notices: &mut Vec<GuardNotice>) {
        let started = Process::start(&self.program, &mut self.spawner)
            .and_then(|process| self.poller.add(process.as_fd(), SOCKET, READING).map(|()| process));
        match started {
            Ok(process) => {
                self.process = Some(process);
                self.started = now;
                if let Some(path) = self.cgroup.clone() {
                    self.say(&Order::ExemptCgroup { path: &path });
                }
            }
            Err(error) => self.put_off(now, &format!("the guard cannot be started: {error}"), notices),
        }
    }

    /// The next guard is started later.
    pub(super) fn put_off(&mut self, now: Moment, reason: &str, notices: &mut Vec<GuardNotice>) {
        if now.since(self.started) >= STOOD_WELL {
            self.delay = DELAY_MIN;
        }
        self.next_start = Some(now + self.delay);
        let reason = format!("{reason}; tried again in {}", humantime::format_duration(self.delay));
        for station in &mut self.stations {
            station.lose(&reason, notices);
        }
        self.delay = (self.delay * 2).min(DELAY_MAX);
    }

    /// Any path may lead elsewhere: looks at all of them again.
    pub(super) fn refresh_all(&mut self, now: Moment, notices: &mut Vec<GuardNotice>) {
        self.next_look = None;
        if self.stations.is_empty() {
            self.outside = None;
        } else if let Err(error) = self.look_outside() {
            let message = format!("cannot watch for paths that change, only a reload finds them: {error}");
            notices.push(GuardNotice::Warned { message });
        }
        for index in 0..self.stations.len() {
            self.refresh(index, now, notices);
        }
        self.forget_names();
        self.watch_room();
        self.dismiss_idle();
    }

    fn look_outside(&mut self) -> io::Result<()> {
        if self.outside.is_none() {
            let (mountinfo, bell) = (Mountinfo::open()?, Mountinfo::open()?);
            let outside = Outside { names: NameWatcher::new()?, mountinfo, bell };
            self.poller.add(outside.names.as_fd(), NAMES, READING)?;
            self.poller.add(outside.bell.as_fd(), BELL, Interest::default())?;
            self.outside = Some(outside);
        }
        Ok(())
    }

    pub(super) fn names_changed(&mut self, now: Moment, notices: &mut Vec<GuardNotice>) {
        let changes = self.outside.as_mut().map(|outside| outside.names.changes());
        let Some(Ok(changes)) = changes else { return };
        for index in 0..self.stations.len() {
            if self.stations[index].is_concerned_by(&changes) {
                self.refresh(index, now, notices);
            }
        }
        self.forget_names();
        self.watch_room();
    }

    /// Brings the guard to what a rule's paths lead to at this moment.
    fn refresh(&mut self, index: usize, now: Moment, notices: &mut Vec<GuardNotice>) {
        let (station, Some(outside)) = (&mut self.stations[index], &mut self.outside) else { return };
        let facts = Facts {
            rule_files: &self.surroundings.rule_files,
            programs: &self.surroundings.programs,
            own_directories: &self.surroundings.own_directories,
            ..Facts::default()
        };
        let mounts = outside.mountinfo.read().unwrap_or_default();
        let places = station.look(&facts, &mounts, &mut outside.names);
        if let Some(process) = &mut self.process {
            station.move_to(places, &mut self.roster, process);
            station.tell(&self.roster, notices);
        }
        if station.is_short_of_means {
            let next_look = now + LOOK_AGAIN;
            self.next_look = Some(self.next_look.map_or(next_look, |next| next.min(next_look)));
        }
    }

    /// Watches no names any more that no rule's paths go by.
    fn forget_names(&mut self) {
        if let Some(outside) = &mut self.outside {
            let steps = self.stations.iter().flat_map(|station| &station.steps);
            outside.names.keep_only(&steps.map(|step| step.directory.as_path()).collect());
        }
    }

    pub(super) fn retire(&mut self, posts: impl Iterator<Item = PostId>) {
        for post in posts {
            self.say(&Order::Retire { post });
        }
    }

    /// Lets a guard go that has nothing to guard, and nobody waiting.
    pub(super) fn dismiss_idle(&mut self) {
        if self.stations.is_empty() && self.roster.is_empty() {
            (self.next_start, self.next_look) = (None, None);
            self.delay = DELAY_MIN;
            if let Some(process) = self.process.take() {
                self.let_go(process);
            }
        }
    }

    pub(super) fn let_go(&mut self, process: Process) {
        let child = process.dismiss();
        if self.poller.add(child.as_fd(), LEAVING, READING).is_err() {
            // Nobody would tell when it has ended; it is on its way, and is reaped at the next occasion.
            log::debug!("guard: cannot wait for the end of process {}", child.pid());
        }
        self.leaving.push(child);
    }

    pub(super) fn reap(&mut self, notices: &mut Vec<GuardNotice>) {
        for child in self.leaving.extract_if(.., |child| child.peek().is_some()) {
            let pid = child.pid();
            if let Ended::Signal(number) = child.reap() {
                let message = format!("process {pid} ended by signal {}", signal::name(number));
                notices.push(GuardNotice::Warned { message });
            }
        }
    }

    pub(super) fn say(&mut self, order: &Order<'_>) {
        if let Some(process) = &mut self.process {
            // A guard that is gone shows as the end of the socket.
            let _ = process.say(order, None);
            self.watch_room();
        }
    }

    pub(super) fn watch_room(&self) {
        if let Some(process) = &self.process {
            let interest = Interest { is_writing: process.wants_room(), ..READING };
            // Without it, what waits is said with the next order or word.
            let _ = self.poller.modify(process.as_fd(), SOCKET, interest);
        }
    }
}
