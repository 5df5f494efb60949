//! A monitor under test: rules in, events out.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use facron::config;
use facron::diagnostic::SourceText;
use facron::event::{Event, EventMask};
use facron::monitor::{Monitor, Notice, Now, Options, Unattributed};
use facron::rule::{RuleId, RuleSet};
use facron::sys::clock;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How long a test waits for what must come.
pub const LIMIT: Duration = Duration::from_secs(20);
/// How long a test waits for what must not come.
const QUIET: Duration = Duration::from_millis(300);

/// A monitor with its rules, and what it has told so far.
pub struct Watched {
    pub monitor: Monitor,
    pub rules: Arc<RuleSet>,
    pub notices: Vec<Notice>,
    /// On how many more paths a rule can be told of findings.
    pub room: fn(RuleId) -> usize,
}

/// The rules of a rule file; `command` is filled in.
pub fn rules(text: &str) -> Arc<RuleSet> {
    let text = text.replace("[[rule]]", "[[rule]]\ncommand = ['/bin/true']");
    let source = SourceText { name: "test".into(), text: text.as_str().into() };
    let parsed = config::parse(&[source]);
    let errors: Vec<_> = parsed.findings.iter().map(|finding| finding.message.clone()).collect();
    assert_eq!(parsed.rules.rules.len(), text.matches("[[rule]]").count(), "{errors:?}\n{text}");
    Arc::new(parsed.rules)
}

/// One rule on a path, with more keys.
pub fn rule(path: &Path, keys: &str) -> String {
    format!("[[rule]]\nname = 'r'\npath = '{}'\n{keys}\n", path.display())
}

impl Watched {
    /// A monitor that watches these rules, all of them settled.
    pub fn new(text: &str) -> Watched {
        let mut watched = Watched::start("");
        watched.set_rules(text);
        watched
    }

    /// A monitor that begins to watch these rules.
    pub fn start(text: &str) -> Watched {
        let monitor = Monitor::new(Options { ignores_itself: false }).expect("fanotify");
        let rules = rules(text);
        let mut watched = Watched { monitor, rules, notices: Vec::new(), room: |_| usize::MAX };
        if !text.is_empty() {
            watched.monitor.set_rules(&watched.rules);
        }
        watched
    }

    /// Puts other rules in place, and waits until they are settled.
    pub fn set_rules(&mut self, text: &str) {
        self.rules = rules(text);
        self.monitor.set_rules(&self.rules);
        self.until("settled", |watched| {
            watched.notices.iter().any(|notice| matches!(notice, Notice::Settled))
        });
        self.notices.retain(|notice| !matches!(notice, Notice::Settled));
    }

    /// Goes on until something is so.
    pub fn until(&mut self, what: &str, is_so: impl Fn(&Watched) -> bool) {
        let end = clock::monotonic() + LIMIT;
        while !is_so(self) {
            assert!(clock::monotonic() < end, "never {what}: {:#?}", self.summary());
            self.turn(Duration::from_millis(50));
        }
    }

    /// Goes on for a while, for what must not come.
    pub fn quiet(&mut self) {
        let end = clock::monotonic() + QUIET;
        while clock::monotonic() < end {
            self.turn(Duration::from_millis(20));
        }
    }

    /// One turn, after waiting at most so long.
    pub fn turn(&mut self, longest: Duration) {
        let rest = self.monitor.next_deadline(&self.room).map(|due| due.since(clock::monotonic()));
        let wait = rest.map_or(longest, |rest| longest.min(rest)) + Duration::from_micros(999);
        let timeout = PollTimeout::try_from(wait).expect("a short time");
        poll(&mut [PollFd::new(self.monitor.as_fd(), PollFlags::POLLIN)], timeout).expect("poll");
        let now = Now { moment: clock::monotonic(), wall: clock::wall() };
        let turn = self.monitor.turn(now, &mut Unattributed, &self.room, &mut self.notices);
        turn.expect("the kernel's own words");
    }

    /// The events so far.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.notices.iter().filter_map(|notice| match notice {
            Notice::Event { event, .. } => Some(event),
            _ => None,
        })
    }

    /// The paths of events that have this in their mask.
    pub fn paths(&self, mask: EventMask) -> BTreeSet<PathBuf> {
        self.events()
            .filter(|event| event.mask.contains(mask))
            .map(|event| event.path.to_path_buf())
            .collect()
    }

    /// Waits until a path has had this.
    pub fn expect(&mut self, mask: EventMask, path: &Path) {
        self.until(&format!("{mask} {}", path.display()), |watched| watched.paths(mask).contains(path));
    }

    /// How often a path has had this.
    pub fn count(&self, mask: EventMask, path: &Path) -> usize {
        self.events().filter(|event| event.mask.contains(mask) && *event.path == *path).count()
    }

    /// Forgets the events so far.
    pub fn forget(&mut self) {
        self.notices.clear();
    }

    /// How the only rule is armed, or why it is not.
    pub fn standing(&self) -> String {
        self.standing_of(0)
    }

    /// How a rule is armed, or why it is not.
    pub fn standing_of(&self, id: u32) -> String {
        let standing = self.notices.iter().rev().find_map(|notice| match notice {
            Notice::Armed { rule, by } if rule.0 == id => Some(by.clone()),
            Notice::Degraded { rule, reason, .. } if rule.0 == id => Some(reason.clone()),
            _ => None,
        });
        standing.unwrap_or_default()
    }

    /// The events that a rule was told.
    pub fn told(&self, id: u32) -> impl Iterator<Item = &Event> {
        self.notices.iter().filter_map(move |notice| match notice {
            Notice::Event { rule, event } if rule.0 == id => Some(event),
            _ => None,
        })
    }

    /// How many events a rule was told.
    pub fn count_of(&self, id: u32) -> usize {
        self.told(id).count()
    }

    /// What was told, briefly.
    pub fn summary(&self) -> Vec<String> {
        let brief = |notice: &Notice| match notice {
            Notice::Event { rule, event } => {
                format!("{} {} {} {:?}", rule.0, event.mask, event.path.display(), event.origin)
            }
            other => format!("{other:?}"),
        };
        self.notices.iter().map(brief).collect()
    }
}
