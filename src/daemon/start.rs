//! The start: takes the place, makes the parts, arms the rules.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use crate::control::{Place, PlaceError, Server};
use crate::desktop::{Desktop, Settings as DesktopSettings};
use crate::engine::{DropReason, Engine, Input, Report};
use crate::escape;
use crate::journal::{Journal, OpenError, Restored, Stamp};
use crate::moment::Moment;
use crate::monitor::{Monitor, Unavailable};
use crate::report;
use crate::rule::{Rule, RuleSet};
use crate::supervisor::{Options, Supervisor};
use crate::sys::clock;
use crate::sys::manager::Manager;
use crate::sys::poller::{Interest, Poller};
use crate::sys::sessions::RUN_USER;
use crate::sys::signals::Signals;

use super::board::Board;
use super::load::Loaded;
use super::report::Reporter;
use super::surroundings::{Restriction, restrictions};
use super::{About, Daemon, Settings, Settling, guard, reload};

/// Everything that the loop waits for is read; which part it was, each part finds out itself.
const READING: Interest = Interest { is_reading: true, is_writing: false };

/// Why the daemon cannot start.
#[derive(Debug)]
pub enum StartError {
    /// Another instance has the place.
    AlreadyRunning(String),
    /// A privilege is missing.
    NoPermission(String),
    /// Anything else.
    Failed(String),
}

impl Daemon {
    /// A daemon with these rules, which are being armed; it says `ready` when they are.
    ///
    /// # Errors
    /// Another instance runs, a privilege is missing, or the system refuses something that nothing works without.
    pub fn start(
        settings: Settings,
        rules: &Arc<RuleSet>,
        loaded: &Loaded,
        signals: Signals,
    ) -> Result<Daemon, StartError> {
        let failed = |what: &'static str| {
            move |error: io::Error| StartError::Failed(format!("cannot {what}: {error}"))
        };
        let server = match &settings.runtime_dir {
            Some(directory) => Some(listen(directory)?),
            None => None,
        };
        let now = clock::monotonic();
        let wall = clock::wall();
        let own_user = nix::unistd::geteuid().as_raw();
        let supervisor = Supervisor::new(Options {
            inherited: settings.environment.clone(),
            is_insecure: settings.is_insecure,
            reaps_strangers: true,
            program: Some("/proc/self/exe".into()),
        })
        .map_err(failed("prepare for starting commands"))?;
        let desktop = Desktop::new(
            DesktopSettings {
                user: own_user,
                bus_address: settings
                    .environment
                    .get(Path::new("DBUS_SESSION_BUS_ADDRESS").as_os_str())
                    .cloned(),
                runtime_dir: settings
                    .environment
                    .get(Path::new("XDG_RUNTIME_DIR").as_os_str())
                    .map(Into::into),
                run_user: RUN_USER.into(),
                program: "/proc/self/exe".into(),
            },
            now,
        )
        .map_err(failed("prepare for desktop notifications"))?;
        let mut monitor = Monitor::new(Default::default()).map_err(|error| unwatchable(&error))?;
        let (journal, restored) = match &settings.state_dir {
            Some(directory) => open_journal(directory, rules)?,
            None => (None, None),
        };
        let mut manager = Manager::find(now);
        let watched_until = restored.as_ref().and_then(|restored| watched_until(rules, restored));
        for useless in monitor.inherit(manager.stored(), watched_until) {
            manager.forget(&useless);
        }
        let mut daemon = Daemon {
            rules: Arc::clone(rules),
            engine: Engine::new(Arc::clone(rules)),
            monitor,
            supervisor,
            guard: guard::new().map_err(failed("prepare for permission events"))?,
            server,
            desktop,
            journal,
            manager,
            signals,
            poller: Poller::new().map_err(failed("make a set of descriptors"))?,
            board: Board::default(),
            reporter: Reporter::default(),
            about: About {
                since: wall,
                files: loaded.paths.clone(),
                loaded: wall,
                disabled: loaded.disabled(),
                last_reload_error: None,
                overflows: 0,
            },
            inputs: VecDeque::new(),
            notices: Vec::new(),
            error_tails: BTreeMap::new(),
            catch_ups: BTreeSet::new(),
            settling: Some(Settling::Start),
            is_monitor_settled: false,
            unkillable: BTreeSet::new(),
            is_stopping: false,
            settings,
        };
        daemon.watch_parts().map_err(failed("watch descriptors"))?;
        daemon.settings.log.set_level(reload::level(&daemon.settings, rules));
        daemon.greet(loaded);
        daemon.board.set_rules(rules);
        daemon.arm(now);
        if let Some(restored) = restored {
            daemon.restore(now, restored);
        }
        Ok(daemon)
    }

    /// What an earlier life left waiting runs as if it had just come.
    fn restore(&mut self, now: Moment, mut restored: Restored) {
        for (rule, paths) in restored.removed.iter().filter(|(_, paths)| !paths.is_empty()) {
            let count = paths.len() as u64;
            let path = paths.first().cloned();
            let reason = DropReason::Removed;
            super::report::log(&Report::Dropped { rule: (&**rule).into(), path, reason, count });
        }
        let rules = Arc::clone(&self.rules);
        for (id, rule) in rules.iter() {
            let unwatched_since = self.catch_up_since(rule, &restored);
            let left = restored.rules.remove(&*rule.name).unwrap_or_default();
            if left.is_paused {
                self.input(now, Input::Pause(id));
            }
            let owes_rescan = left.owes_rescan.is_some() || unwatched_since.is_some();
            if !left.events.is_empty() || owes_rescan {
                log::info!(rule = rule.name, paths = left.events.len(), rescan = owes_rescan; "restored");
                self.input(now, Input::Restore { rule: id, events: left.events, owes_rescan });
            }
        }
    }

    /// Since when nobody watched for a rule that wants to catch up; noted, so that it is owed until it is done.
    fn catch_up_since(&mut self, rule: &Rule, restored: &Restored) -> Option<Stamp> {
        if !rule.watch.catch_up {
            return None;
        }
        let since = rule.watch.paths.iter().filter_map(|path| restored.watched_until(rule, path));
        let since = since.reduce(|earliest, other| earliest.or_earlier(Some(other)))?;
        self.catch_ups.insert(Arc::clone(&rule.name));
        if let Some(journal) = &mut self.journal {
            journal.owes_rescan(&rule.name, since);
        }
        Some(since)
    }

    fn watch_parts(&self) -> io::Result<()> {
        let server = self.server.as_ref().map(AsFd::as_fd);
        let parts = [
            self.monitor.as_fd(),
            self.supervisor.as_fd(),
            self.guard.as_fd(),
            self.desktop.as_fd(),
            self.signals.as_fd(),
        ];
        for (token, part) in (0..).zip(parts.into_iter().chain(server)) {
            self.poller.add(part, token, READING)?;
        }
        Ok(())
    }

    fn greet(&self, loaded: &Loaded) {
        log::info!(version = env!("CARGO_PKG_VERSION"), rules = self.rules.rules.len(); "starting");
        if self.settings.is_insecure {
            log::warn!("insecure: rule files and programs that others may write are used");
        }
        for restriction in restrictions() {
            let level = match restriction {
                Restriction::Mounts => log::Level::Warn,
                Restriction::NoNewPrivs | Restriction::Filter => log::Level::Info,
            };
            log::log!(level, what = restriction.as_str(); "restricted");
        }
        for message in reload::messages(loaded) {
            log::warn!(finding = message; "rule file");
        }
        if self.settings.state_dir.is_none() {
            log::warn!(
                "no journal: neither STATE_DIRECTORY, XDG_STATE_HOME nor HOME is set; what waits dies with this process"
            );
        }
        if self.settings.runtime_dir.is_none() {
            log::warn!("no control socket: neither RUNTIME_DIRECTORY nor XDG_RUNTIME_DIR is set");
        }
    }
}

