//! The supervisor: starts runs, pumps their output, stops whole process trees, knows which process belongs to
//! which run.
//!
//! It never blocks: the loop polls its one descriptor, calls [`Supervisor::ready`] when that is readable or
//! [`Supervisor::next_deadline`] has come, and gets notices.

mod capture;
mod environment;
mod hold;
mod identity;
mod input;
mod notice;
mod output;
mod refusal;
mod start;
mod task;
mod throttle;
mod token;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub use capture::{ERROR_TAIL_LEN, LINE_LEN_MAX};
pub use environment::{LANG, PATH, Variables};
pub use notice::{Amount, Stream, SupervisorNotice};
pub use throttle::{LINES_MAX, SPAN};

use capture::Line;
use hold::Hold;
use output::Outlet;
use refusal::refused_by_system;
use start::{Habits, Start};
use task::{Step, Task};
use throttle::Throttle;
use token::Token;

use crate::engine::{Exit, Run, StartFailure, StartFailureClass, StopSignal};
use crate::event::RunId;
use crate::moment::Moment;
use crate::sys::pipes::{self, Read};
use crate::sys::poller::{Interest, Poller};
use crate::sys::process::{self, Child, Place, Spawner};
use crate::sys::signals;

/// Read from one pipe before the others have their turn: what a pipe holds.
const READ_LEN: usize = 64 * 1024;

/// Reads from the pipe of a run that has ended; what somebody else still writes waits for its turn.
const LAST_READS_MAX: usize = 4;

/// Pipes that processes hold open whose run is over. They are read and forgotten, so that nobody is ended by writing
/// to a closed pipe; beyond this the oldest is closed.
const LINGERING_MAX: usize = 256;

/// Everything here is read, or is readable when it ends.
const READING: Interest = Interest { is_reading: true, is_writing: false };

/// What the daemon decides about all runs.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The daemon's own environment, for `inherit-env`.
    pub inherited: Variables,
    /// Run programs as root that others may write (`--insecure`).
    pub is_insecure: bool,
    /// Reap children that nothing in this program has started by `sys::process`, nor given to [`Supervisor::adopt`].
    pub reaps_strangers: bool,
}

/// Starts runs and follows them to their ends.
#[derive(Debug)]
pub struct Supervisor {
    options: Options,
    spawner: Spawner,
    poller: Poller,
    null: OwnedFd,
    nice: i32,
    resets_oom_score: bool,
    /// Of `$+`, `$-` and `$=`.
    counter: u32,
    tasks: BTreeMap<RunId, Task>,
    /// When to look again at those whose main process has ended.
    ending: BTreeMap<RunId, Moment>,
    lingering: BTreeMap<(RunId, Stream), OwnedFd>,
    adopted: BTreeMap<i32, Child>,
    throttle: Throttle,
    buffer: Box<[u8]>,
}

impl Supervisor {
    /// A supervisor without runs.
    ///
    /// # Errors
    /// When there are no descriptors or no memory left, or no /dev/null.
    pub fn new(options: Options) -> io::Result<Supervisor> {
        signals::default_child_disposition();
        Ok(Supervisor {
            options,
            spawner: Spawner::new()?,
            poller: Poller::new()?,
            null: pipes::null()?,
            nice: process::own_nice(),
            resets_oom_score: process::own_oom_score_adj() < 0,
            counter: 0,
            tasks: BTreeMap::new(),
            ending: BTreeMap::new(),
            lingering: BTreeMap::new(),
            adopted: BTreeMap::new(),
            throttle: Throttle::default(),
            buffer: vec![0; READ_LEN].into(),
        })
    }

