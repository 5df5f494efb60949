//! Starts a second: the supervisor's one path beside a bare posix_spawn(3), from a small process and with 200 MB.
//!
//! `cargo bench --bench starts [PROGRAM]`; the default is /bin/true. The ratio of starts is to stay below 1.5, also
//! with memory in use; a whole run does more: it is held, its output read, its end told.
#![expect(clippy::print_stdout, reason = "the result of a bench")]

#[path = "../tests/common/supervised.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod supervised;

use std::ffi::{CStr, CString};
use std::os::fd::AsFd as _;
use std::time::Duration;

use facron::supervisor::{Options, SupervisorNotice};
use facron::sys::clock;
use facron::sys::process::{Place, Recipe, Spawner};
use supervised::{Supervised, rule};

/// Starts in one measurement; the best of several counts, since others use the machine too.
const STARTS: u32 = 500;
const MEASUREMENTS: usize = 7;

/// Memory of the large process, bytes.
const MEMORY_LEN: usize = 200 << 20;

/// Runs in flight, where they may be.
const CONCURRENCY: usize = 8;

fn main() {
    let program = std::env::args().skip(1).find(|argument| argument.starts_with('/'));
    let program = program.unwrap_or_else(|| "/bin/true".to_owned());
    let path = CString::new(program.as_str()).expect("no NUL in it");
    println!("{program}, microseconds each, best of {MEASUREMENTS} times {STARTS}");
    measure("small process", &program, &path);
    let mut memory = vec![0_u8; MEMORY_LEN];
    memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    measure("200 MB in use", &program, &path);
    std::hint::black_box(&memory);
}

fn measure(what: &str, program: &str, path: &CStr) {
    let floor = best(|| posix_spawn(path));
    let mut spawner = Spawner::new().expect("memory");
    let ours = best(|| spawn(&mut spawner, path));
    println!("{what}: posix_spawn {floor:.0}, ours {ours:.0}, ratio {:.2}", ours / floor);
    for keys in [
        "output = 'discard'\ncontain = 'group'",
        "contain = 'group'",
        "contain = 'cgroup'",
        "contain = 'pid-namespace'",
    ] {
        let facron = Some(env!("CARGO_BIN_EXE_facron").into());
        let mut supervised = Supervised::with(Options { program: facron, ..Options::default() });
        let rule = rule(&[program], keys);
        let keys = keys.replace('\n', ", ");
        if let Err(reason) = supervised.supervisor.can_contain(&rule.setting) {
            println!("  {keys}: {reason}");
            continue;
        }
        let before = clock::monotonic();
        runs(&mut supervised, &rule, STARTS as usize);
        let took = clock::monotonic().since(before);
        println!(
            "  a run, {CONCURRENCY} at once, {keys}: {:.0}",
            took.as_secs_f64() * 1e6 / f64::from(STARTS)
        );
    }
}

/// Microseconds for one.
fn best(mut one: impl FnMut()) -> f64 {
    let measurements = (0..MEASUREMENTS).map(|_| {
        let before = clock::monotonic();
        (0..STARTS).for_each(|_| one());
        clock::monotonic().since(before).as_secs_f64() * 1e6 / f64::from(STARTS)
    });
    measurements.fold(f64::INFINITY, f64::min)
}

#[expect(unsafe_code, reason = "the floor is libc's own call")]
fn posix_spawn(path: &CStr) {
    let arguments = [path.as_ptr().cast_mut(), std::ptr::null_mut()];
    let environment = [std::ptr::null_mut()];
    let (mut pid, nothing) = (0, std::ptr::null());
    let (arguments, environment) = (arguments.as_ptr(), environment.as_ptr());
    // SAFETY: posix_spawn(3) reads strings and lists that end as they must, and writes a process id.
    let result = unsafe {
        libc::posix_spawn(&raw mut pid, path.as_ptr(), nothing, std::ptr::null(), arguments, environment)
    };
    assert_eq!(result, 0);
    nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None).expect("it is our child");
}

fn spawn(spawner: &mut Spawner, path: &CStr) {
    let null = facron::sys::pipes::null().expect("there is one");
    let arguments = [path.to_owned()];
    let child = spawner.spawn(&Recipe {
        program: path,
        arguments: &arguments,
        environment: &[],
        stdio: [null.as_fd(); 3],
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
    });
    child.expect("it starts").reap();
}

fn runs(supervised: &mut Supervised, rule: &facron::rule::Rule, count: usize) {
    let (mut started, mut ended) = (0, 0);
    while ended < count {
        while started < count && supervised.supervisor.running().len() < CONCURRENCY {
            supervised.start(rule.clone()).expect("it starts");
            started += 1;
        }
        supervised.work_until(clock::monotonic() + Duration::from_secs(10));
        let ends = supervised.notices.drain(..);
        ended += ends.filter(|notice| matches!(notice, SupervisorNotice::Exited { .. })).count();
    }
}