/// The journal, and what an earlier life left in it.
fn open_journal(
    directory: &Path,
    rules: &RuleSet,
) -> Result<(Option<Journal>, Option<Restored>), StartError> {
    match Journal::open(directory, rules, Stamp::now()) {
        Ok((journal, restored)) => Ok((Some(journal), Some(restored))),
        Err(OpenError::InUse(path)) => Err(StartError::AlreadyRunning(format!(
            "another instance keeps its state in {}",
            escape::path(&path)
        ))),
        Err(OpenError::Failed(error)) => {
            Err(StartError::Failed(format!("cannot start the journal: {error}")))
        }
    }
}

/// From which change time on an earlier life may have missed something, whichever rule it is about.
fn watched_until(rules: &RuleSet, restored: &Restored) -> Option<SystemTime> {
    let paths = rules.iter().flat_map(|(_, rule)| rule.watch.paths.iter().map(move |path| (rule, path)));
    paths.filter_map(|(rule, path)| restored.catch_up_since(rule, path)).min()
}

/// Why nothing can be watched.
fn unwatchable(reason: &Unavailable) -> StartError {
    let kind = if reason.is_forbidden { StartError::NoPermission } else { StartError::Failed };
    kind(reason.to_string())
}

fn listen(directory: &Path) -> Result<Server, StartError> {
    let place =
        Place::take(directory).and_then(|place| Server::listen(place, nix::unistd::geteuid().as_raw()));
    place.map_err(|error| match error {
        PlaceError::AlreadyRunning { .. } => StartError::AlreadyRunning(error.to_string()),
        other => StartError::Failed(other.to_string()),
    })
}

/// The findings of rule files that were refused, for people.
pub fn refusal(loaded: &Loaded) -> String {
    let findings = report::Report::new(&loaded.sources, &loaded.findings);
    report::text(&findings)
}
