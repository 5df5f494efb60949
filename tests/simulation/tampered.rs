//! Mutants that lose, invent or forge something.

use std::path::PathBuf;
use std::sync::Arc;

use facron::engine::{Action, DropReason, Exit, Input, Outcome, Purpose, Report, Run, StopSignal};
use facron::event::{EventMask, RunId};
use facron::rule::{RuleId, RuleSet};

use crate::mutant::{Memory, Mutation, SOUND};
use crate::oracle::Invariant;

/// All of them.
pub const TAMPERED: &[Mutation] = &[
    Mutation {
        name: "two runs for one path",
        breaks: &[Invariant::Path],
        input: |memory, mut input| {
            if let Input::Event { event, .. } = &mut input
                && memory.inputs.is_multiple_of(2)
            {
                let mut path = event.path.as_os_str().to_owned();
                path.push("\u{1}");
                event.path = PathBuf::from(path).into();
            }
            vec![input]
        },
        output: |_, mut actions| {
            for run in actions.iter_mut().filter_map(spawned) {
                for event in Arc::make_mut(&mut run.events) {
                    let path = event.path.to_string_lossy().replace('\u{1}', "");
                    event.path = PathBuf::from(path).into();
                }
            }
            actions
        },
        ..SOUND
    },
    Mutation {
        name: "a run that is never killed",
        breaks: &[Invariant::Timeout],
        output: |_, actions| without(actions, |action| is_signal(action, StopSignal::Kill)),
        ..SOUND
    },
    Mutation {
        name: "a failure that is not answered",
        breaks: &[Invariant::Covered],
        output: |_, actions| {
            without(actions, |action| matches!(action, Action::Spawn(run) if run.purpose != Purpose::Command))
        },
        ..SOUND
    },
    Mutation {
        name: "a run that is not started",
        breaks: &[Invariant::Due],
        output: |_, actions| {
            without(actions, |action| matches!(action, Action::Spawn(run) if run.id.0 % 7 == 3))
        },
        ..SOUND
    },
    Mutation {
        name: "a signal to a run that is over",
        breaks: &[Invariant::Reaped],
        output: |_, mut actions| {
            let ended = actions.iter().find_map(|action| match action {
                Action::Report(Report::Ended { run, .. }) => Some(run.id),
                _ => None,
            });
            actions.extend(ended.map(|run| Action::Signal { run, signal: StopSignal::Kill }));
            actions
        },
        ..SOUND
    },
    Mutation {
        name: "a run that is started twice",
        breaks: &[Invariant::Reaped],
        output: |_, mut actions| {
            let spawn = actions.iter().find(|action| matches!(action, Action::Spawn(_))).cloned();
            actions.extend(spawn);
            actions
        },
        ..SOUND
    },
    Mutation {
        name: "a rescan that is forgotten",
        breaks: &[Invariant::Rescan],
        output: |_, actions| without(actions, |action| matches!(action, Action::Rescan(_))),
        ..SOUND
    },
    Mutation {
        name: "a rescan that is asked for twice",
        breaks: &[Invariant::Rescan],
        output: |_, mut actions| {
            let rescan = actions.iter().find(|action| matches!(action, Action::Rescan(_))).cloned();
            actions.extend(rescan);
            actions
        },
        ..SOUND
    },
    Mutation {
        name: "an overflow that is mistaken for nothing",
        breaks: &[Invariant::Rescan],
        input: |_, input| {
            if matches!(input, Input::Overflow { .. }) { vec![Input::Tick] } else { vec![input] }
        },
        ..SOUND
    },
    Mutation {
        name: "a run after the stop",
        breaks: &[Invariant::Stopped],
        input: |memory, input| {
            if matches!(input, Input::Stop | Input::StopNow) {
                memory.input = Some(input.clone());
            }
            vec![input]
        },
        output: |memory, mut actions| {
            let last = actions.iter().rfind(|action| matches!(action, Action::Spawn(_))).cloned();
            memory.action = last.or(memory.action.take());
            if let (Some(_), Some(Action::Spawn(run))) = (&memory.input, &memory.action) {
                actions.push(Action::Spawn(Run { id: RunId(1_000_000), ..run.clone() }));
            }
            actions
        },
        ..SOUND
    },
    Mutation {
        name: "an attempt that is not counted",
        breaks: &[Invariant::Retry],
        output: |_, mut actions| {
            actions.iter_mut().filter_map(spawned).for_each(|run| run.attempt = 1);
            actions
        },
        ..SOUND
    },
    Mutation {
        name: "a refusal for the moment that is taken for a failure",
        breaks: &[Invariant::Retry],
        input: |_, mut input| {
            if let Input::SpawnFailed { failure, .. } = &mut input {
                failure.is_transient = false;
            }
            vec![input]
        },
        ..SOUND
    },
    Mutation {
        name: "an event that is forgotten",
        breaks: &[Invariant::Counters],
        input: |memory, input| match input {
            Input::Event { .. } if memory.inputs.is_multiple_of(11) => vec![Input::Tick],
            input => vec![input],
        },
        ..SOUND
    },
    Mutation {
        name: "an event that is counted twice",
        breaks: &[Invariant::Counters],
        status: |status| status.counters.matched += u64::from(status.counters.matched > 3),
        ..SOUND
    },
    Mutation {
        name: "a pause that is not heeded",
        breaks: &[Invariant::Counters, Invariant::OnBusy],
        input: |_, input| if matches!(input, Input::Pause(_)) { vec![Input::Tick] } else { vec![input] },
        ..SOUND
    },
    Mutation {
        name: "a run that is lost sight of",
        breaks: &[Invariant::Alive],
        running: |running| running.saturating_sub(1),
        ..SOUND
    },
    Mutation {
        name: "finished while a run is alive",
        breaks: &[Invariant::Finished],
        is_finished: |_| true,
        ..SOUND
    },
    Mutation { name: "no timer for what waits", breaks: &[Invariant::Armed], deadline: |_, _| None, ..SOUND },
    Mutation {
        name: "a stop that is not heeded at once",
        breaks: &[Invariant::Asked],
        input: |_, input| if matches!(input, Input::StopNow) { vec![Input::Stop] } else { vec![input] },
        ..SOUND
    },
    Mutation {
        name: "a deadline that is over",
        breaks: &[Invariant::BusyLoop],
        deadline: |now, deadline| deadline.map(|_| now),
        ..SOUND
    },
    Mutation {
        name: "a reload that forgets what waits",
        breaks: &[Invariant::Reload],
        input: |_, input| match input {
            Input::Reload(rules) => {
                let nothing = RuleSet { daemon: rules.daemon.clone(), rules: Vec::new() };
                vec![Input::Reload(nothing.into()), Input::Reload(rules)]
            }
            input => vec![input],
        },
        ..SOUND
    },
    Mutation {
        name: "a run with the path of another",
        breaks: &[Invariant::Due, Invariant::Paths],
        output: |_, mut actions| {
            for event in actions.iter_mut().filter_map(spawned).flat_map(|run| Arc::make_mut(&mut run.events))
            {
                event.path = PathBuf::from("elsewhere").into();
            }
            actions
        },
        ..SOUND
    },
    Mutation {
        name: "only the last event is told",
        breaks: &[Invariant::Paths],
        output: |_, mut actions| {
            for event in actions.iter_mut().filter_map(spawned).flat_map(|run| Arc::make_mut(&mut run.events))
            {
                event.mask = event.mask.singles().last().unwrap_or(EventMask::EMPTY);
            }
            actions
        },
        ..SOUND
    },
    Mutation {
        name: "chance that is not repeated",
        breaks: &[Invariant::Trace],
        output: |memory, mut actions| {
            if memory.is_second && memory.inputs == 10 {
                actions.push(Action::Report(Report::LoopSuspected { rule: "ash".into() }));
            }
            actions
        },
        ..SOUND
    },
    Mutation {
        name: "a drop that is not told",
        breaks: &[Invariant::Dropped],
        output: |_, actions| {
            without(actions, |action| matches!(action, Action::Report(Report::Dropped { .. })))
        },
        ..SOUND
    },
    Mutation {
        name: "a drop for another reason",
        breaks: &[Invariant::Dropped],
        output: |_, mut actions| {
            for action in &mut actions {
                if let Action::Report(Report::Dropped { reason, .. }) = action {
                    *reason = DropReason::Skip;
                }
            }
            actions
        },
        ..SOUND
    },
    Mutation {
        name: "the first rule comes first",
        breaks: &[Invariant::Fairness],
        input: |memory, input| {
            note_pauses(memory, &input);
            let is_full = memory.running + 1 >= memory.rules.daemon.concurrency as usize;
            let ends = matches!(input, Input::Exited { .. } | Input::SpawnFailed { .. });
            if !is_full || !ends {
                return vec![input];
            }
            let others: Vec<RuleId> = (1..memory.rules.rules.len() as u32).map(RuleId).collect();
            let others: Vec<RuleId> =
                others.into_iter().filter(|rule| !memory.paused.contains(rule)).collect();
            let mut inputs: Vec<Input> = others.iter().map(|rule| Input::Pause(*rule)).collect();
            inputs.push(input);
            inputs.extend(others.iter().map(|rule| Input::Resume(*rule)));
            inputs
        },
        ..SOUND
    },
    Mutation {
        name: "a journal that misses something",
        breaks: &[Invariant::Kept],
        changes: |mut changes| {
            changes.pop();
            changes
        },
        ..SOUND
    },
    Mutation {
        name: "an outcome that is not true",
        breaks: &[Invariant::Told],
        output: |_, mut actions| {
            for action in &mut actions {
                if let Action::Report(Report::Ended { outcome, .. }) = action {
                    *outcome = Outcome::Ended(Exit::Code(0));
                }
            }
            actions
        },
        ..SOUND
    },
];

