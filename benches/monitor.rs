//! What watching costs: arming trees and rules, events that concern somebody or nobody, finding what changed.
//!
//! `cargo bench --bench monitor [NAME…]` as root, on a machine with nothing else to do; prints one line a figure.
//! Everything happens on a tmpfs of its own below /dev/shm.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a bench reads clocks")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use facron::config;
use facron::diagnostic::{Severity, SourceText};
use facron::event::Origin;
use facron::monitor::{Monitor, Notice, Now, Options, Unattributed};
use facron::plan;
use facron::rule::RuleId;
use facron::sys::fanotify::{Group, Subject};
use facron::sys::listing::{Buffer, Listing};
use facron::sys::place::Kind;
use facron::sys::{clock, handle, place};
use nix::libc;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::time::{ClockId, clock_gettime};

/// Measures something on a file system of its own, and prints its figures.
type Measure = fn(&Path);

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let benches: [(&str, Measure); 5] =
        [("trees", trees), ("rules", rules), ("matching", matching), ("noise", noise), ("rescan", rescan)];
    for (name, bench) in benches {
        if asked.is_empty() || asked.iter().any(|word| word == name) {
            let directory = tempfile::tempdir_in("/dev/shm").expect("a directory");
            mount(Some("bench"), directory.path(), Some("tmpfs"), MsFlags::empty(), None::<&str>)
                .expect("root");
            bench(directory.path());
            umount2(directory.path(), MntFlags::MNT_DETACH).expect("it was mounted");
        }
    }
}

/// 50 000 directories with as many above them: what it takes to arm a tree of them, whole and in CPU time of the
/// thread that does it, against a bare walk through it, and against the least that has to be done for each directory.
fn trees(ground: &Path) {
    for number in 0..50_000 {
        let path = ground.join(format!("tree/{}/{}/{number}", number % 50, number % 997));
        fs::create_dir_all(path).expect("a directory");
    }
    let tree = ground.join("tree");
    let mut best: BTreeMap<&str, (Duration, Duration)> = BTreeMap::new();
    let mut note = |name, (whole, cpu): (Duration, Duration)| {
        let least = best.entry(name).or_insert((Duration::MAX, Duration::MAX));
        *least = (least.0.min(whole), least.1.min(cpu));
    };
    // Rounds, so that what else goes on meanwhile does not change the comparison.
    for _ in 0..5 {
        note("walk", both_times(|| walk(&tree, |_| {})));
        let group = Group::new().expect("fanotify");
        let mask = plan::STRUCTURE | libc::FAN_CLOSE_WRITE | libc::FAN_EVENT_ON_CHILD;
        let mark = |directory: BorrowedFd<'_>| {
            handle::of_opened(directory).expect("a handle");
            group.add(Subject::Directory, mask, directory, None).expect("a mark");
        };
        note("floor", both_times(|| walk(&tree, mark)));
        drop(group);
        for mark in ["directories", "filesystem", "auto"] {
            let text = rule("r", &tree, &format!("scope = 'tree'\nmark = '{mark}'"));
            let mut bench = Bench::new();
            let whole = time(|| bench.settle(&text));
            note(mark, (whole, surveyor_time()));
        }
    }
    for (name, (whole, cpu)) in best {
        println!("tree_{name}_ms {} cpu {}", whole.as_millis(), cpu.as_millis());
    }
}

