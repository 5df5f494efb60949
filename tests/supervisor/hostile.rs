//! 500 commands that do not want to end: all of them are gone in time, with everything that they started. Needs root.

use std::collections::BTreeMap;
use std::time::Duration;

use facron::engine::StopSignal;
use facron::event::RunId;
use facron::moment::Moment;
use facron::supervisor::{Options, SupervisorNotice};
use facron::sys::{clock, process};

use crate::common;
use crate::supervised::*;

const RUNS: usize = 500;

/// Runs in flight at once.
const CONCURRENCY: usize = 16;

/// How long a run goes on before it is asked to stop, and from then on until it is killed.
const TIMEOUT: Duration = Duration::from_millis(150);
const KILL_AFTER: Duration = Duration::from_millis(50);

/// What is promised after the kill (SPEC 5.4), and what a machine that does other things as well may take for some.
const PROMISED: Duration = Duration::from_secs(1);
const LATE_MAX: usize = RUNS / 4;
const FOR_ALL: Duration = Duration::from_secs(20);

/// Each with the word by which its processes are found again in place of WORD.
const COMMANDS: &[(&str, &str, &str)] = &[
    ("ignores requests", "trap '' TERM INT HUP; sleep WORD & sleep WORD", ""),
    ("makes sessions", "trap '' TERM; setsid setsid sleep WORD & setsid sleep WORD & sleep WORD", ""),
    ("forks twice", "(setsid sh -c '(trap \"\" TERM; sleep WORD; :) & :' &) ; sleep WORD", ""),
    ("is stopped", "sleep WORD & sleep 0.05; kill -STOP 0", ""),
    ("stops and ignores", "trap '' TERM CONT; setsid sleep WORD & sleep 0.05; kill -STOP $$", ""),
    (
        "holds the pipe",
        "(trap '' TERM; setsid sleep WORD) & exit 0",
        "leftover = 'kill'\nkill-after = '50ms'",
    ),
    (
        "leaves things behind",
        "setsid sleep WORD & setsid sh -c 'trap \"\" TERM; sleep WORD; :' & exit 3",
        "leftover = 'kill'\nkill-after = '50ms'",
    ),
    ("floods", "trap '' TERM; yes WORD & yes WORD >&2 & sleep WORD", ""),
    ("hops", "hop() { (sleep 0.005; hop) & }; trap '' TERM; setsid sh -c 'sleep WORD' & hop; sleep WORD", ""),
    ("closes everything", "exec <&- >&- 2>&-; trap '' TERM; setsid sleep WORD & sleep WORD", ""),
];

/// Makes processes until it may not make more.
const BOMB: (&str, &str, &str) = (
    "is a fork bomb",
    "bomb() { bomb & bomb & sleep 0.05; }; setsid sleep WORD & bomb; bomb; sleep WORD",
    "limits = { pids = 64 }",
);

#[test]
fn five_hundred_hostile_commands_are_gone_in_time() {
    const TEST: &str = "five_hundred_hostile_commands_are_gone_in_time";
    if !common::require_root(TEST) {
        return;
    }
    let program = Some(env!("CARGO_BIN_EXE_facron").into());
    let mut supervised = Supervised::with(Options { program, ..Options::default() });
    let works = supervised.supervisor.can_contain(&rule(&["/bin/true"], "contain = 'cgroup'").setting);
    if !common::require(TEST, &format!("control groups: {works:?}"), works.is_ok()) {
        return;
    }
    let bomb_works = supervised.supervisor.can_contain(&rule(&["/bin/true"], BOMB.2).setting).is_ok();
    common::require(TEST, "the pids controller, for fork bombs", bomb_works);
    let commands: Vec<_> = COMMANDS.iter().chain(bomb_works.then_some(&BOMB)).collect();

    let mut started = 0;
    let mut in_flight: BTreeMap<RunId, (usize, Stage)> = BTreeMap::new();
    let (mut late, mut ended) = (Vec::new(), 0);
    let patience = clock::monotonic() + 3 * PATIENCE;
    while ended < RUNS {
        assert!(clock::monotonic() < patience, "{ended} of {RUNS} have ended");
        while started < RUNS && in_flight.len() < CONCURRENCY {
            let (_, text, keys) = commands[started % commands.len()];
            let command =
                script(&text.replace("WORD", &word(started)), &format!("contain = 'cgroup'\n{keys}"));
            let run = supervised.start(command).expect("it starts");
            in_flight.insert(run, (started, Stage::Running(clock::monotonic())));
            started += 1;
        }
        supervised.work_until(clock::monotonic() + Duration::from_millis(5));
        for (run, (_, stage)) in &mut in_flight {
            stage.go_on(&mut supervised, *run);
        }
        for notice in std::mem::take(&mut supervised.notices) {
            if let SupervisorNotice::Exited { run, .. } = notice {
                let (number, stage) = in_flight.remove(&run).expect("it was in flight");
                let what = commands[number % commands.len()].0;
                assert_eq!(processes_of(number), Vec::<i32>::new(), "one that {what} left something");
                late.extend(stage.since_kill().filter(|took| *took > PROMISED).map(|took| (what, took)));
                ended += 1;
            }
        }
    }
    assert!(late.len() <= LATE_MAX, "{} of {RUNS} were late: {late:?}", late.len());
    assert!(late.iter().all(|(_, took)| *took < FOR_ALL), "{late:?}");
}

/// How far a run is from its end.
enum Stage {
    Running(Moment),
    Asked(Moment),
    Killed(Moment),
}

impl Stage {
    fn go_on(&mut self, supervised: &mut Supervised, run: RunId) {
        let now = clock::monotonic();
        match *self {
            Stage::Running(since) if now.since(since) >= TIMEOUT => {
                supervised.signal(run, StopSignal::Ask(libc::SIGTERM));
                *self = Stage::Asked(now);
            }
            Stage::Asked(since) if now.since(since) >= KILL_AFTER => {
                supervised.signal(run, StopSignal::Kill);
                *self = Stage::Killed(now);
            }
            Stage::Running(_) | Stage::Asked(_) | Stage::Killed(_) => {}
        }
    }

    fn since_kill(&self) -> Option<Duration> {
        match self {
            Stage::Killed(since) => Some(clock::monotonic().since(*since)),
            Stage::Running(_) | Stage::Asked(_) => None,
        }
    }
}

/// What stands in the command line of every process of a run.
fn word(number: usize) -> String {
    format!("97{number:04}.{}", std::process::id())
}

fn processes_of(number: usize) -> Vec<i32> {
    let word = word(number);
    let has_it = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes()) && !process::is_zombie(*pid)
    };
    process::all().filter(has_it).collect()
}