fn without(actions: Vec<Action>, is_gone: impl Fn(&Action) -> bool) -> Vec<Action> {
    let gone: Vec<RunId> = actions.iter().filter(|action| is_gone(action)).filter_map(run_of).collect();
    let is_told =
        |action: &Action| matches!(action, Action::Report(Report::Started(run)) if gone.contains(&run.id));
    let keep = |action: &Action| !is_gone(action) && !is_told(action);
    actions.iter().filter(|action| keep(action)).cloned().collect()
}

fn run_of(action: &Action) -> Option<RunId> {
    match action {
        Action::Spawn(run) => Some(run.id),
        _ => None,
    }
}

fn spawned(action: &mut Action) -> Option<&mut Run> {
    match action {
        Action::Spawn(run) => Some(run),
        _ => None,
    }
}

fn is_signal(action: &Action, wanted: StopSignal) -> bool {
    matches!(action, Action::Signal { signal, .. } if *signal == wanted)
}

fn note_pauses(memory: &mut Memory, input: &Input) {
    match input {
        Input::Pause(rule) => memory.paused.push(*rule),
        Input::Resume(rule) => memory.paused.retain(|known| known != rule),
        // Who was paused has another number now: leave all alone.
        Input::Reload(_) => memory.paused = (0..10).map(RuleId).collect(),
        _ => {}
    }
}
