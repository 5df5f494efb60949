//! From a decided run to a task: at once, or by way of the starter where the start may wait for somebody else.

use std::os::fd::AsFd as _;
use std::sync::Arc;

use super::Supervisor;
use super::containment::Held;
use super::notice::SupervisorNotice;
use super::output::Outlet;
use super::refusal::refused_by_system;
use super::start::{Habits, Start};
use super::task::{KILL_WAIT, Task, next_look};
use crate::engine::{Run, StartFailure, StartFailureClass, StopSignal};
use crate::event::RunId;
use crate::moment::Moment;
use crate::rule::Rule;
use crate::sys::process::Child;

/// What came of a start on another thread.
#[derive(Debug)]
pub struct Begun {
    run: RunId,
    start: Start,
    result: Result<Child, StartFailure>,
}

/// A run whose start is under way on another thread.
#[derive(Debug)]
pub struct Starting {
    rule: Arc<Rule>,
    held: Held,
    /// Its process, once that was seen.
    pid: Option<i32>,
    /// What it was asked to end by.
    asked: Option<i32>,
    /// Since when it is to be ended, and whether it was said that it does not.
    killed: Option<(Moment, bool)>,
}

impl Supervisor {
    /// Starts the process of a run; its end comes as [`SupervisorNotice::Exited`].
    ///
    /// # Errors
    /// Why there is no process of the command; then no notice comes. Where the start may wait for somebody else, a
    /// failure comes as [`SupervisorNotice::NotStarted`].
    pub fn spawn(&mut self, run: &Run, notices: &mut Vec<SupervisorNotice>) -> Result<(), StartFailure> {
        let started = self.launch(run, notices);
        self.rest_if_idle();
        started
    }

    fn launch(&mut self, run: &Run, notices: &mut Vec<SupervisorNotice>) -> Result<(), StartFailure> {
        let habits = Habits {
            inherited: &self.options.inherited,
            is_insecure: self.options.is_insecure,
            nice: self.nice,
            resets_oom_score: self.resets_oom_score,
        };
        let start = Start::prepare(run, &habits, &mut self.lookups, &mut self.counter)?;
        let mut held =
            self.containment.hold(run.id, &run.rule.setting, &mut self.spawner, self.null.as_fd())?;
        self.causes.prepare();
        if start.may_wait() {
            return self.hand_over(run, start, held);
        }
        let place = self.containment.place(&held.hold);
        let counted = held.counted.take();
        let result = start.spawn(&mut self.spawner, place, counted.as_ref(), self.null.as_fd());
        self.begin(&run.rule, held, Begun { run: run.id, start, result }, notices)
    }

    /// Has a run started by another thread.
    fn hand_over(&mut self, run: &Run, start: Start, mut held: Held) -> Result<(), StartFailure> {
        let id = run.id;
        let counted = held.counted.take();
        let descriptors = self.containment.remote_place(&held.hold).and_then(|place| {
            let null = self.null.try_clone()?;
            Ok((place, null))
        });
        let begun = descriptors.and_then(|(place, null)| {
            let job = move |spawner: &mut _| {
                let result = start.spawn(spawner, place.place(), counted.as_ref(), null.as_fd());
                Begun { run: id, start, result }
            };
            self.starter.start(id.0, Box::new(job))
        });
        if let Err(error) = begun {
            self.containment.release(id, held);
            return Err(refused_by_system(StartFailureClass::Other, "start a thread", &error));
        }
        let rule = Arc::clone(&run.rule);
        self.starting.insert(id, Starting { rule, held, pid: None, asked: None, killed: None });
        Ok(())
    }

    /// Takes in what came of the starts on other threads.
    pub(super) fn take_begun(&mut self, now: Moment, notices: &mut Vec<SupervisorNotice>) {
        self.hear();
        for begun in self.starter.take_done() {
            let run = begun.run;
            let Some(starting) = self.starting.remove(&run) else { continue };
            self.ending.remove(&run);
            let Starting { rule, held, pid, asked, killed } = starting;
            if let Err(failure) = self.begin(&rule, held, begun, notices) {
                if let Some(pid) = pid {
                    self.causes.reaped(pid);
                }
                self.rest_if_idle();
                notices.push(SupervisorNotice::NotStarted { run, failure });
                continue;
            }
            // Its end came while it was started.
            if let Some(number) = asked {
                self.signal(now, run, StopSignal::Ask(number));
            }
            if killed.is_some() {
                self.signal(now, run, StopSignal::Kill);
            }
        }
    }

    /// Makes a task of a run that has started.
    fn begin(
        &mut self,
        rule: &Arc<Rule>,
        mut held: Held,
        begun: Begun,
        notices: &mut Vec<SupervisorNotice>,
    ) -> Result<(), StartFailure> {
        let Begun { run, mut start, result } = begun;
        let main = match result {
            Ok(main) => main,
            Err(failure) => {
                held.is_reusable = false;
                self.containment.release(run, held);
                return Err(failure);
            }
        };
        let left_out = start.inlet.left_out.drain(..);
        notices.extend(left_out.map(|path| SupervisorNotice::PathLeftOut {
            run,
            rule: Arc::clone(&rule.name),
            path,
        }));
        let mut task = Task::new(run, Arc::clone(rule), main, held);
        if let Outlet::Pipes { out, err } = start.outlet {
            task.read_from(out.0, err.0);
        }
        if let Err(error) = self.watch(&task) {
            self.containment.release(run, task.abandon());
            return Err(refused_by_system(StartFailureClass::Other, "watch the process", &error));
        }
        self.causes.started(run, task.pid);
        self.tasks.insert(run, task);
        Ok(())
    }

    /// Signals a run whose start is under way: what asks it to end waits until there is a program that can be asked.
    pub(super) fn signal_starting(&mut self, now: Moment, run: RunId, signal: StopSignal) {
        let Some(starting) = self.starting.get_mut(&run) else { return };
        match signal {
            StopSignal::Ask(number) => starting.asked = Some(number),
            StopSignal::Kill => {
                starting.killed.get_or_insert((now, false));
                self.ending.insert(run, now);
            }
        }
    }

    /// Ends a run whose start is under way, as soon as it has a process.
    pub(super) fn go_on_starting(&mut self, now: Moment, run: RunId, notices: &mut Vec<SupervisorNotice>) {
        let Some(starting) = self.starting.get_mut(&run) else { return };
        let Some((since, is_said)) = &mut starting.killed else { return };
        self.starter.kill(run.0);
        if now.since(*since) >= KILL_WAIT && !std::mem::replace(is_said, true) {
            notices.push(SupervisorNotice::Unkillable { run, rule: Arc::clone(&starting.rule.name) });
        }
        self.ending.insert(run, next_look(now, *since));
    }

    /// Takes in what the kernel told of forks; the processes that starts under way have made are known before that.
    pub(super) fn hear(&mut self) {
        self.note_births();
        self.causes.hear();
    }

    /// Makes processes known that may do something already, while their starts are not told to be done.
    pub(super) fn note_births(&mut self) {
        for (run, starting) in &mut self.starting {
            if starting.pid.is_none() {
                starting.pid = self.starter.pid(run.0);
                if let Some(pid) = starting.pid {
                    self.causes.started(*run, pid);
                }
            }
        }
    }
}
