//! What a command finds when it starts, compared with a golden list, however the daemon itself was started.
//! One test alone, since it changes what belongs to the whole process.

#[path = "common/supervised.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod supervised;

use std::fs;
use std::os::fd::AsRawFd as _;

use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::sys::stat::{Mode, umask};
use supervised::*;

/// Everything that passes from a process to its children by itself, set to what a command must not find.
#[expect(unsafe_code, reason = "signal(2) is unsafe for the sake of handlers")]
fn spoil_this_process() {
    let mut mask = SigSet::empty();
    for number in [Signal::SIGTERM, Signal::SIGCHLD, Signal::SIGINT, Signal::SIGUSR2] {
        mask.add(number);
    }
    mask.thread_block().expect("blocked");
    for number in [Signal::SIGPIPE, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGCHLD] {
        // SAFETY: No handler is installed.
        unsafe { signal(number, SigHandler::SigIgn) }.expect("ignored");
    }
    umask(Mode::from_bits_truncate(0o077));
    std::env::set_current_dir("/proc").expect("there");
    // Descriptors that are not closed by execve(2), low and high.
    for number in [50, 900] {
        let null = fs::File::open("/dev/null").expect("there");
        // SAFETY: dup2(2) to a number that is free, or that nobody here relies on.
        assert_eq!(unsafe { libc::dup2(null.as_raw_fd(), number) }, number);
    }
    // Where we may (CAP_SYS_RESOURCE).
    let _ = fs::write("/proc/self/oom_score_adj", "-500");
}

/// What a command says of itself, a fact a line.
const QUESTIONS: &str = r#"
    echo descriptors:; sh -c 'ls /proc/$PPID/fd'
    for number in 0 1 2; do
        case $(readlink /proc/$$/fd/$number) in
            /dev/null) echo "$number: null";; pipe:*) echo "$number: pipe";; *) echo "$number: another";;
        esac
    done
    cat /proc/self/status | grep -E '^(Sig(Blk|Ign|Cgt)|ShdPnd|NoNewPrivs|Seccomp):' | tr '\t' ' '
    cat /proc/$$/oom_score_adj | sed 's/^/oom_score_adj: /'
    echo "umask: $(umask)"; echo "cwd: $(pwd)"; echo "nice: $(nice)"
    set -- $(sed 's/.*) //' /proc/$$/stat)
    test $3 = $$ && echo "leads its process group"
    test $4 = $$ && echo "leads its session"
    echo "terminal: $5"
    env | sort | sed 's/^/env: /' | grep -v ' PWD=\| _='
"#;

const GOLDEN: &str = "\
descriptors:
0
1
2
0: null
1: pipe
2: pipe
ShdPnd: 0000000000000000
SigBlk: 0000000000000000
SigIgn: 0000000000000000
SigCgt: 0000000000000000
NoNewPrivs: NNP
Seccomp: 0
oom_score_adj: OOM
umask: 0022
cwd: /
nice: 0
leads its process group
leads its session
terminal: 0
env: FACRON_ATTEMPT=1
env: FACRON_COUNT=1
env: FACRON_EVENTS=arrived
env: FACRON_PATH=/srv/file
env: FACRON_PID=0
env: FACRON_RULE=test
env: FACRON_RUN=RUN
env: HOME=HOME_
env: LANG=C.UTF-8
env: LOGNAME=NAME
env: PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
env: SHELL=SHELL_
env: USER=NAME
";

#[test]
fn a_command_starts_clean_whatever_the_daemon_was_born_with() {
    spoil_this_process();
    let is_root = nix::unistd::geteuid().is_root();
    let name = nix::unistd::User::from_uid(nix::unistd::geteuid()).expect("asked").expect("we are somebody");
    let mut supervised = Supervised::new();
    // What protects the daemon from the OOM killer is taken back; what offers it, it cannot take back.
    let own_oom: i32 =
        fs::read_to_string("/proc/self/oom_score_adj").expect("there").trim().parse().expect("a number");
    let own_limits = fs::read_to_string("/proc/self/limits").expect("there");
    let golden = |run: &str, person: &nix::unistd::User, no_new_privs: &str| {
        let shell = person.shell.display().to_string();
        let pairs = [
            ("RUN", run),
            ("NNP", no_new_privs),
            ("OOM", &own_oom.max(0).to_string()),
            ("HOME_", &person.dir.display().to_string()),
            ("SHELL_", if shell.is_empty() { "/bin/sh" } else { &shell }),
            ("=NAME", &format!("={}", person.name)),
        ];
        pairs.iter().fold(GOLDEN.to_owned(), |text, (word, value)| match *word {
            // Not that in FACRON_RUN=.
            "RUN" => text.replace("=RUN", &format!("={value}")),
            word => text.replace(word, value),
        })
    };
    assert_eq!(supervised.run(script(QUESTIONS, "")).out, golden("1", &name, "0"));
    let limits = supervised.run(rule(&["/bin/cat", "/proc/self/limits"], ""));
    assert_eq!(limits.out, own_limits);
    if is_root {
        let nobody = nix::unistd::User::from_name("nobody").expect("asked").expect("everybody has nobody");
        assert_eq!(supervised.run(script(QUESTIONS, "user = 'nobody'")).out, golden("3", &nobody, "1"));
    }
}
