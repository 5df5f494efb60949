//! Following runs from readiness to readiness: output is read, ends are seen, and what is left of them is let go.

use std::os::fd::AsFd as _;
use std::sync::Arc;

use super::Supervisor;
use super::capture::Line;
use super::notice::{Amount, Stream, SupervisorNotice};
use super::task::{Step, Task};
use crate::engine::Exit;
use crate::event::RunId;
use crate::moment::Moment;
use crate::sys::pipes::{self, Read};
use crate::throttle::Throttle;

/// Reads from the pipe of a run that has ended; what somebody else still writes waits for its turn.
const LAST_READS_MAX: usize = 4;

/// Pipes that processes hold open whose run is over. They are read and forgotten, so that nobody is ended by writing
/// to a closed pipe; beyond this the oldest is closed.
const LINGERING_MAX: usize = 256;

impl Supervisor {
    pub(super) fn process_is_ready(&mut self, now: Moment, run: RunId, notices: &mut Vec<SupervisorNotice>) {
        // Before it is reaped, and its number can be given to another.
        self.hear();
        let Some(task) = self.tasks.get_mut(&run) else { return };
        // They stay readable, and may stay unreaped for a while.
        for process in task.processes() {
            let _ = self.poller.remove(process.as_fd());
        }
        task.look_at_main(now);
        if task.is_running() {
            task.hold_back(now);
        }
        self.look_on(now, run, notices);
    }

    /// Reads what a run whose end has come has written last, and carries that end further.
    fn look_on(&mut self, now: Moment, run: RunId, notices: &mut Vec<SupervisorNotice>) {
        for stream in [Stream::Out, Stream::Err] {
            self.pump(now, run, stream, LAST_READS_MAX, notices);
        }
        self.go_on(now, run, notices);
    }

    /// Carries the end of a run further.
    pub(super) fn go_on(&mut self, now: Moment, run: RunId, notices: &mut Vec<SupervisorNotice>) {
        let Some(task) = self.tasks.get_mut(&run) else { return self.go_on_starting(now, run, notices) };
        if task.is_running() {
            task.look_at_main(now);
        }
        let step = task.step(now);
        if task.main().is_none() {
            self.causes.reaped(task.pid);
        }
        match step {
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
        self.containment.release(run, task.into_held());
        self.rest_if_idle();
        notices.push(SupervisorNotice::Exited { run, exit, error_tail });
    }

    /// Reads from a pipe of a run, at most so many times.
    pub(super) fn pump(
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
                // Closing it takes it out of the poller: nobody has a copy of our end.
                Read::End => drop(task.pipe(stream).take()),
            }
        }
        tell(&mut self.throttle, now, task, lines, notices);
        // The end of its output may be the last thing that an ending run waits for.
        self.ending.entry(run).and_modify(|look_at| *look_at = now);
    }

    fn pump_lingering(&mut self, run: RunId, stream: Stream) {
        let Some(pipe) = self.lingering.get(&(run, stream)) else { return };
        if pipes::read(pipe, &mut self.buffer) == Read::End {
            self.lingering.remove(&(run, stream));
        }
    }
}

/// Passes on lines of a run, as far as its rule may put lines into the log.
fn tell(
    throttle: &mut Throttle<Arc<str>, Amount>,
    now: Moment,
    task: &Task,
    lines: Vec<Line>,
    notices: &mut Vec<SupervisorNotice>,
) {
    let rule = &task.rule.name;
    let amount = |line: &Line| Amount { lines: 1, bytes: line.text.len() as u64 + 1 };
    let admitted = lines.into_iter().filter(|line| throttle.admits(now, rule, amount(line)));
    notices.extend(admitted.map(|Line { stream, text }| SupervisorNotice::Output {
        run: task.run,
        rule: rule.clone(),
        stream,
        text,
    }));
}
