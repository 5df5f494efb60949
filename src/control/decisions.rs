//! What was done with the last events of a rule, and why: the answer to "why didn't it fire?".

use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use super::{DecisionStatus, Done, WirePath, stamp};
use crate::escape;
use crate::event::{Event, EventMask, Origin, RunId};

/// So many decisions are kept for a rule …
pub const DECISIONS_MAX: usize = 50;

/// … but of many long paths only so many bytes: with 10 000 rules this is what bounds the memory.
const BYTES_MAX: usize = 16 << 10;

/// What was done with one event, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    time: SystemTime,
    mask: EventMask,
    path: Arc<Path>,
    pid: i32,
    exe: Option<Arc<Path>>,
    origin: Origin,
    done: Done,
    why: Cow<'static, str>,
    run: Option<RunId>,
}

/// The last decisions of one rule, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Decisions {
    ring: VecDeque<Decision>,
    bytes: usize,
}

impl Decision {
    /// What was done with an event: `why` is a lower-case fragment that names the setting which decides.
    pub fn new(event: &Event, done: Done, why: impl Into<Cow<'static, str>>, run: Option<RunId>) -> Decision {
        Decision {
            time: event.time,
            mask: event.mask,
            path: event.path.clone(),
            pid: event.cause.pid,
            exe: event.cause.exe.clone(),
            origin: event.origin,
            done,
            why: why.into(),
            run,
        }
    }

    /// For people and tools.
    pub fn to_status(&self) -> DecisionStatus {
        DecisionStatus {
            time: stamp(self.time),
            events: self.mask.kinds().map(|kind| kind.name.to_owned()).collect(),
            path: WirePath::from(&*self.path),
            pid: self.pid,
            exe: self.exe.as_deref().map(|exe| escape::path(exe).into_owned()),
            origin: self.origin.as_str().to_owned(),
            done: self.done,
            why: self.why.to_string(),
            run: self.run.map(|run| run.0),
        }
    }

    fn bytes(&self) -> usize {
        let exe = self.exe.as_ref().map_or(0, |exe| exe.as_os_str().len());
        size_of::<Decision>() + self.path.as_os_str().len() + exe + self.why.len()
    }
}

impl Decisions {
    /// Adds one; the oldest goes where there are too many.
    pub fn push(&mut self, decision: Decision) {
        self.bytes += decision.bytes();
        self.ring.push_back(decision);
        while self.ring.len() > DECISIONS_MAX || self.bytes > BYTES_MAX && self.ring.len() > 1 {
            let oldest = self.ring.pop_front().expect("there is more than one");
            self.bytes -= oldest.bytes();
        }
    }

    /// Oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Decision> {
        self.ring.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Cause;

    fn decision(path: String) -> Decision {
        let event = Event {
            mask: EventMask::ARRIVED | EventMask::CLOSE_WRITE,
            path: Path::new(&path).into(),
            old_path: None,
            is_dir: false,
            cause: Cause { pid: 7, ..Cause::default() },
            time: SystemTime::UNIX_EPOCH,
            origin: Origin::Event,
            object: None,
        };
        Decision::new(&event, Done::Run, "debounce is over", Some(RunId(3)))
    }

    #[test]
    fn the_last_fifty_are_kept() {
        let mut decisions = Decisions::default();
        for number in 0..120 {
            decisions.push(decision(format!("/{number}")));
        }
        let paths: Vec<_> = decisions.iter().map(|decision| decision.path.clone()).collect();
        assert_eq!(paths.len(), DECISIONS_MAX);
        assert_eq!((&*paths[0], &*paths[49]), ("/70".as_ref(), "/119".as_ref()));
    }

    #[test]
    fn long_paths_are_kept_within_the_bytes_but_the_last_always() {
        let mut decisions = Decisions::default();
        for _ in 0..60 {
            decisions.push(decision("/x".repeat(1000)));
        }
        assert!(decisions.bytes <= BYTES_MAX && decisions.ring.len() > 5, "{}", decisions.bytes);
        decisions.push(decision("/x".repeat(BYTES_MAX)));
        assert_eq!(decisions.ring.len(), 1);
        decisions.push(decision("/y".to_owned()));
        assert_eq!(decisions.bytes, decisions.iter().map(Decision::bytes).sum::<usize>());
    }

    #[test]
    fn the_status_says_everything() {
        let status = serde_json::to_value(decision("/a".to_owned()).to_status()).expect("JSON");
        let expected = serde_json::json!({
            "time": "1970-01-01T00:00:00.000Z", "events": ["close-write", "arrived"], "path": "/a", "pid": 7,
            "origin": "event", "done": "run", "why": "debounce is over", "run": 3,
        });
        assert_eq!(status, expected);
    }
}
