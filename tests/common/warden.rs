//! The daemon that the tests of the guard play: it asks a program for each verdict, and knows nothing else.

use std::ffi::CString;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;
use std::time::Duration;

use facron::config;
use facron::diagnostic::SourceText;
use facron::guard::{Guard, GuardNotice, QuestionId, Surroundings, Verdict};
use facron::rule::Rule;
use facron::sys::clock;
use facron::sys::pipes;
use facron::sys::poller::{Interest, Poller};
use facron::sys::process::{self, Child, Ended, Place, Recipe, Spawner};

const GUARD: u64 = 0;
const INPUT: u64 = 1;
const FIRST_DECISION: u64 = 2;

const READING: Interest = Interest { is_reading: true, is_writing: false };

struct Warden {
    guard: Guard,
    poller: Poller,
    spawner: Spawner,
    decide: Option<CString>,
    decisions: Vec<(u64, QuestionId, Child)>,
    next_token: u64,
    guard_pid: Option<i32>,
}

/// Guards the rules of $FACRON_TEST_RULES until standard input ends, by facron or by the program of
/// $FACRON_TEST_GUARD.
#[expect(clippy::disallowed_methods, reason = "the environment is the test's own border")]
pub fn play() {
    let Some(rules) = std::env::var_os("FACRON_TEST_RULES") else { return };
    let decide = std::env::var_os("FACRON_TEST_DECIDE");
    let decide = decide.map(|decide| CString::new(decide.as_bytes()).expect("no NUL"));
    nix::sys::prctl::set_child_subreaper(true).expect("everybody may adopt");
    let program = std::env::var_os("FACRON_TEST_GUARD").unwrap_or(env!("CARGO_BIN_EXE_facron").into());
    let program = CString::new(program.as_bytes()).expect("no NUL");
    let mut warden = Warden {
        guard: Guard::new(program).expect("descriptors"),
        poller: Poller::new().expect("a descriptor"),
        spawner: Spawner::new().expect("memory"),
        decide,
        decisions: Vec::new(),
        next_token: FIRST_DECISION,
        guard_pid: None,
    };
    // The harness has begun a line.
    say("");
    let mut notices = Vec::new();
    warden.poller.add(warden.guard.as_fd(), GUARD, READING).expect("it can be polled");
    warden.poller.add(std::io::stdin().as_fd(), INPUT, READING).expect("it can be polled");
    let rules = read_rules(&rules);
    warden.guard.set_rules(&rules, Surroundings::default(), clock::monotonic(), &mut notices);
    warden.carry_out(&mut notices);
    loop {
        let now = clock::monotonic();
        let span = warden.guard.next_deadline().map_or(Duration::from_secs(600), |next| next.since(now));
        let ready = warden.poller.wait_for(span).expect("it can be waited");
        let now = clock::monotonic();
        for source in ready {
            match source.token {
                GUARD => warden.guard.ready(now, &mut notices),
                INPUT => {
                    let mut bytes = [0; 4096];
                    let len = nix::unistd::read(std::io::stdin(), &mut bytes).expect("it can be read");
                    if len == 0 {
                        return;
                    }
                    let lines = std::str::from_utf8(&bytes[..len]).expect("orders are UTF-8");
                    lines.lines().for_each(|line| warden.obey(line, &mut notices));
                }
                token => warden.decided(token),
            }
        }
        warden.guard.tick(now, &mut notices);
        warden.carry_out(&mut notices);
        process::reap_strangers();
    }
}

fn read_rules(path: &std::ffi::OsStr) -> Vec<Arc<Rule>> {
    let text = std::fs::read_to_string(path).expect("the rule file can be read");
    let parsed = config::parse(&[SourceText { name: "rules.toml".into(), text: text.into() }]);
    parsed.rules.rules
}

impl Warden {
    fn carry_out(&mut self, notices: &mut Vec<GuardNotice>) {
        for notice in notices.drain(..) {
            match notice {
                GuardNotice::Event { rule, event, session, question } => {
                    let word = if question.is_some() { "asked" } else { "told" };
                    say(&format!(
                        "{word} {} {} {} {:?} {session:?}",
                        rule.name,
                        event.path.display(),
                        event.mask,
                        event.object.is_some()
                    ));
                    if let Some(question) = question {
                        self.ask(question, &event.path);
                    }
                }
                GuardNotice::Armed { rule } => say(&format!("armed {}", rule.name)),
                GuardNotice::Degraded { rule, reason } => say(&format!("degraded {} {reason}", rule.name)),
                GuardNotice::Lost { rule, count } => say(&format!("lost {} {count}", rule.name)),
                GuardNotice::Overdue { rule } => say(&format!("overdue {}", rule.name)),
                GuardNotice::Warned { message } => say(&format!("warned {message}")),
            }
        }
        let pid = self.guard.pids().next();
        if pid != self.guard_pid {
            self.guard_pid = pid;
            match pid {
                Some(pid) => say(&format!("guard {pid}")),
                None => say("no guard"),
            }
        }
    }

    fn ask(&mut self, question: QuestionId, path: &std::path::Path) {
        let Some(decide) = &self.decide else { return };
        let Ok(null) = pipes::null() else { return say("cannot ask: no descriptor") };
        let path = CString::new(path.as_os_str().as_bytes()).expect("no NUL");
        let arguments = [decide.clone(), path];
        let environment = [c"PATH=/usr/bin:/bin".to_owned()];
        let recipe = Recipe {
            program: decide,
            arguments: &arguments,
            environment: &environment,
            stdio: [null.as_fd(), null.as_fd(), null.as_fd()],
            opens_stdin: false,
            place: Place::Session,
            cgroups: &[],
            nice: None,
            umask: 0o022,
            resets_oom_score: false,
            limits: &[],
            credentials: None,
            cwd: c"/",
            no_new_privs: false,
        };
        match self.spawner.spawn(&recipe) {
            Ok(child) => {
                self.poller.add(child.as_fd(), self.next_token, READING).expect("it can be polled");
                self.decisions.push((self.next_token, question, child));
                self.next_token += 1;
            }
            Err(error) => say(&format!("cannot ask: {error:?}")),
        }
    }

    fn decided(&mut self, token: u64) {
        let Some(index) = self.decisions.iter().position(|(own, ..)| *own == token) else { return };
        let (_, question, child) = self.decisions.swap_remove(index);
        let verdict = if child.reap() == Ended::Code(0) { Verdict::Allow } else { Verdict::Deny };
        self.guard.answer(question, verdict);
    }

    fn obey(&mut self, line: &str, notices: &mut Vec<GuardNotice>) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "rules" => {
                let rules = read_rules(rest.as_ref());
                self.guard.set_rules(&rules, Surroundings::default(), clock::monotonic(), notices);
                say("rules set");
            }
            "status" => {
                for status in self.guard.status() {
                    say(&format!("status {status:?}"));
                }
            }
            other => panic!("no such order: {other}"),
        }
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("the log can be written");
}