    /// Starts the process of a run; its end comes as [`SupervisorNotice::Exited`].
    ///
    /// # Errors
    /// Why there is no process of the command; then no notice comes.
    pub fn spawn(&mut self, run: &Run, notices: &mut Vec<SupervisorNotice>) -> Result<(), StartFailure> {
        let habits = Habits {
            inherited: &self.options.inherited,
            is_insecure: self.options.is_insecure,
            nice: self.nice,
            resets_oom_score: self.resets_oom_score,
        };
        let mut start = Start::prepare(run, &habits, &mut self.counter)?;
        let main = start.spawn(&mut self.spawner, Place::Session, self.null.as_fd())?;
        let left_out = start.inlet.left_out.drain(..);
        let rule = &run.rule.name;
        let left_out =
            left_out.map(|path| SupervisorNotice::PathLeftOut { run: run.id, rule: rule.clone(), path });
        notices.extend(left_out);
        let mut task = Task::new(run.id, run.rule.clone(), main, Hold::Session);
        if let Outlet::Pipes { out, err } = start.outlet {
            task.read_from(out.0, err.0);
        }
        if let Err(error) = self.watch(&task) {
            task.abandon();
            return Err(refused_by_system(StartFailureClass::Other, "watch the process", &error));
        }
        self.tasks.insert(run.id, task);
        Ok(())
    }

    /// Signals the processes of a run. Nothing happens to one whose end has been told.
    pub fn signal(&mut self, now: Moment, run: RunId, signal: StopSignal) {
        if let Some(task) = self.tasks.get_mut(&run) {
            task.signal(now, signal);
            self.ending.entry(run).and_modify(|look_at| *look_at = now);
        }
    }

    /// Handles what is ready and due.
    pub fn ready(&mut self, now: Moment, notices: &mut Vec<SupervisorNotice>) {
        // A failing look at the poller is made again: what is ready stays ready.
        for ready in self.poller.ready().unwrap_or_default() {
            match Token::from_data(ready.token) {
                Token::Main(run) => self.main_is_ready(now, run, notices),
                Token::Pipe(run, stream) => self.pump(now, run, stream, 1, notices),
                Token::Adopted(pid) => self.adopted_is_ready(pid, notices),
            }
        }
        let due = self.ending.iter().filter(|(_, look_at)| **look_at <= now).map(|(run, _)| *run);
        for run in due.collect::<Vec<_>>() {
            self.go_on(now, run, notices);
        }
        let throttled = self.throttle.end_spans(now).into_iter();
        notices.extend(throttled.map(|(rule, amount)| SupervisorNotice::OutputThrottled { rule, amount }));
        if self.options.reaps_strangers {
            process::reap_strangers();
        }
    }

