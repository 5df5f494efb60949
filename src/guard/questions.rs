//! Which run decides which question: what the daemon remembers between somebody's asking and a run's end. Pure.
//!
//! ```text
//!   asked ──► waits for a run of its path ──started──► waits for that run ──ended──► verdict
//!                    ▲                                       │
//!                    └────────── another try, restart ───────┘
//! ```
//!
//! A question goes into the engine as an ordinary event of its rule and its path; so `concurrency`, coalescing and
//! all the rest hold for it, and nothing in the engine has to know that somebody waits.

use std::path::Path;
use std::sync::Arc;

use super::wire::QuestionId;
use crate::engine::{DropReason, Exit, Outcome, Purpose, Report, Run, Then};
use crate::event::RunId;

/// What is decided about the openers of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They may.
    Allow,
    /// They may not.
    Deny,
}

impl Verdict {
    /// The rule file's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Allow => "allow",
            Verdict::Deny => "deny",
        }
    }
}

/// The open questions.
#[derive(Debug, Default)]
pub struct Questions {
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    id: QuestionId,
    rule: Arc<str>,
    path: Arc<Path>,
    default: Verdict,
    run: Option<RunId>,
}

impl Questions {
    /// Somebody asks; the event goes into the engine after this.
    pub fn ask(&mut self, id: QuestionId, rule: &Arc<str>, path: &Arc<Path>, default: Verdict) {
        self.open.push(Open { id, rule: Arc::clone(rule), path: Arc::clone(path), default, run: None });
    }

    /// The guard has given the default by itself, or is gone.
    pub fn forget(&mut self, id: QuestionId) {
        self.open.retain(|open| open.id != id);
    }

    /// Every guard is gone.
    pub fn forget_all(&mut self) {
        self.open.clear();
    }

    /// Follows what the engine reports; gives the verdicts that come of it.
    pub fn follow(&mut self, report: &Report) -> Vec<(QuestionId, Verdict)> {
        if self.open.is_empty() {
            return Vec::new();
        }
        match report {
            Report::Started(run) => self.bind(run),
            Report::Ended { run, outcome, then, .. } => return self.decide(run, outcome, *then),
            Report::Dropped { rule, path, reason, .. } => {
                return self.drop_of(rule, path.as_deref(), *reason);
            }
            Report::OnFailureLeftOut { .. }
            | Report::OverLimit { .. }
            | Report::StartLimited { .. }
            | Report::LoopSuspected { .. } => {}
        }
        Vec::new()
    }

    /// What waited for a run of these paths waits for this one.
    fn bind(&mut self, run: &Run) {
        if run.purpose != Purpose::Command {
            return;
        }
        for open in self.open.iter_mut().filter(|open| open.run.is_none() && open.rule == run.rule.name) {
            if run.events.iter().any(|event| event.path == open.path) {
                open.run = Some(run.id);
            }
        }
    }

    fn decide(&mut self, run: &Run, outcome: &Outcome, then: Then) -> Vec<(QuestionId, Verdict)> {
        let decided = match (outcome, then) {
            // What was asked is asked again: the limit goes on.
            (Outcome::Restart, _) | (_, Then::Retry(_)) => {
                for open in self.open.iter_mut().filter(|open| open.run == Some(run.id)) {
                    open.run = None;
                }
                return Vec::new();
            }
            (Outcome::Ended(Exit::Code(0)), _) => Some(Verdict::Allow),
            (Outcome::Ended(Exit::Code(_) | Exit::Signal(_)), _) => Some(Verdict::Deny),
            (Outcome::Timeout | Outcome::Shutdown | Outcome::NotStarted(_), _) => None,
        };
        self.close(|open| open.run == Some(run.id), |open| decided.unwrap_or(open.default))
    }

    /// No run will come.
    fn drop_of(&mut self, rule: &str, path: Option<&Path>, reason: DropReason) -> Vec<(QuestionId, Verdict)> {
        let is_concerned = |open: &Open| {
            open.run.is_none() && *open.rule == *rule && path.is_none_or(|path| *path == *open.path)
        };
        let verdict = |open: &Open| match reason {
            // A run of the rule itself asked.
            DropReason::Itself => Verdict::Allow,
            DropReason::Skip | DropReason::Leading | DropReason::Removed | DropReason::GaveUp => open.default,
        };
        self.close(is_concerned, verdict)
    }

