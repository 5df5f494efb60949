//! Permission events from end to end: the real daemon, its guard, real commands.

mod common;
#[path = "common/guarded.rs"]
#[expect(dead_code, reason = "the part of the daemon that other tests play")]
mod guarded;
#[path = "common/daemon.rs"]
#[expect(dead_code, reason = "what the other tests of the daemon need")]
mod harness;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use guarded::{Ground, Opened, Opener, Watchdog, open, rlimit, rounds, without_watchdog};
use harness::{Daemon, facron, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const DECIDE: &str = "#!/bin/sh\ncase $1 in *secret*) exit 1;; esac\n";

/// Decides nothing for as long as its test goes on, and leaves no process behind whatever happens to the daemon.
const UNDECIDED: &str = "#!/bin/sh\nwhile [ -e \"$0\" ]; do sleep 0.1; done\n";

/// What each test begins with.
macro_rules! begin {
    ($name:literal) => {{
        if !common::require_root($name) {
            return;
        }
        (Ground::new(), Watchdog::new($name))
    }};
}

/// What each test begins with whose openers wait for long.
macro_rules! begin_alone {
    ($name:literal) => {{
        if !common::require_root($name) {
            return;
        }
        (Ground::new(), without_watchdog())
    }};
}

/// A rule on the guarded directory whose command decides.
fn deciding(ground: &Ground, script: &str, keys: &str) -> String {
    let program = ground.place.script("decide", script);
    format!(
        "[[rule]]\nname = \"r\"\npath = {:?}\non = \"open-perm\"\ncommand = [{program:?}, \"{{path}}\"]\n\
         verdict = \"command\"\ntimeout = \"5s\"\nconcurrency = 8\n{keys}\n",
        ground.place.input()
    )
}

/// Starts a daemon with a log of its own, and waits until it is ready.
fn start(ground: &Ground, rules: &str) -> Daemon {
    let _ = fs::remove_file(ground.place.path("log"));
    Daemon::start(&ground.place, rules)
}

/// The guard of a daemon.
fn guard_of(daemon: &Daemon) -> Pid {
    let pid = daemon.pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("it lives");
    let is_guard = |child: &&str| {
        fs::read(format!("/proc/{child}/cmdline")).is_ok_and(|line| line.ends_with(b"\0__guard\0"))
    };
    let guard = children.split_whitespace().find(is_guard).expect("it has a guard");
    Pid::from_raw(guard.parse().expect("a process id"))
}

/// Whether a process has not ended; where nobody reaps, its remains do not count.
fn is_alive(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status"));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}

fn count(daemon: &Daemon, words: &str) -> usize {
    daemon.log().matches(words).count()
}

#[test]
fn the_exit_status_of_a_command_decides() {
    let (ground, watchdog) = begin!("the_exit_status_of_a_command_decides");
    let (public, secret) = (ground.file("public"), ground.file("secret"));
    let daemon = start(&ground, &deciding(&ground, DECIDE, ""));
    assert!(open(&public).is_allowed);
    let denied = open(&secret);
    assert!(denied.error.contains("Operation not permitted"), "{denied:?}");
    // The opener goes on before the log has its line.
    daemon.wait_for_log("outcome=exit:1");
    assert_eq!((count(&daemon, "outcome=exit:0"), count(&daemon, "outcome=exit:1")), (1, 1));
    assert!(daemon.log().contains("armed rule=r by=guard"), "{}", daemon.log());
    watchdog.assert_silent();
}

#[test]
fn a_command_may_read_what_it_judges_however_it_does_that() {
    let (ground, watchdog) = begin!("a_command_may_read_what_it_judges_however_it_does_that");
    for (index, script) in [
        "exec grep -q content \"$1\"",
        "cat \"$1\" | tr a-z A-Z | grep -q CONTENT",
        "setsid -w sh -c 'cat \"$1\" | grep -q content' sh \"$1\"",
        // The kernel gives the file as standard input, and nobody is asked about that.
        "exec grep -q content",
        // Orphans in a session of their own, which the daemon knows though the guard may not.
        "(setsid sh -c 'sleep 0.1; cat \"$1\" > \"$2.new\"; mv \"$2.new\" \"$2\"' sh \"$1\" \"$0.out\" &)
         while [ ! -e \"$0.out\" ]; do sleep 0.01; done; grep -q content \"$0.out\"",
    ]
    .iter()
    .enumerate()
    {
        let file = ground.file(&format!("file-{index}"));
        let keys = if index == 3 { "stdin = \"file\"" } else { "" };
        let daemon = start(&ground, &deciding(&ground, &format!("#!/bin/sh\n{script}\n"), keys));
        let opened = open(&file);
        assert!(opened.is_allowed, "{script}: {opened:?}\n{}", daemon.log());
        assert_eq!(count(&daemon, "run started"), 1, "{script}: {}", daemon.log());
    }
    watchdog.assert_silent();
}

#[test]
fn a_command_that_hangs_leaves_the_default() {
    let (ground, watchdog) = begin!("a_command_that_hangs_leaves_the_default");
    let file = ground.file("file");
    for (default, is_allowed) in [("allow", true), ("deny", false)] {
        let keys = format!("verdict-default = \"{default}\"");
        let daemon = start(&ground, &deciding(&ground, UNDECIDED, &keys).replace("5s", "500ms"));
        let opened = open(&file);
        assert_eq!(opened.is_allowed, is_allowed);
        assert!(
            opened.took >= Duration::from_millis(500) && opened.took < Duration::from_secs(4),
            "{opened:?}"
        );
        daemon.wait_for_log("outcome=timeout");
    }
    watchdog.assert_silent();
}

#[test]
fn who_is_let_through_at_once_makes_a_run_and_that_run_makes_none() {
    let (ground, watchdog) = begin!("who_is_let_through_at_once_makes_a_run_and_that_run_makes_none");
    let file = ground.file("file");
    let program =
        ground.place.script("told", "#!/bin/sh\ncat \"$1\" >/dev/null\necho \"$FACRON_EVENTS $1\"\n");
    let rules = format!(
        "[[rule]]\nname = \"r\"\npath = {:?}\non = \"open-perm\"\ncommand = [{program:?}, \"{{path}}\"]\n",
        ground.place.input()
    );
    let daemon = start(&ground, &rules);
    assert!(open(&file).is_allowed);
    daemon.wait_for_log(&format!("open-perm {}", file.display()));
    daemon.wait_for_log("run ended");
    assert!(open(&file).is_allowed);
    wait_until(|| count(&daemon, "run ended") == 2, || daemon.log());
    watchdog.assert_silent();
}

#[test]
fn several_decide_at_once_and_no_more_than_the_rule_allows() {
    let (ground, _alone) = begin_alone!("several_decide_at_once_and_no_more_than_the_rule_allows");
    let files: Vec<PathBuf> = (0..6).map(|index| ground.file(&format!("file-{index}"))).collect();
    let running = ground.place.directory("running");
    let text = format!(
        "#!/bin/sh\n: > {0}/$$\nls {0} | wc -l >> {0}.count\nsleep 0.1\nrm {0}/$$\n",
        running.display()
    );
    let rules = deciding(&ground, &text, "").replace("concurrency = 8", "concurrency = 3");
    let rules = rules.replace("\"5s\"", "\"20s\"");
    let _daemon = start(&ground, &rules);
    let openers: Vec<Opener> = files.iter().map(|file| Opener::start(file)).collect();
    assert!(openers.into_iter().all(|opener| opener.wait().is_allowed));
    let counts = fs::read_to_string(ground.place.path("running.count")).expect("the script wrote it");
    let most = counts.lines().filter_map(|line| line.trim().parse::<u32>().ok()).max();
    assert!(most == Some(2) || most == Some(3), "{counts}");
}

#[test]
fn whatever_happens_to_the_daemon_and_its_guard_everybody_goes_on() {
    const LIMIT: Duration = Duration::from_secs(1);
    let (ground, _alone) = begin_alone!("whatever_happens_to_the_daemon_and_its_guard_everybody_goes_on");
    let files: Vec<PathBuf> = (0..50).map(|index| ground.file(&format!("file-{index}"))).collect();
    let rules = deciding(&ground, UNDECIDED, "verdict-default = \"deny\"").replace("5s", "1s");
    for round in 0..rounds() {
        for signal in [Signal::SIGKILL, Signal::SIGSTOP] {
            for (hits_daemon, hits_guard) in [(true, false), (false, true), (true, true)] {
                let daemon = start(&ground, &rules);
                let guard = guard_of(&daemon);
                let openers: Vec<Opener> = files.iter().map(|file| Opener::start(file)).collect();
                // Those who came first may have their default before the last comes.
                let have_come =
                    || openers.iter().all(Opener::is_blocked) || count(&daemon, "no verdict in time") > 0;
                wait_until(have_come, || "not all of them wait".to_owned());
                if hits_guard {
                    kill(guard, signal).expect("it lives");
                }
                if hits_daemon {
                    daemon.signal(signal as i32);
                }
                for opener in openers {
                    let opened = opener.wait();
                    let about = format!("{round} {signal} {hits_daemon} {hits_guard}: {opened:?}");
                    assert!(opened.took < LIMIT + Duration::from_secs(5), "{about}");
                    // A guard that stands denies, by default; where it falls, the kernel may have let everybody go.
                    assert!(hits_guard || !opened.is_allowed, "{about}");
                }
                drop(daemon);
                wait_until(|| !is_alive(guard), || "the guard outlives its daemon".to_owned());
            }
        }
    }
}

#[test]
fn a_guard_that_was_killed_is_missed_and_replaced() {
    let (ground, watchdog) = begin!("a_guard_that_was_killed_is_missed_and_replaced");
    let secret = ground.file("secret");
    let daemon = start(&ground, &deciding(&ground, DECIDE, ""));
    kill(guard_of(&daemon), Signal::SIGKILL).expect("it lives");
    daemon.wait_for_log("degraded rule=r reason=the guard is gone");
    wait_until(|| count(&daemon, "armed rule=r by=guard") == 2, || daemon.log());
    assert!(!open(&secret).is_allowed);
    watchdog.assert_silent();
}

#[test]
fn openers_of_one_file_share_a_run_and_its_verdict_is_kept_until_the_file_is_modified() {
    let (ground, _alone) =
        begin_alone!("openers_of_one_file_share_a_run_and_its_verdict_is_kept_until_the_file_is_modified");
    let (file, gate) = (ground.file("file"), ground.place.path("gate"));
    let text = format!("#!/bin/sh\nwhile [ ! -e {} ]; do sleep 0.01; done\n", gate.display());
    let rules = deciding(&ground, &text, "verdict-cache = \"5m\"").replace("5s", "30s");
    let daemon = start(&ground, &rules);
    let openers: Vec<Opener> = (0..5).map(|_| Opener::start(&file)).collect();
    wait_until(|| openers.iter().all(Opener::is_blocked), || "not all of them wait".to_owned());
    fs::write(&gate, "").expect("the gate opens");
    assert!(openers.into_iter().all(|opener| opener.wait().is_allowed));
    assert!(open(&file).is_allowed);
    assert_eq!(count(&daemon, "run started"), 1, "{}", daemon.log());
    let write = format!("echo more >> {}", file.display());
    assert!(Opener::run(&["sh".as_ref(), "-c".as_ref(), write.as_ref()]).wait().is_allowed);
    assert!(open(&file).is_allowed && open(&file).is_allowed);
    assert_eq!(count(&daemon, "run started"), 2, "{}", daemon.log());
}

#[test]
fn a_denied_opener_gets_the_error_that_the_rule_names() {
    let (ground, watchdog) = begin!("a_denied_opener_gets_the_error_that_the_rule_names");
    let secret = ground.file("secret");
    let daemon = start(&ground, &deciding(&ground, DECIDE, "deny-errno = \"EBUSY\""));
    let denied = open(&secret);
    // Kernels before 6.14 know one error only, and the daemon says so.
    let is_plain = count(&daemon, "denies with EPERM only") > 0;
    let error = if is_plain { "Operation not permitted" } else { "Device or resource busy" };
    assert!(denied.error.contains(error), "{denied:?}");
    watchdog.assert_silent();
}

#[test]
fn without_descriptors_the_default_holds_and_nobody_is_forgotten() {
    let (ground, _alone) = begin_alone!("without_descriptors_the_default_holds_and_nobody_is_forgotten");
    let files: Vec<PathBuf> = (0..40).map(|index| ground.file(&format!("file-{index}"))).collect();
    let rules = deciding(&ground, DECIDE, "verdict-default = \"deny\"").replace("5s", "1s");
    let daemon = start(&ground, &rules);
    let guard = guard_of(&daemon);
    for (pid, limit) in [(daemon.pid(), 3), (guard.as_raw(), 24)] {
        let before = rlimit(pid, limit);
        let openers: Vec<Opener> = files.iter().map(|file| Opener::start(file)).collect();
        let opened: Vec<Opened> = openers.into_iter().map(Opener::wait).collect();
        let slowest = opened.iter().map(|opened| opened.took).max();
        assert!(slowest < Some(Duration::from_secs(6)), "{slowest:?}");
        if pid == daemon.pid() {
            assert!(opened.iter().all(|opened| !opened.is_allowed), "{}", daemon.log());
        }
        rlimit(pid, before);
        wait_until(|| open(&files[0]).is_allowed, || daemon.log());
    }
    assert_eq!(guard_of(&daemon), guard, "it went on all the time");
}

#[test]
fn a_stop_lets_go_of_everything() {
    let (ground, watchdog) = begin!("a_stop_lets_go_of_everything");
    let secret = ground.file("secret");
    let mut daemon = start(&ground, &deciding(&ground, DECIDE, ""));
    let guard = guard_of(&daemon);
    assert!(!open(&secret).is_allowed);
    assert!(daemon.stop().success());
    assert!(open(&secret).is_allowed);
    wait_until(|| !is_alive(guard), || "the guard stays".to_owned());
    watchdog.assert_silent();
}

#[test]
fn a_reload_takes_rules_and_guard_away_and_brings_them_back() {
    let (ground, watchdog) = begin!("a_reload_takes_rules_and_guard_away_and_brings_them_back");
    let secret = ground.file("secret");
    let rules = deciding(&ground, DECIDE, "");
    let daemon = start(&ground, &rules);
    for round in 1..4 {
        assert!(!open(&secret).is_allowed);
        ground.place.file("facron.toml", "");
        daemon.signal(libc::SIGHUP);
        wait_until(|| count(&daemon, "reloaded rules=0") == round, || daemon.log());
        wait_until(|| open(&secret).is_allowed, || "it is guarded still".to_owned());
        ground.place.file("facron.toml", &rules);
        daemon.signal(libc::SIGHUP);
        wait_until(|| count(&daemon, "reloaded rules=1") == round, || daemon.log());
    }
    watchdog.assert_silent();
}

#[test]
fn a_reload_changes_a_rule_and_adds_another() {
    let (ground, watchdog) = begin!("a_reload_changes_a_rule_and_adds_another");
    let (public, secret) = (ground.file("public"), ground.file("secret"));
    let other = ground.place.directory("other").join("secret");
    fs::write(&other, "").expect("ours");
    let rules = deciding(&ground, DECIDE, "");
    let daemon = start(&ground, &rules);
    let guard = guard_of(&daemon);
    assert!(!open(&secret).is_allowed && open(&other).is_allowed);
    let deny = ground.place.script("deny", "#!/bin/sh\nexit 1\n");
    let decide = ground.place.path("decide");
    let changed = rules.replace(&format!("{decide:?}"), &format!("{deny:?}"));
    let added = rules.replace("name = \"r\"", "name = \"s\"");
    let added = added
        .replace(&format!("{:?}", ground.place.input()), &format!("{:?}", other.parent().expect("it has")));
    ground.place.file("facron.toml", &format!("{changed}{added}"));
    daemon.signal(libc::SIGHUP);
    daemon.wait_for_log("reloaded rules=2");
    for file in [&public, &secret, &other] {
        assert!(!open(file).is_allowed, "{file:?}: {}", daemon.log());
    }
    assert_eq!(guard_of(&daemon), guard, "one guard for all rules, and no gap");
    watchdog.assert_silent();
}

#[test]
fn what_must_not_be_guarded_is_refused_by_check_and_at_load() {
    let (ground, watchdog) = begin!("what_must_not_be_guarded_is_refused_by_check_and_at_load");
    ground.place.directory("bin");
    let program = ground.place.script("bin/decide", "#!/bin/sh\n");
    let rule = |path: &Path, keys: &str| {
        format!(
            "[[rule]]\nname = \"r\"\npath = {path:?}\non = \"open-perm\"\ncommand = [{program:?}]\n\
             verdict = \"command\"\n{keys}\n"
        )
    };
    let timeout = "timeout = \"5s\"";
    let input = ground.place.input();
    for (rules, reason) in [
        (rule(Path::new("/usr"), timeout), "/usr"),
        (rule(Path::new("/lib"), timeout), "/lib"),
        (rule(&ground.place.path("bin"), timeout), "program"),
        (rule(&ground.place.path(""), timeout), "rule file"),
        (rule(Path::new("/proc/self"), timeout), "/proc/self"),
        (rule(&input, ""), "timeout"),
        (rule(&input, "timeout = \"61s\""), "minute"),
        (rule(&input, "timeout = \"5s\"\nscope = \"tree\""), "tree"),
        (rule(&input, "timeout = \"5s\"\nmark = \"filesystem\""), "file system"),
    ] {
        let file = ground.place.file("facron.toml", &rules);
        let output = facron().arg("check").arg("-c").arg(&file).output().expect("facron starts");
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{rules}\n{said}");
        assert!(said.contains(reason), "{rules}\n{said}");
        let mut daemon = Daemon::launch_with(&ground.place, &[]);
        assert_eq!(daemon.wait().code(), Some(78), "{rules}");
    }
    watchdog.assert_silent();
}

#[test]
fn status_tells_how_a_guarded_rule_is_watched() {
    let (ground, watchdog) = begin!("status_tells_how_a_guarded_rule_is_watched");
    let public = ground.file("public");
    let _daemon = start(&ground, &deciding(&ground, DECIDE, ""));
    assert!(open(&public).is_allowed);
    let output = facron()
        .args(["status", "--format", "json"])
        .env("RUNTIME_DIRECTORY", ground.place.path("run"))
        .output()
        .expect("facron starts");
    let status = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    assert!(
        status.contains("\"watched_by\":\"guard\"") && status.contains("\"state\":\"armed\""),
        "{status}"
    );
    assert!(status.contains("\"guard\":{\"openings\":"), "{status}");
    watchdog.assert_silent();
}
