//! What the engine's last input has changed, as notes.

use std::path::Path;
use std::sync::Arc;

use super::notes::Notes;
use crate::engine::{Change, Engine, KeptState};

/// Notes what has changed, in order.
pub fn note(engine: &Engine, notes: &mut Notes) {
    let mut answered = Answered::default();
    for change in engine.changes() {
        match change {
            Change::Path { rule, path } => match engine.kept_event(rule, path) {
                Some(event) => {
                    answered.note(notes);
                    notes.waits(rule, &event);
                }
                None => answered.add(rule, path, notes),
            },
            Change::Rule { rule } => {
                answered.note(notes);
                note_rule(rule, engine.kept_state(rule), notes);
            }
        }
    }
    answered.note(notes);
}

/// Notes everything that waits, as if nothing had been noted before.
pub fn say_again(engine: &Engine, notes: &mut Notes) {
    notes.reset();
    for kept in engine.kept() {
        kept.events.iter().for_each(|event| notes.waits(&kept.rule, event));
    }
}

fn note_rule(rule: &Arc<str>, state: Option<KeptState>, notes: &mut Notes) {
    let Some(KeptState { owes_rescan, is_paused }) = state else {
        notes.forgotten(rule);
        return;
    };
    if owes_rescan {
        notes.owes_rescan(rule, notes.last_read());
    } else {
        notes.rescanned(rule);
    }
    if is_paused {
        notes.paused(rule);
    } else {
        notes.resumed(rule);
    }
}

/// Paths of one rule that wait no more, gathered for one record.
#[derive(Default)]
struct Answered<'a> {
    rule: &'a str,
    paths: Vec<&'a Path>,
}

impl<'a> Answered<'a> {
    fn add(&mut self, rule: &'a str, path: &'a Path, notes: &mut Notes) {
        if self.rule != rule {
            self.note(notes);
            self.rule = rule;
        }
        self.paths.push(path);
    }