/// Walks through a tree as a good program in C does: by descriptors, each directory opened, read to its end and
/// closed; `visit` sees each before it is read.
fn walk(tree: &Path, visit: impl Fn(BorrowedFd<'_>)) {
    let base = fs::File::open(tree).expect("a directory");
    let mut buffer = Buffer::default();
    let mut stack = vec![PathBuf::from(".")];
    while let Some(below) = stack.pop() {
        let directory = place::open_directory(base.as_fd(), &below).expect("a directory");
        visit(directory.as_fd());
        let mut listing = Listing::of(directory.as_fd(), &mut buffer);
        while let Some(entry) = listing.next_entry() {
            let entry = entry.expect("an entry");
            if entry.kind == Some(Kind::Directory) {
                stack.push(below.join(entry.name));
            }
        }
    }
}

/// 10 000 rules, each on a directory of its own.
fn rules(ground: &Path) {
    let text = many_rules(ground, 10_000);
    let before = resident();
    let mut bench = Bench::new();
    println!("rules_armed_ms {}", time(|| bench.settle(&text)).as_millis());
    println!("rules_resident_kib {}", resident() - before);
}

/// Events that one rule asks for, among 10 and among 10 000.
fn matching(ground: &Path) {
    for count in [10, 10_000] {
        let mut bench = Bench::new();
        bench.settle(&many_rules(ground, count));
        let span = bench.events(|round| {
            for number in 0..10_000 {
                fs::write(ground.join(format!("{}/f{number}-{round}", number % 10)), "").expect("a file");
            }
        });
        println!("matching_us_per_event_{count}_rules {span:.2}");
    }
}

/// Events on a file system that is marked as a whole, in directories that no rule is about.
fn noise(ground: &Path) {
    fs::create_dir(ground.join("tree")).expect("a directory");
    for directory in 0..100 {
        fs::create_dir_all(ground.join(format!("other/{directory}"))).expect("a directory");
    }
    for count in [10, 10_000] {
        // Together with this one: more than 10 000 rules are refused.
        let mut text = many_rules(&ground.join("rules"), count - 1);
        text += &rule("tree", &ground.join("tree"), "scope = 'tree'\nmark = 'filesystem'");
        let mut bench = Bench::new();
        bench.settle(&text);
        let span = bench.events(|round| {
            for number in 0..10_000 {
                let path = ground.join(format!("other/{}/f{number}-{round}", number % 100));
                fs::write(path, "").expect("a file");
            }
        });
        println!("noise_us_per_event_{count}_rules {span:.2}");
    }
}

/// What changed among 1 000 000 files.
fn rescan(ground: &Path) {
    for directory in 0..1000 {
        let path = ground.join(format!("tree/{}/{directory}", directory % 10));
        fs::create_dir_all(&path).expect("a directory");
        (0..1000).for_each(|file| fs::write(path.join(file.to_string()), "").expect("a file"));
    }
    // Change times cannot be set.
    std::thread::sleep(Duration::from_secs(3));
    let since = SystemTime::now();
    (0..1000).for_each(|file| fs::write(ground.join(format!("tree/3/3/{file}")), "x").expect("a file"));
    for mark in ["directories", "filesystem"] {
        let mut bench = Bench::new();
        bench.settle(&rule("r", &ground.join("tree"), &format!("scope = 'tree'\nmark = '{mark}'")));
        let mut longest = Duration::ZERO;
        let span = time(|| {
            bench.monitor.rescan(RuleId(0), Some(since), Origin::Rescan);
            longest = bench.until(|notice| matches!(notice, Notice::RescanDone { .. }));
        });
        let found = bench.notices.iter().filter(|notice| matches!(notice, Notice::Event { .. })).count();
        println!("rescan_{mark}_ms {} found {found}", span.as_millis());
        println!("rescan_{mark}_longest_turn_ms {:.1}", longest.as_secs_f64() * 1e3);
    }
}

fn many_rules(ground: &Path, count: usize) -> String {
    let mut text = String::new();
    for number in 0..count {
        let path = ground.join(number.to_string());
        fs::create_dir_all(&path).expect("a directory");
        write!(text, "{}", rule(&format!("r{number}"), &path, "")).expect("a string takes all");
    }
    text
}

fn rule(name: &str, path: &Path, keys: &str) -> String {
    format!("[[rule]]\nname = '{name}'\npath = '{}'\ncommand = ['/bin/true']\n{keys}\n", path.display())
}

fn time(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}

/// How long something takes, and how much of that this thread works.
fn both_times(work: impl FnOnce()) -> (Duration, Duration) {
    let before = cpu_time();
    let whole = time(work);
    (whole, cpu_time() - before)
}

/// How long the surveyor has worked so far.
fn surveyor_time() -> Duration {
    let tasks = fs::read_dir("/proc/self/task").expect("proc").flatten().map(|task| task.path());
    let is_it = |task: &PathBuf| fs::read(task.join("comm")).is_ok_and(|name| name == b"surveyor\n");
    let of_task = |task: PathBuf| -> u64 {
        let text = fs::read_to_string(task.join("schedstat")).expect("proc");
        text.split(' ').next().and_then(|word| word.parse().ok()).expect("nanoseconds")
    };
    Duration::from_nanos(tasks.filter(is_it).map(of_task).sum())
}

/// KiB of this process in memory.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// A monitor, driven as the daemon drives it.
struct Bench {
    monitor: Monitor,
    notices: Vec<Notice>,
}

impl Bench {
    fn new() -> Bench {
        let monitor = Monitor::new(Options { ignores_itself: false }).expect("fanotify");
        Bench { monitor, notices: Vec::new() }
    }

    fn settle(&mut self, text: &str) {
        // A rule file has at most 1 MiB.
        let mut files = vec![String::new()];
        for rule in text.split_inclusive("[[rule]]\n") {
            if files.last().is_some_and(|file| file.len() > 500_000 && file.ends_with("[[rule]]\n")) {
                let header = files.last_mut().map(|file| file.split_off(file.len() - "[[rule]]\n".len()));
                files.extend(header);
            }
            files.last_mut().expect("there is one").push_str(rule);
        }
        let files: Vec<SourceText> =
            files.into_iter().map(|text| SourceText { name: "bench".into(), text: text.into() }).collect();
        let parsed = config::parse(&files);
        assert!(
            parsed.findings.iter().all(|finding| finding.severity != Severity::Error),
            "the rules are right"
        );
        self.monitor.set_rules(&Arc::new(parsed.rules));
        self.until(|notice| matches!(notice, Notice::Settled));
    }

    /// Goes on until that is told; gives the longest turn.
    fn until(&mut self, is_it: impl Fn(&Notice) -> bool) -> Duration {
        let mut longest = Duration::ZERO;
        loop {
            let before = self.notices.len();
            let rest = self.monitor.next_deadline(&|_| usize::MAX).map(|due| due.since(clock::monotonic()));
            let rest = rest
                .map_or(PollTimeout::NONE, |rest| PollTimeout::try_from(rest).unwrap_or(PollTimeout::MAX));
            poll(&mut [PollFd::new(self.monitor.as_fd(), PollFlags::POLLIN)], rest).expect("poll");
            longest = longest.max(time(|| self.turn()));
            if self.notices[before..].iter().any(&is_it) {
                return longest;
            }
        }
    }

    fn is_ready(&self) -> bool {
        let mut fds = [PollFd::new(self.monitor.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).expect("poll") > 0
    }

    fn turn(&mut self) {
        let now = Now { moment: clock::monotonic(), wall: clock::wall() };
        self.monitor
            .turn(now, &mut Unattributed, &|_| usize::MAX, &mut self.notices)
            .expect("the kernel's own words");
    }

    /// The CPU time of this thread, in µs, for each of 10 000 files that `write` makes while nobody reads: 5 rounds,
    /// the best.
    fn events(&mut self, write: impl Fn(u32)) -> f64 {
        let mut best = f64::MAX;
        for round in 0..5 {
            write(round);
            let begin = cpu_time();
            while self.is_ready() {
                self.turn();
            }
            best = best.min((cpu_time() - begin).as_secs_f64() * 1e6 / 10_000.0);
            self.notices.clear();
        }
        best
    }
}

/// Of this thread.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every Linux has it").into()
}
