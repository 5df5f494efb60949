//! A daemon that is started again and again over the same state.

use std::fs;
use std::time::{Duration, Instant};

use crate::harness::{Daemon, Place, wait_until};

/// The lives of one daemon.
pub struct Lives<'p> {
    place: &'p Place,
    pub daemon: Daemon,
}

impl<'p> Lives<'p> {
    pub fn begin(place: &'p Place, rules: &str) -> Lives<'p> {
        Lives { place, daemon: Daemon::start(place, rules) }
    }

    /// SIGKILL: no last words.
    pub fn kill(&mut self) {
        self.daemon.child.kill().expect("it is our child");
        self.daemon.child.wait().expect("it is our child");
    }

    /// Starts it again with the same rules, and waits until it says `ready`.
    pub fn begin_again(&mut self) {
        let before = self.ready_count();
        self.daemon = Daemon::launch_with(self.place, &[]);
        wait_until(|| self.ready_count() > before, || format!("not ready:\n{}", self.daemon.log()));
    }

    pub fn kill_and_begin_again(&mut self) {
        self.kill();
        self.begin_again();
    }

    fn ready_count(&self) -> usize {
        self.daemon.log().matches("ready rules=").count()
    }
}

/// Descriptors that a process has open.
pub fn descriptors(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// A figure in /proc/PID/status, kibibytes.
pub fn memory(pid: i32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it is alive");
    let line = status.lines().find(|line| line.starts_with(name)).expect("the kernel says it");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

/// Numbers that look random, the same every time.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// From 0 up to, but not including, this.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Does something again and again for a while.
pub fn keep_doing(span: Duration, mut it: impl FnMut()) {
    let end = Instant::now() + span;
    while Instant::now() < end {
        it();
        std::thread::sleep(Duration::from_millis(2));
    }
}