    fn note(&mut self, notes: &mut Notes) {
        notes.answered(self.rule, self.paths.drain(..));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::{Duration, SystemTime};

    use proptest::prelude::*;

    use super::*;
    use crate::config;
    use crate::diagnostic::SourceText;
    use crate::engine::{Action, Exit, Input, StartFailure, StartFailureClass};
    use crate::event::{Cause, Event, EventMask, Origin, RunId};
    use crate::journal::content::{Content, write_snapshot};
    use crate::journal::restored::Restored;
    use crate::journal::stamp::Stamp;
    use crate::journal::state::State;
    use crate::moment::Moment;
    use crate::rule::{RuleId, RuleSet};

    const RULES: &str = r#"
        [[rule]]
        name = "plain"
        path = "/srv"
        on = "all"
        command = ["/bin/true"]
        retries = 1

        [[rule]]
        name = "slow"
        path = "/srv"
        on = "all"
        command = ["/bin/true"]
        debounce = "3s"
        batch = true
        on-busy = "restart"
        queue-limit = 2

        [[rule]]
        name = "queue"
        path = "/srv"
        on = "all"
        command = ["/bin/true"]
        on-busy = "queue"

        [[rule]]
        name = "skip"
        path = "/srv"
        on = "all"
        command = ["/bin/true"]
        debounce = "1s"
        on-busy = "skip"
    "#;

    fn rules() -> Arc<RuleSet> {
        let text = SourceText { name: "rules.toml".into(), text: RULES.into() };
        let parsed = config::parse(&[text]);
        assert!(parsed.findings.is_empty(), "{:?}", parsed.findings);
        Arc::new(parsed.rules)
    }

    fn at(seconds: u64) -> Stamp {
        let since_boot = Duration::from_secs(seconds);
        Stamp { wall: SystemTime::UNIX_EPOCH + since_boot, since_boot, boot_id: 1 }
    }

    /// Something that happens to the engine, in numbers that always mean something.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Event {
            rule: u32,
            path: u8,
            is_delete: bool,
        },
        /// The n-th run in flight ends.
        End {
            run: usize,
            code: i32,
        },
        Fail {
            run: usize,
            is_transient: bool,
        },
        Time {
            seconds: u64,
        },
        Overflow {
            rule: u32,
        },
        Pause {
            rule: u32,
            is_paused: bool,
        },
        RescanDone,
        /// All rules, or all but one.
        Reload {
            without: Option<usize>,
        },
        Stop,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            60 => (0..4_u32, 0..4_u8, any::<bool>())
                .prop_map(|(rule, path, is_delete)| Step::Event { rule, path, is_delete }),
            40 => (any::<usize>(), 0..2).prop_map(|(run, code)| Step::End { run, code }),
            10 => (any::<usize>(), any::<bool>()).prop_map(|(run, is_transient)| Step::Fail { run, is_transient }),
            30 => (0..4_u64).prop_map(|seconds| Step::Time { seconds }),
            10 => (0..4_u32).prop_map(|rule| Step::Overflow { rule }),
            10 => (0..4_u32, any::<bool>()).prop_map(|(rule, is_paused)| Step::Pause { rule, is_paused }),
            10 => Just(Step::RescanDone),
            10 => prop::option::of(0..4_usize).prop_map(|without| Step::Reload { without }),
            1 => Just(Step::Stop),
        ]
    }

    /// The engine, and what the world knows of it.
    struct World {
        engine: Engine,
        now: u64,
        in_flight: Vec<RunId>,
        rules: Arc<RuleSet>,
        rescans: Vec<Arc<str>>,
    }

    impl World {
        fn new() -> World {
            let rules = rules();
            let engine = Engine::new(Arc::clone(&rules));
            World { engine, now: 1, in_flight: Vec::new(), rules, rescans: Vec::new() }
        }

        fn input(&mut self, step: Step) -> Option<Input> {
            Some(match step {
                Step::Event { rule, path, is_delete } => {
                    let mask = if is_delete { EventMask::DELETE } else { EventMask::MODIFY };
                    Input::Event { rule: RuleId(rule), event: self.event(path, mask) }
                }
                Step::End { run, code } => Input::Exited { run: self.run(run)?, exit: Exit::Code(code) },
                Step::Fail { run, is_transient } => {
                    let class = StartFailureClass::Resources;
                    let failure = StartFailure { class, message: "no".to_owned(), is_transient };
                    Input::SpawnFailed { run: self.run(run)?, failure }
                }
                Step::Time { seconds } => {
                    self.now += seconds;
                    Input::Tick
                }
                Step::Overflow { rule } => Input::Overflow { rules: vec![RuleId(rule)] },
                Step::Pause { rule, is_paused: true } => Input::Pause(RuleId(rule)),
                Step::Pause { rule, is_paused: false } => Input::Resume(RuleId(rule)),
                Step::RescanDone => {
                    let name = self.rescans.pop()?;
                    Input::RescanDone(self.rules.iter().find(|(_, rule)| rule.name == name)?.0)
                }
                Step::Reload { without } => {
                    let mut left = RuleSet::clone(&rules());
                    without.map(|index| left.rules.remove(index));
                    self.rules = Arc::new(left);
                    let is_left = |name: &Arc<str>| self.rules.rules.iter().any(|rule| rule.name == *name);
                    self.rescans.retain(is_left);
                    Input::Reload(Arc::clone(&self.rules))
                }
                Step::Stop => Input::Stop,
            })
        }

        fn run(&mut self, number: usize) -> Option<RunId> {
            let index = number.checked_rem(self.in_flight.len())?;
            Some(self.in_flight.remove(index))
        }

        fn event(&self, path: u8, mask: EventMask) -> Event {
            Event {
                mask,
                path: Path::new(&format!("/srv/{path}")).into(),
                old_path: None,
                is_dir: false,
                cause: Cause::default(),
                time: at(self.now).wall,
                origin: Origin::Event,
                object: None,
            }
        }

        fn handle(&mut self, input: Input) {
            let actions = self.engine.handle(Moment::since_start(Duration::from_secs(self.now)), input);
            for action in actions {
                match action {
                    Action::Spawn(run) => self.in_flight.push(run.id),
                    Action::Rescan(rule) => self.rescans.push(Arc::clone(&self.rules.rule(rule).name)),
                    Action::Signal { .. } | Action::Report(_) => {}
                }
            }
        }

        /// What the engine would have kept at this moment: paths with their masks, who owes, who is paused.
        fn kept(&self) -> String {
            let mut lines = BTreeSet::new();
            for kept in self.engine.kept() {
                let rule = &kept.rule;
                lines.extend(
                    kept.events.iter().map(|event| format!("{rule} {} {}", event.path.display(), event.mask)),
                );
                lines.extend(kept.state.owes_rescan.then(|| format!("{rule} owes")));
                lines.extend(kept.state.is_paused.then(|| format!("{rule} paused")));
            }
            lines.into_iter().collect::<Vec<_>>().join("\n")
        }
    }

    /// The same of a file.
    fn restored(file: &[u8], rules: &RuleSet) -> String {
        let content = Content::read(file).unwrap();
        assert_eq!((content.is_complete, content.damage), (true, None));
        let mut state = content.state;
        state.begin_life();
        let mut lines = BTreeSet::new();
        for (rule, left) in Restored::new(&state, rules, at(1_000)).rules {
            lines.extend(
                left.events.iter().map(|event| format!("{rule} {} {}", event.path.display(), event.mask)),
            );
            lines.extend(left.owes_rescan.map(|_| format!("{rule} owes")));
            lines.extend(left.is_paused.then(|| format!("{rule} paused")));
        }
        lines.into_iter().collect::<Vec<_>>().join("\n")
    }

    /// Lives through the steps. Returns the file, and after each step its length and what is kept then.
    fn live(steps: &[Step]) -> (Vec<u8>, Vec<(usize, String)>) {
        let mut world = World::new();
        let mut notes = Notes::new(at(1), BTreeMap::new(), BTreeSet::new());
        let mut file = Vec::new();
        write_snapshot(&State::default(), 1, |piece| {
            file.extend_from_slice(piece);
            Ok(())
        })
        .unwrap();
        let mut moments = vec![(file.len(), world.kept())];
        for step in steps {
            let Some(input) = world.input(*step) else { continue };
            world.handle(input);
            note(&world.engine, &mut notes);
            notes.read_until(at(world.now));
            file.extend_from_slice(&notes.take().0);
            moments.push((file.len(), world.kept()));
        }
        (file, moments)
    }

    proptest! {
        #[test]
        fn after_every_input_the_file_says_what_the_engine_would_lose(steps in prop::collection::vec(step(), 0..60)) {
            let (file, moments) = live(&steps);
            for (len, kept) in moments {
                prop_assert_eq!(restored(&file[..len], &rules()), kept);
            }
        }

        #[test]
        fn wherever_the_file_is_cut_it_says_what_was_true_between_two_inputs(
            steps in prop::collection::vec(step(), 1..20),
            place in any::<prop::sample::Index>(),
        ) {
            let (file, moments) = live(&steps);
            let start = moments[0].0;
            let len = start + place.index(file.len() - start + 1);
            let restored = restored(&file[..len], &rules());
            let before = moments.iter().rposition(|(end, _)| *end <= len).unwrap();
            let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
            let (earlier, later) = (&moments[before].1, &moments[moments.len().min(before + 2) - 1].1);
            // Each record is a step on the way from one to the other: what is in both cannot be missing.
            let common: BTreeSet<_> = lines(earlier).intersection(&lines(later)).cloned().collect();
            prop_assert!(lines(&restored).is_superset(&common), "{restored}\nbetween {earlier}\nand {later}");
        }

        #[test]
        fn what_is_said_again_is_the_whole(steps in prop::collection::vec(step(), 0..60)) {
            let (mut file, moments) = live(&steps);
            let mut world = World::new();
            let mut notes = Notes::new(at(1), BTreeMap::new(), BTreeSet::new());
            for step in &steps {
                let Some(input) = world.input(*step) else { continue };
                world.handle(input);
                note(&world.engine, &mut notes);
            }
            // Whatever was lost: here everything from the middle on.
            file.truncate(moments[moments.len() / 2].0);
            notes.take();
            say_again(&world.engine, &mut notes);
            file.extend_from_slice(&notes.take().0);
            prop_assert_eq!(restored(&file, &rules()), world.kept());
        }
    }
}