    fn close(
        &mut self,
        is_concerned: impl Fn(&Open) -> bool,
        verdict: impl Fn(&Open) -> Verdict,
    ) -> Vec<(QuestionId, Verdict)> {
        let closed = self.open.extract_if(.., |open| is_concerned(open));
        closed.map(|open| (open.id, verdict(&open))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{StartFailure, StartFailureClass};
    use crate::event::{Cause, Event, EventMask, Origin};
    use crate::guard::wire::PostId;
    use crate::rule::Rule;
    use std::time::{Duration, SystemTime};

    fn rule() -> Arc<Rule> {
        let text = "[[rule]]\nname = \"r\"\npath = \"/srv\"\non = \"open-perm\"\ncommand = [\"/bin/true\"]\n\
                    verdict = \"command\"\ntimeout = \"5s\"\n";
        let source = crate::diagnostic::SourceText { name: "t".into(), text: text.into() };
        Arc::clone(&crate::config::parse(&[source]).rules.rules[0])
    }

    fn run(id: u64, purpose: Purpose, paths: &[&str]) -> Run {
        let event = |path: &&str| Event {
            mask: EventMask::OPEN_PERM,
            path: Path::new(path).into(),
            old_path: None,
            is_dir: false,
            cause: Cause::default(),
            time: SystemTime::UNIX_EPOCH,
            origin: Origin::Event,
            object: None,
        };
        Run { id: RunId(id), rule: rule(), purpose, attempt: 1, events: paths.iter().map(event).collect() }
    }

    fn id(serial: u64) -> QuestionId {
        QuestionId { post: PostId(0), serial }
    }

    /// Questions about these paths, from 1, with `deny` as the default.
    fn asked(paths: &[&str]) -> Questions {
        let mut questions = Questions::default();
        for (serial, path) in (1..).zip(paths) {
            questions.ask(id(serial), &"r".into(), &Path::new(path).into(), Verdict::Deny);
        }
        questions
    }

    fn started(questions: &mut Questions, run: &Run) {
        assert_eq!(questions.follow(&Report::Started(run.clone())), []);
    }

    fn ended(questions: &mut Questions, run: &Run, outcome: Outcome, then: Then) -> Vec<(u64, Verdict)> {
        let report =
            Report::Ended { run: run.clone(), outcome, took: Duration::ZERO, is_failure: false, then };
        questions.follow(&report).into_iter().map(|(id, verdict)| (id.serial, verdict)).collect()
    }

    #[test]
    fn the_exit_status_decides() {
        let no_start =
            StartFailure { class: StartFailureClass::Missing, message: String::new(), is_transient: false };
        for (outcome, verdict) in [
            (Outcome::Ended(Exit::Code(0)), Verdict::Allow),
            (Outcome::Ended(Exit::Code(1)), Verdict::Deny),
            (Outcome::Ended(Exit::Signal(11)), Verdict::Deny),
            (Outcome::Timeout, Verdict::Allow),
            (Outcome::Shutdown, Verdict::Allow),
            (Outcome::NotStarted(no_start), Verdict::Allow),
        ] {
            let mut questions = Questions::default();
            questions.ask(id(1), &"r".into(), &Path::new("/srv/a").into(), Verdict::Allow);
            let run = run(7, Purpose::Command, &["/srv/a"]);
            started(&mut questions, &run);
            assert_eq!(
                ended(&mut questions, &run, outcome.clone(), Then::Nothing),
                [(1, verdict)],
                "{outcome}"
            );
        }
    }

    #[test]
    fn a_run_decides_about_what_was_asked_before_it_started() {
        let mut questions = asked(&["/srv/a", "/srv/b", "/srv/a"]);
        let first = run(7, Purpose::Command, &["/srv/a"]);
        started(&mut questions, &first);
        questions.ask(id(4), &"r".into(), &Path::new("/srv/a").into(), Verdict::Deny);
        questions.ask(id(5), &"other".into(), &Path::new("/srv/a").into(), Verdict::Deny);
        let done = Outcome::Ended(Exit::Code(0));
        let verdicts = ended(&mut questions, &first, done.clone(), Then::Nothing);
        assert_eq!(verdicts, [(1, Verdict::Allow), (3, Verdict::Allow)]);
        let second = run(8, Purpose::Command, &["/srv/a"]);
        started(&mut questions, &second);
        assert_eq!(ended(&mut questions, &second, done, Then::Nothing), [(4, Verdict::Allow)]);
    }

    #[test]
    fn another_try_and_a_restart_ask_again() {
        let mut questions = asked(&["/srv/a"]);
        let retry = Then::Retry(Duration::from_millis(1));
        for (number, outcome, then) in
            [(7, Outcome::Ended(Exit::Code(1)), retry), (8, Outcome::Restart, Then::Nothing)]
        {
            let run = run(number, Purpose::Command, &["/srv/a"]);
            started(&mut questions, &run);
            assert_eq!(ended(&mut questions, &run, outcome, then), []);
        }
        let last = run(9, Purpose::Command, &["/srv/a"]);
        started(&mut questions, &last);
        let verdicts = ended(&mut questions, &last, Outcome::Ended(Exit::Code(2)), Then::OnFailure);
        assert_eq!(verdicts, [(1, Verdict::Deny)]);
    }

    #[test]
    fn on_failure_decides_nothing() {
        let mut questions = asked(&["/srv/a"]);
        let run = run(7, Purpose::OnFailure(Outcome::Timeout), &["/srv/a"]);
        started(&mut questions, &run);
        assert_eq!(ended(&mut questions, &run, Outcome::Ended(Exit::Code(0)), Then::Nothing), []);
    }

    #[test]
    fn what_gets_no_run_gets_the_default_at_once_and_what_a_run_asks_is_allowed() {
        let dropped = |path: Option<&str>, reason| Report::Dropped {
            rule: "r".into(),
            path: path.map(|path| Path::new(path).into()),
            reason,
            count: 1,
        };
        let mut questions = asked(&["/srv/a", "/srv/b", "/srv/c"]);
        let verdicts = questions.follow(&dropped(Some("/srv/a"), DropReason::Skip));
        assert_eq!(verdicts, [(id(1), Verdict::Deny)]);
        let verdicts = questions.follow(&dropped(Some("/srv/b"), DropReason::Itself));
        assert_eq!(verdicts, [(id(2), Verdict::Allow)]);
        assert_eq!(questions.follow(&dropped(None, DropReason::Removed)), [(id(3), Verdict::Deny)]);
    }

    #[test]
    fn what_the_guard_has_answered_is_not_answered_again() {
        let mut questions = asked(&["/srv/a"]);
        let run = run(7, Purpose::Command, &["/srv/a"]);
        started(&mut questions, &run);
        questions.forget(id(1));
        assert_eq!(ended(&mut questions, &run, Outcome::Ended(Exit::Code(0)), Then::Nothing), []);
    }
}