    /// When [`Supervisor::ready`] is to be called even if nothing becomes readable.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.ending.values().copied().chain(self.throttle.next_deadline()).min()
    }

    /// The runs that have started and whose end has not been told.
    pub fn running(&self) -> impl ExactSizeIterator<Item = RunId> {
        self.tasks.keys().copied()
    }

    /// Takes over a child that somebody else has started: its end comes as [`SupervisorNotice::ChildEnded`].
    ///
    /// # Errors
    /// When it is no child of ours, or there are no descriptors left.
    pub fn adopt(&mut self, pid: i32) -> io::Result<()> {
        let child = Child::adopt(pid)?;
        self.poller.add(child.as_fd(), Token::Adopted(pid).data(), READING)?;
        self.adopted.insert(pid, child);
        Ok(())
    }

    fn watch(&self, task: &Task) -> io::Result<()> {
        for (stream, pipe) in task.pipes() {
            self.poller.add(pipe, Token::Pipe(task.run, stream).data(), READING)?;
        }
        let main = task.main().expect("it has just started");
        self.poller.add(main.as_fd(), Token::Main(task.run).data(), READING)
    }

    fn main_is_ready(&mut self, now: Moment, run: RunId, notices: &mut Vec<SupervisorNotice>) {
        let Some(task) = self.tasks.get_mut(&run) else { return };
        task.look_at_main(now);
        if task.is_running() {
            return;
        }
        // It stays readable, and may stay unreaped for a while.
        if let Some(main) = task.main() {
            let _ = self.poller.remove(main.as_fd());
        }
        for stream in [Stream::Out, Stream::Err] {
            self.pump(now, run, stream, LAST_READS_MAX, notices);
        }
        self.go_on(now, run, notices);
    }

    /// Carries the end of a run further.
    fn go_on(&mut self, now: Moment, run: RunId, notices: &mut Vec<SupervisorNotice>) {
        let Some(task) = self.tasks.get_mut(&run) else { return };
        match task.step(now) {
            Step::Wait(look_at) => {
                self.ending.insert(run, look_at);
            }
            Step::SayUnkillable { look_at } => {
                notices.push(SupervisorNotice::Unkillable { run, rule: task.rule.name.clone() });
                self.ending.insert(run, look_at);
            }
            Step::Finish(exit) => self.finish(now, run, exit, notices),
        }
    }

    fn finish(&mut self, now: Moment, run: RunId, exit: Exit, notices: &mut Vec<SupervisorNotice>) {
        self.ending.remove(&run);
        let Some(mut task) = self.tasks.remove(&run) else { return };
        let mut error_tail = Vec::new();
        if let Some(capture) = &mut task.capture {
            let mut lines = Vec::new();
            let amount = capture.finish(&mut lines);
            if !amount.is_zero() {
                let rule = task.rule.name.clone();
                notices.push(SupervisorNotice::OutputLeftOut { run, rule, amount });
            }
            tell(&mut self.throttle, now, &task, lines, notices);
        }
        if let Some(capture) = &task.capture {
            error_tail.extend_from_slice(capture.error_tail());
        }
        for stream in [Stream::Out, Stream::Err] {
            if let Some(pipe) = task.pipe(stream).take() {
                self.lingering.insert((run, stream), pipe);
            }
        }
        while self.lingering.len() > LINGERING_MAX {
            self.lingering.pop_first();
        }
        notices.push(SupervisorNotice::Exited { run, exit, error_tail });
    }

    /// Reads from a pipe of a run, at most so many times.
    fn pump(
        &mut self,
        now: Moment,
        run: RunId,
        stream: Stream,
        reads_max: usize,
        notices: &mut Vec<SupervisorNotice>,
    ) {
        let Some(task) = self.tasks.get_mut(&run) else { return self.pump_lingering(run, stream) };
        let mut lines = Vec::new();
        for _ in 0..reads_max {
            let Some(pipe) = task.pipe(stream) else { break };
            match pipes::read(pipe, &mut self.buffer) {
                Read::Bytes(len) => {
                    if let Some(capture) = &mut task.capture {
                        capture.read(stream, &self.buffer[..len], &mut lines);
                    }
                }
                Read::Nothing => break,
                Read::End => {
                    let _ = self.poller.remove(pipe.as_fd());
                    task.pipe(stream).take();
                }
            }
        }
        tell(&mut self.throttle, now, task, lines, notices);
        // The end of its output may be the last thing that an ending run waits for.
        self.ending.entry(run).and_modify(|look_at| *look_at = now);
    }

    fn pump_lingering(&mut self, run: RunId, stream: Stream) {
        let Some(pipe) = self.lingering.get(&(run, stream)) else { return };
        if pipes::read(pipe, &mut self.buffer) == Read::End {
            let _ = self.poller.remove(pipe.as_fd());
            self.lingering.remove(&(run, stream));
        }
    }

    fn adopted_is_ready(&mut self, pid: i32, notices: &mut Vec<SupervisorNotice>) {
        let Some(ended) = self.adopted.get(&pid).and_then(Child::peek) else { return };
        if let Some(child) = self.adopted.remove(&pid) {
            let _ = self.poller.remove(child.as_fd());
            child.reap();
        }
        notices.push(SupervisorNotice::ChildEnded { pid, exit: ended.into() });
    }
}

impl AsFd for Supervisor {
    /// Readable when [`Supervisor::ready`] has something to do.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}

/// Passes on lines of a run, as far as its rule may put lines into the log.
fn tell(
    throttle: &mut Throttle,
    now: Moment,
    task: &Task,
    lines: Vec<Line>,
    notices: &mut Vec<SupervisorNotice>,
) {
    let rule = &task.rule.name;
    let admitted = lines.into_iter().filter(|line| throttle.admits(now, rule, line.text.len() + 1));
    notices.extend(admitted.map(|Line { stream, text }| SupervisorNotice::Output {
        run: task.run,
        rule: rule.clone(),
        stream,
        text,
    }));
}
