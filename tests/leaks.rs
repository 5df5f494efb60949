//! Nothing is left of runs: no zombie, descriptor, thread, control group or memory. One test alone, since it counts
//! what belongs to the whole process.
//!
//! 2 000 runs; `FACRON_LEAK_RUNS=100000 cargo test --release --test leaks` for the gate before a release.

#[path = "common/supervised.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod supervised;

use std::fs;
use std::time::Duration;

use facron::rule::Rule;
use facron::supervisor::{Options, SupervisorNotice};
use facron::sys::cgroup::{ControlGroup, Location, Version};
use facron::sys::clock;
use supervised::*;

const RUNS: u64 = 2_000;

/// Runs in flight at once.
const CONCURRENCY: usize = 8;

/// Memory that may be gained for each run, bytes.
const SLOPE_MAX: u64 = 8;

/// Memory that the allocator may take its time with, bytes.
const SLACK: u64 = 1 << 20;

/// What a process has.
#[derive(Debug, PartialEq, Eq)]
struct Possessions {
    descriptors: Vec<String>,
    threads: usize,
}

/// Control groups that may be kept for the next runs.
const GROUPS_MAX: usize = CONCURRENCY;

fn possessions() -> Possessions {
    let list = |directory: &str| fs::read_dir(directory).expect("/proc is there").flatten();
    let own = std::process::id();
    let mut descriptors: Vec<String> = list("/proc/self/fd")
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .map(|target| target.display().to_string())
        // That of this very look, and those of control groups, which are counted by themselves.
        .filter(|target| *target != format!("/proc/{own}/fd") && !target.contains(&format!("/facron/{own}-")))
        .collect();
    descriptors.sort();
    Possessions { descriptors, threads: list("/proc/self/task").count() }
}

/// How many control groups of runs there are.
fn groups() -> usize {
    let family = Location::own(Version::Two)
        .and_then(|own| Ok(ControlGroup::open(&own.directory.join("facron"))?))
        .ok();
    let lives =
        family.iter().flat_map(|family| family.children().into_iter().map(move |life| (family, life)));
    let ours =
        lives.filter(|(_, life)| life.to_string_lossy().starts_with(&format!("{}-", std::process::id())));
    ours.filter_map(|(family, life)| family.child(&life).ok()).map(|life| life.children().len()).sum()
}

/// Memory of our own, without what is mapped from files, bytes.
fn memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is there");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux 4.5");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the environment is the test's own border")]
fn nothing_is_left_of_many_runs() {
    use nix::sys::wait::WaitPidFlag;
    let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let count = std::env::var("FACRON_LEAK_RUNS").map_or(RUNS, |count| count.parse().expect("a number"));
    let program = Some(env!("CARGO_BIN_EXE_facron").into());
    let options = Options { program, reaps_strangers: true, ..Options::default() };
    let mut supervised = Supervised::with(options);
    let mut rules: Vec<Rule> = vec![
        rule(&["/bin/true"], ""),
        rule(&["/bin/echo", "hello"], ""),
        rule(&["/bin/false"], "output = 'discard'\ncontain = 'group'"),
        rule(&["/bin/cat"], "stdin = 'json'"),
        rule(&["/does/not/exist"], ""),
        rule(&["/bin/true"], "cwd = '/does/not/exist'"),
        script("kill -9 $$", "leftover = 'kill'"),
    ];
    let namespaced = rule(&["/bin/true"], "contain = 'pid-namespace'");
    if supervised.supervisor.can_contain(&namespaced.setting).is_ok() {
        rules.push(namespaced);
    }
    // Those that another thread starts.
    if nix::unistd::geteuid().is_root() {
        rules.push(rule(&["/bin/true"], "user = 'nobody'"));
        rules.push(rule(&["/does/not/exist"], "user = 'nobody'"));
    }
    // One that makes us the parent of a process that we know nothing of: clone(2) with CLONE_PARENT.
    if cfg!(target_arch = "x86_64") && std::path::Path::new("/usr/bin/perl").exists() {
        rules.push(rule(&["/usr/bin/perl", "-e", "syscall(56, 0x8000 | 17, 0, 0, 0, 0); exit 0"], ""));
    }
    // What is allocated once is no leak.
    for rule in &rules {
        run_many(&mut supervised, std::slice::from_ref(rule), 20);
    }
    let before = possessions();
    run_many(&mut supervised, &rules, count / 5);
    let memory_before = memory();
    run_many(&mut supervised, &rules, count - count / 5);
    let gained = memory().saturating_sub(memory_before);
    assert_eq!(possessions(), before);
    assert!(groups() <= GROUPS_MAX, "{} control groups are left", groups());
    let allowed = SLOPE_MAX * count + SLACK;
    assert!(gained <= allowed, "{gained} bytes were gained by {count} runs, and {allowed} are allowed");
    // Nobody is left to wait for, at the latest when the last strangers have ended.
    let end = clock::monotonic() + PATIENCE;
    while nix::sys::wait::waitid(nix::sys::wait::Id::All, peek).is_ok() && clock::monotonic() < end {
        supervised.work_until(clock::monotonic() + Duration::from_millis(10));
    }
    let left = nix::sys::wait::waitpid(None::<nix::unistd::Pid>, Some(WaitPidFlag::WNOHANG));
    assert_eq!(left, Err(nix::errno::Errno::ECHILD));
    assert_eq!(supervised.supervisor.next_deadline(), None);
}

fn run_many(supervised: &mut Supervised, rules: &[Rule], count: u64) {
    let (mut started, mut ended) = (0, 0);
    let mut rules = rules.iter().cycle();
    while ended < count {
        while started < count && supervised.supervisor.running().len() < CONCURRENCY {
            let is_refused = supervised.start(rules.next().expect("a cycle").clone()).is_err();
            (started, ended) = (started + 1, ended + u64::from(is_refused));
        }
        supervised.work_until(clock::monotonic() + Duration::from_secs(10));
        let exits = supervised.notices.drain(..);
        let is_end = |notice: &SupervisorNotice| {
            matches!(notice, SupervisorNotice::Exited { .. } | SupervisorNotice::NotStarted { .. })
        };
        ended += exits.filter(is_end).count() as u64;
    }
    // The throttle of output is to say what it withheld, and then forgets the rule.
    supervised.supervisor.ready(clock::monotonic() + Duration::from_secs(120), &mut supervised.notices);
    supervised.notices.clear();
}
