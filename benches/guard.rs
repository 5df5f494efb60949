//! What an opener and the guard pay under `verdict = "allow"`, beside the least that anybody can do (`guard_floor.c`).
//!
//! `cargo bench --bench guard`, as root, with cc(1). Prints microseconds of processor time an open, of who answers,
//! and of wall time, of who opens; at full speed and at 10 000 opens a second. Fails when the guard costs more than
//! three times the floor.
#![expect(clippy::disallowed_methods, reason = "what is measured are processes")]
#![expect(clippy::print_stdout, reason = "a benchmark is read")]

#[path = "../tests/common/guarded.rs"]
#[expect(dead_code, reason = "what tests need beside this")]
mod guarded;
#[path = "../tests/common/daemon.rs"]
#[expect(dead_code, reason = "what tests need beside this")]
mod harness;
#[path = "../tests/common/warden.rs"]
mod warden_role;

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use guarded::{Ground, Warden};

/// Opens of one measurement.
const OPENS: u32 = 100_000;

/// Measurements of each kind; the best counts, since others use the machine too.
const TIMES: usize = 5;

/// How much dearer the guard may be than the floor.
const FACTOR_MAX: f64 = 3.0;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[1..] {
        ["--exact", "warden", ..] => return warden_role::play(),
        ["open", file, pause] => return open(Path::new(file), pause.parse().expect("nanoseconds")),
        _ => {}
    }
    if !harness::is_root() {
        println!("SKIPPED: permission events need root");
        return;
    }
    let ground = Ground::new();
    let file = ground.file("file");
    let floor = ground.place.path("floor");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/guard_floor.c");
    let built = Command::new("cc").args(["-O2", "-o"]).arg(&floor).arg(source).status();
    assert!(built.is_ok_and(|status| status.success()), "the floor is built by cc(1)");

    let mut worst: f64 = 0.0;
    for (speed, pause) in [("full speed", 0), ("10 000/s", 100_000)] {
        let nobody = best(|| (opens(&file, pause), 0.0));
        let by_floor = best(|| {
            let mut child = Floor::start(&floor, &ground.place.input());
            measure(&file, pause, child.0.id(), || child.stop())
        });
        let by_guard = best(|| {
            let warden = Warden::start(&ground, &ground.rule("verdict = \"allow\""), None);
            let guard = warden.guard().cast_unsigned();
            measure(&file, pause, guard, || drop(warden))
        });
        let factor = by_guard.1 / by_floor.1;
        worst = worst.max(factor);
        println!("{speed:>10}: nobody answers   open {:6.2} us", nobody.0);
        println!("{speed:>10}: floor            open {:6.2} us   answer {:6.2} us", by_floor.0, by_floor.1);
        println!(
            "{speed:>10}: guard            open {:6.2} us   answer {:6.2} us   {factor:.2} x",
            by_guard.0, by_guard.1
        );
    }
    assert!(worst <= FACTOR_MAX, "the guard costs {worst:.2} times the floor");
}

/// The role of who opens: prints its nanoseconds.
fn open(file: &Path, pause: u64) {
    let started = Instant::now();
    let mut due = started;
    for _ in 0..OPENS {
        drop(fs::File::open(file).expect("everybody is let through"));
        due += Duration::from_nanos(pause);
        if pause > 0 {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
    println!("{}", started.elapsed().as_nanos());
}

/// Microseconds an open, by somebody who is no child of the daemon.
fn opens(file: &Path, pause: u64) -> f64 {
    let own = std::env::current_exe().expect("a program knows itself");
    let output = Command::new(own).arg("open").arg(file).arg(pause.to_string()).output().expect("it starts");
    let nanoseconds: f64 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number");
    nanoseconds / 1000.0 / f64::from(OPENS)
}

/// Wall time of who opens and processor time of who answers, in microseconds an open.
fn measure(file: &Path, pause: u64, answerer: u32, stop: impl FnOnce()) -> (f64, f64) {
    let before = cpu(answerer);
    let wall = opens(file, pause);
    let answer = (cpu(answerer) - before) / 1000.0 / f64::from(OPENS);
    stop();
    (wall, answer)
}

/// Nanoseconds on a processor: proc_pid_schedstat(5).
fn cpu(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("it lives");
    stat.split(' ').next().and_then(|field| field.parse().ok()).expect("a number")
}

fn best(mut measure: impl FnMut() -> (f64, f64)) -> (f64, f64) {
    let all: Vec<(f64, f64)> = (0..TIMES).map(|_| measure()).collect();
    let least = |field: fn(&(f64, f64)) -> f64| all.iter().map(field).fold(f64::INFINITY, f64::min);
    (least(|one| one.0), least(|one| one.1))
}

struct Floor(Child);

impl Floor {
    fn start(program: &Path, directory: &Path) -> Floor {
        let mut command = Command::new(program);
        command.arg(directory).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the floor starts");
        let mut ready = [0; 6];
        child.stdout.as_mut().expect("a pipe").read_exact(&mut ready).expect("it says ready");
        Floor(child)
    }

    fn stop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.stop();
    }
}
