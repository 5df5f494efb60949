//! The guard on the real kernel, alone with a daemon that the test itself plays: what openers get, and that nobody
//! ever waits too long. See `common/guarded.rs` for what keeps a failing test from hanging the machine.
#![expect(clippy::disallowed_methods, reason = "tools look at the guard from outside")]

mod common;
#[path = "common/guarded.rs"]
mod guarded;
#[path = "common/daemon.rs"]
#[expect(dead_code, reason = "the real daemon's part of it is for other tests")]
mod harness;
#[path = "common/warden.rs"]
mod warden_role;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use guarded::{Ground, Opened, Opener, Warden, Watchdog, open, rlimit, rounds, without_watchdog};
use harness::wait_until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The command decides, in time also on a slow machine.
const COMMAND: &str = "verdict = \"command\"\ntimeout = \"5s\"\n";

/// Nobody decides, and the default comes well before the second after which the kernel's watchdog complains.
const UNDECIDED: &str = "verdict = \"command\"\ntimeout = \"500ms\"\n";

/// Allows everything but what has `secret` in its name.
const DECIDE: &str = "#!/bin/sh\ncase $1 in *secret*) exit 1;; esac\n";

/// Not a test: the part that the tests let another process play.
#[test]
#[ignore = "a role that other tests start"]
fn warden() {
    warden_role::play();
}

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

#[test]
fn a_script_allows_and_denies() {
    let (ground, watchdog) = begin!("a_script_allows_and_denies");
    let (public, secret) = (ground.file("public"), ground.file("secret"));
    let decide = ground.place.script("decide", DECIDE);
    let warden = Warden::start(&ground, &ground.rule(COMMAND), Some(&decide));
    let allowed = open(&public);
    assert!(allowed.is_allowed && allowed.output == "content\n", "{allowed:?}");
    assert_denied(&open(&secret), "Operation not permitted");
    assert_eq!((warden.count("asked r "), warden.count("overdue")), (2, 0));
    watchdog.assert_silent();
}

#[test]
fn executing_and_reading_can_be_guarded_too() {
    let (ground, watchdog) = begin!("executing_and_reading_can_be_guarded_too");
    let (program, secret) = (ground.place.script("in/secret-program", "#!/bin/sh\n"), ground.file("secret"));
    let decide = ground.place.script("decide", DECIDE);
    let rules = ground.rule(COMMAND).replace("\"open-perm\"", "[\"open-exec-perm\", \"access-perm\"]");
    let warden = Warden::start(&ground, &rules, Some(&decide));
    assert_denied(&Opener::run(&[&program]).wait(), "Operation not permitted");
    assert_denied(&open(&secret), "Operation not permitted");
    assert_eq!(warden.count("asked r "), 2);
    assert!(warden.log().contains("secret access-perm"), "{}", warden.log());
    watchdog.assert_silent();
}

#[test]
fn a_script_may_read_what_it_judges_however_it_does_that() {
    let (ground, watchdog) = begin!("a_script_may_read_what_it_judges_however_it_does_that");
    let scripts = [
        "grep -q content \"$1\"",
        "cat \"$1\" | tr a-z A-Z | { sleep 0; grep -q CONTENT; }",
        "setsid -w sh -c 'cat \"$1\" | grep -q content' sh \"$1\"",
        // A process that nobody waits for, whose parent is dead, in a session of its own.
        "rm -f \"$0.out\"; (setsid sh -c 'sleep 0.1; cat \"$1\" > \"$2.new\"; mv \"$2.new\" \"$2\"' sh \"$1\" \"$0.out\" &)
         while [ ! -e \"$0.out\" ]; do sleep 0.01; done; grep -q content \"$0.out\"",
    ];
    for (index, script) in scripts.iter().enumerate() {
        let file = ground.file(&format!("file-{index}"));
        let decide = ground.place.script("decide", &format!("#!/bin/sh\n{script}\n"));
        let warden = Warden::start(&ground, &ground.rule(COMMAND), Some(&decide));
        let opened = open(&file);
        assert!(opened.is_allowed, "{script}: {opened:?}");
        assert_eq!((warden.count("asked r "), warden.count("overdue")), (1, 0), "{script}");
    }
    watchdog.assert_silent();
}

#[test]
fn without_a_decision_the_default_holds_in_time() {
    let (ground, watchdog) = begin!("without_a_decision_the_default_holds_in_time");
    let file = ground.file("file");
    for (default, is_allowed) in [("allow", true), ("deny", false)] {
        let keys = format!("{UNDECIDED}verdict-default = \"{default}\"\n");
        let warden = Warden::start(&ground, &ground.rule(&keys), None);
        let opened = open(&file);
        assert_eq!(opened.is_allowed, is_allowed, "{opened:?}");
        assert!(
            opened.took >= Duration::from_millis(500) && opened.took < Duration::from_secs(3),
            "{opened:?}"
        );
        warden.wait_for("overdue r");
    }
    watchdog.assert_silent();
}

#[test]
fn who_is_let_through_at_once_is_told_of() {
    let (ground, watchdog) = begin!("who_is_let_through_at_once_is_told_of");
    let file = ground.file("file");
    let warden = Warden::start(&ground, &ground.rule("verdict = \"allow\""), None);
    assert!(open(&file).is_allowed);
    warden.wait_for(&format!("told r {} open-perm", file.display()));
    assert_eq!(warden.count("asked"), 0);
    watchdog.assert_silent();
}

#[test]
fn openers_of_one_file_share_a_decision_and_those_of_others_do_not_wait_for_it() {
    let (ground, _alone) =
        begin_alone!("openers_of_one_file_share_a_decision_and_those_of_others_do_not_wait_for_it");
    let (slow, quick) = (ground.file("slow"), ground.file("quick"));
    let gate = ground.place.path("gate");
    let text = format!(
        "#!/bin/sh\ncase $1 in *slow) while [ ! -e {} ]; do sleep 0.01; done;; esac\n",
        gate.display()
    );
    let decide = ground.place.script("decide", &text);
    // The decision takes as long as the test takes, so the watchdog may bark.
    let warden = Warden::start(&ground, &ground.rule(&COMMAND.replace("5s", "30s")), Some(&decide));
    let mut waiting: Vec<Opener> = (0..10).map(|_| Opener::start(&slow)).collect();
    warden.wait_for("asked");
    assert!(open(&quick).is_allowed);
    assert!(waiting.iter_mut().all(Opener::is_waiting));
    wait_until(|| waiting.iter().all(Opener::is_blocked), || "not all of them wait".to_owned());
    fs::write(&gate, "").expect("the gate opens");
    assert!(waiting.into_iter().all(|opener| opener.wait().is_allowed));
    assert_eq!(warden.count("asked r "), 2);
}

#[test]
fn a_verdict_holds_until_the_file_is_modified() {
    let (ground, watchdog) = begin!("a_verdict_holds_until_the_file_is_modified");
    let (public, secret) = (ground.file("public"), ground.file("secret"));
    let outside = ground.place.path("outside");
    fs::hard_link(&public, &outside).expect("one file system");
    let decide = ground.place.script("decide", DECIDE);
    let warden =
        Warden::start(&ground, &ground.rule(&format!("{COMMAND}verdict-cache = \"5m\"")), Some(&decide));
    for _ in 0..3 {
        assert!(open(&public).is_allowed);
        assert_denied(&open(&secret), "Operation not permitted");
    }
    assert_eq!(warden.count("asked r "), 2, "{}", warden.log());
    for (count, name) in [(3, &public), (4, &outside), (5, &public)] {
        // Opened by this test, which is nobody special: the first write asks, too, if the file was modified before.
        let before = warden.count("asked r ");
        let script = format!("echo more >> {}", name.display());
        assert!(Opener::run(&["sh".as_ref(), "-c".as_ref(), script.as_ref()]).wait().is_allowed);
        assert_eq!(warden.count("asked r "), before, "a verdict holds for writers as for readers");
        assert!(open(&public).is_allowed && open(&public).is_allowed);
        assert_eq!(warden.count("asked r "), count, "{name:?}: {}", warden.log());
    }
    watchdog.assert_silent();
}

#[test]
fn a_rule_may_name_the_error() {
    let (ground, watchdog) = begin!("a_rule_may_name_the_error");
    let secret = ground.file("secret");
    let decide = ground.place.script("decide", DECIDE);
    let warden =
        Warden::start(&ground, &ground.rule(&format!("{COMMAND}deny-errno = \"EBUSY\"")), Some(&decide));
    let denied = open(&secret);
    let is_plain = warden.log().contains("denies with EPERM only");
    assert_denied(&denied, if is_plain { "Operation not permitted" } else { "Device or resource busy" });
    watchdog.assert_silent();
}

#[test]
fn an_audited_verdict_reaches_the_opener_whatever_the_kernel_can() {
    let (ground, watchdog) = begin!("an_audited_verdict_reaches_the_opener_whatever_the_kernel_can");
    let (public, secret) = (ground.file("public"), ground.file("secret"));
    let decide = ground.place.script("decide", DECIDE);
    let warden = Warden::start(&ground, &ground.rule(&format!("{COMMAND}audit = true")), Some(&decide));
    assert!(open(&public).is_allowed);
    assert_denied(&open(&secret), "Operation not permitted");
    assert_eq!(warden.count("asked r "), 2);
    watchdog.assert_silent();
}

#[test]
fn names_that_the_rule_leaves_out_do_not_wait() {
    let (ground, watchdog) = begin!("names_that_the_rule_leaves_out_do_not_wait");
    let (in_question, out) = (ground.file("a.exe"), ground.file("a.txt"));
    let keys = format!("{UNDECIDED}verdict-default = \"deny\"\ninclude = [\"*.exe\"]");
    let warden = Warden::start(&ground, &ground.rule(&keys), None);
    assert!(open(&out).is_allowed);
    assert_eq!(warden.count("asked"), 0);
    assert!(!open(&in_question).is_allowed);
    watchdog.assert_silent();
}

#[test]
fn a_fifo_does_not_hold_up_the_guard() {
    let (ground, watchdog) = begin!("a_fifo_does_not_hold_up_the_guard");
    let (file, fifo) = (ground.file("file"), ground.place.input().join("fifo"));
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a fifo can be made");
    let decide = ground.place.script("decide", DECIDE);
    let _warden = Warden::start(&ground, &ground.rule(COMMAND), Some(&decide));
    // Whether the kernel asks about a FIFO or not: its reader waits for a writer, and nobody else does.
    let mut reader = Opener::start(&fifo);
    assert!(open(&file).is_allowed && reader.is_waiting());
    let text = format!("echo x > {}", fifo.display());
    let writer = Opener::run(&["sh".as_ref(), "-c".as_ref(), text.as_ref()]);
    assert!(open(&file).is_allowed && writer.wait().is_allowed);
    assert_eq!(reader.wait().output, "x\n");
    watchdog.assert_silent();
}

#[test]
fn directories_are_guarded_where_the_rule_asks_for_them() {
    let (ground, watchdog) = begin!("directories_are_guarded_where_the_rule_asks_for_them");
    let secret = ground.place.directory("in/secret");
    let decide = ground.place.script("decide", DECIDE);
    let list = |directory: &Path| Opener::run(&["ls".as_ref(), directory]).wait();
    let warden = Warden::start(&ground, &ground.rule(COMMAND), Some(&decide));
    assert!(list(&secret).is_allowed);
    drop(warden);
    let warden = Warden::start(&ground, &ground.rule(&format!("{COMMAND}dirs = true")), Some(&decide));
    assert_denied(&list(&secret), "Operation not permitted");
    assert!(list(&ground.place.input()).is_allowed);
    let own = format!("asked r {} open-perm", ground.place.input().display());
    assert_eq!(warden.count(&own), 1, "{}", warden.log());
    watchdog.assert_silent();
}

#[test]
fn a_rule_goes_by_names() {
    let (ground, watchdog) = begin!("a_rule_goes_by_names");
    let path = ground.place.path("later/secret");
    let rule = ground.rule(&format!("{COMMAND}scope = \"self\""));
    let rule = rule.replace(&format!("{:?}", ground.place.input()), &format!("{path:?}"));
    let decide = ground.place.script("decide", DECIDE);
    let warden = Warden::launch(&ground, &rule, Some(&decide));
    warden.wait_for("degraded r cannot guard");
    ground.place.directory("later");
    let make = |name: &str| {
        let made = ground.place.path(name);
        fs::write(&made, "").expect("ours");
        made
    };
    make("later/secret");
    warden.wait_for("armed r");
    assert_denied(&open(&path), "Operation not permitted");
    // As editors do: another file takes the name.
    let (new, aside) = (make("later/new"), ground.place.path("later/aside"));
    fs::rename(&path, &aside).and_then(|()| fs::rename(&new, &path)).expect("ours");
    wait_until(|| !open(&path).is_allowed, || "the new file is not guarded".to_owned());
    wait_until(|| open(&aside).is_allowed, || format!("the old file: {:?}", open(&aside)));
    // And a link in its place, that is switched.
    let targets = ["one", "two"].map(|name| make(&format!("in/{name}")));
    for target in &targets {
        let link = ground.place.path("later/link");
        symlink(target, &link).and_then(|()| fs::rename(&link, &path)).expect("ours");
        wait_until(|| !open(target).is_allowed, || format!("{target:?} is not guarded"));
    }
    wait_until(|| open(&targets[0]).is_allowed, || "the old target is still guarded".to_owned());
    fs::remove_dir_all(ground.place.path("later")).expect("ours");
    wait_until(|| warden.count("degraded r ") >= 2, || warden.log());
    watchdog.assert_silent();
}

#[test]
fn mounts_over_and_under_what_is_guarded_are_noticed() {
    let (ground, watchdog) = begin!("mounts_over_and_under_what_is_guarded_are_noticed");
    let secret = ground.file("secret");
    let decide = ground.place.script("decide", DECIDE);
    let warden = Warden::start(&ground, &ground.rule(COMMAND), Some(&decide));
    assert!(!open(&secret).is_allowed);
    let input = ground.place.input();
    let none: Option<&str> = None;
    nix::mount::mount(Some("over"), &input, Some("tmpfs"), nix::mount::MsFlags::empty(), none)
        .expect("root may");
    fs::write(&secret, "").expect("ours");
    wait_until(|| !open(&secret).is_allowed, || "what was mounted over is not guarded".to_owned());
    // The last answer is given a moment before its descriptor is closed.
    wait_until(|| nix::mount::umount(&input).is_ok(), || "the guard keeps it mounted".to_owned());
    wait_until(|| !open(&secret).is_allowed, || "what was under it is not guarded again".to_owned());
    drop(warden);
    watchdog.assert_silent();
}

#[test]
fn a_reload_leaves_no_gap_and_the_last_rule_takes_the_guard_with_it() {
    let (ground, watchdog) = begin!("a_reload_leaves_no_gap_and_the_last_rule_takes_the_guard_with_it");
    let secret = ground.file("secret");
    let decide = ground.place.script("decide", DECIDE);
    let mut warden = Warden::start(&ground, &ground.rule(COMMAND), Some(&decide));
    let other = ground.place.file("other.toml", &ground.rule(&format!("{COMMAND}deny-errno = \"EIO\"")));
    let none = ground.place.file("none.toml", "");
    let same = ground.place.path("rules.toml");
    for round in 0..20 {
        warden.tell(&format!("rules {}", if round % 2 == 0 { &other } else { &same }.display()));
        assert!(!open(&secret).is_allowed, "round {round}");
    }
    let guard = warden.guard();
    warden.tell(&format!("rules {}", none.display()));
    warden.wait_for("no guard");
    assert!(!Path::new(&format!("/proc/{guard}")).exists());
    assert!(open(&secret).is_allowed);
    warden.tell(&format!("rules {}", same.display()));
    wait_until(|| !open(&secret).is_allowed, || warden.log());
    assert_eq!(warden.count("warned"), 0, "{}", warden.log());
    watchdog.assert_silent();
}

/// How many marks a process has set: proc_pid_fdinfo(5).
fn marks(process: i32) -> usize {
    let infos = fs::read_dir(format!("/proc/{process}/fdinfo")).expect("it is alive").flatten();
    let texts = infos.filter_map(|info| fs::read_to_string(info.path()).ok());
    texts.map(|text| text.lines().filter(|line| line.starts_with("fanotify ino:")).count()).sum()
}

#[test]
fn who_waits_when_the_rule_goes_is_answered_still() {
    let (ground, _alone) = begin_alone!("who_waits_when_the_rule_goes_is_answered_still");
    let secret = ground.file("secret");
    let gate = ground.place.path("gate");
    let text = format!("#!/bin/sh\nwhile [ ! -e {} ]; do sleep 0.01; done\nexit 1\n", gate.display());
    let decide = ground.place.script("decide", &text);
    let none = ground.place.file("none.toml", "");
    let mut warden = Warden::start(&ground, &ground.rule(&COMMAND.replace("5s", "30s")), Some(&decide));
    let guard = warden.guard();
    assert!(marks(guard) > 0);
    let waiting = Opener::start(&secret);
    warden.wait_for("asked");
    warden.tell(&format!("rules {}", none.display()));
    warden.wait_for("rules set");
    // Whoever opened it sooner would wait as well.
    wait_until(|| marks(guard) == 0, || "the rule does not go".to_owned());
    assert!(open(&secret).is_allowed);
    fs::write(&gate, "").expect("the gate opens");
    assert!(!waiting.wait().is_allowed);
    warden.wait_for("no guard");
}

#[test]
fn what_may_not_be_guarded_is_not() {
    let (ground, watchdog) = begin!("what_may_not_be_guarded_is_not");
    let rule = |path: &str, keys: &str| {
        let rule = ground.rule(&format!("{COMMAND}{keys}"));
        rule.replace(&format!("{:?}", ground.place.input()), &format!("{path:?}"))
    };
    let link = ground.place.path("link");
    symlink("/usr", &link).expect("ours");
    let link = link.to_str().expect("UTF-8");
    for (path, reason) in [(link, "every program needs /usr"), ("/proc/1", "proc")] {
        let warden = Warden::launch(&ground, &rule(path, ""), None);
        warden.wait_for("degraded r");
        assert!(warden.log().contains(reason), "{path}: {}", warden.log());
    }
    watchdog.assert_silent();
}

/// Somebody who waits when something happens to daemon and guard.
const OPENERS: usize = 50;

/// What happens: to whom, by which signal, and whether openers are then answered by the default or by the kernel.
const BLOWS: &[(&str, Signal, &[Victim], Fate)] = &[
    ("kill the daemon", Signal::SIGKILL, &[Victim::Daemon], Fate::Default),
    ("kill the guard", Signal::SIGKILL, &[Victim::Guard], Fate::LetThrough),
    ("kill both", Signal::SIGKILL, &[Victim::Guard, Victim::Daemon], Fate::LetThrough),
    ("stop the daemon", Signal::SIGSTOP, &[Victim::Daemon], Fate::Default),
    ("stop the guard", Signal::SIGSTOP, &[Victim::Guard], Fate::LetThrough),
    ("stop both", Signal::SIGSTOP, &[Victim::Daemon, Victim::Guard], Fate::LetThrough),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Victim {
    Daemon,
    Guard,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// `verdict-default`, which is `deny` here.
    Default,
    /// The kernel lets everybody through.
    LetThrough,
}

#[test]
fn whatever_happens_to_daemon_and_guard_nobody_waits_longer_than_the_limit_and_five_seconds() {
    const LIMIT: Duration = Duration::from_millis(1500);
    let (ground, _alone) = begin_alone!(
        "whatever_happens_to_daemon_and_guard_nobody_waits_longer_than_the_limit_and_five_seconds"
    );
    let files: Vec<PathBuf> = (0..OPENERS).map(|index| ground.file(&format!("file-{index}"))).collect();
    let keys = "verdict = \"command\"\ntimeout = \"1500ms\"\nverdict-default = \"deny\"\n";
    for round in 0..rounds() {
        for (blow, signal, victims, fate) in BLOWS {
            let warden = Warden::start(&ground, &ground.rule(keys), None);
            // Half of them have been asked about when it happens; the others come after it.
            let (early, late) = files.split_at(OPENERS / 2);
            let early: Vec<Opener> = early.iter().map(|file| Opener::start(file)).collect();
            wait_until(|| warden.count("asked r ") == early.len(), || warden.log());
            for victim in *victims {
                let pid = if *victim == Victim::Daemon { warden.pid() } else { warden.guard() };
                kill(Pid::from_raw(pid), *signal).expect("it lives");
            }
            let late: Vec<Opener> = late.iter().map(|file| Opener::start(file)).collect();
            for (index, opener) in early.into_iter().chain(late).enumerate() {
                let opened = opener.wait();
                let about = format!("round {round}, {blow}, opener {index}: {opened:?}");
                assert!(opened.took < LIMIT + Duration::from_secs(5), "{about}");
                let is_early = index < OPENERS / 2;
                if is_early && opened.took < LIMIT {
                    assert_eq!(opened.is_allowed, *fate == Fate::LetThrough, "{about}");
                }
            }
            drop(warden);
        }
    }
}

#[test]
fn a_guard_that_was_killed_is_started_again() {
    let (ground, watchdog) = begin!("a_guard_that_was_killed_is_started_again");
    let secret = ground.file("secret");
    let decide = ground.place.script("decide", DECIDE);
    let warden = Warden::start(&ground, &ground.rule(COMMAND), Some(&decide));
    for round in 1..=2 {
        kill(Pid::from_raw(warden.guard()), Signal::SIGKILL).expect("it lives");
        wait_until(|| warden.count("degraded r the guard is gone") == round, || warden.log());
        assert!(open(&secret).is_allowed, "nobody guards at this moment");
        wait_until(|| warden.count("armed r") == round + 1, || warden.log());
        assert_denied(&open(&secret), "Operation not permitted");
    }
    assert_eq!(warden.count("warned process"), 2, "{}", warden.log());
    watchdog.assert_silent();
}

#[test]
fn a_guard_without_descriptors_answers_by_default_and_goes_on() {
    let (ground, _alone) = begin_alone!("a_guard_without_descriptors_answers_by_default_and_goes_on");
    let files: Vec<PathBuf> = (0..40).map(|index| ground.file(&format!("file-{index}"))).collect();
    let gate = ground.place.path("gate");
    let text = format!("#!/bin/sh\nwhile [ ! -e {} ]; do sleep 0.01; done\nexit 1\n", gate.display());
    let decide = ground.place.script("decide", &text);
    let warden = Warden::start(&ground, &ground.rule(&COMMAND.replace("5s", "30s")), Some(&decide));
    let limit = rlimit(warden.guard(), 24);
    let openers: Vec<Opener> = files.iter().map(|file| Opener::start(file)).collect();
    // Some wait for the gate; for the others there is no descriptor, and the default is `allow`.
    wait_until(|| warden.count("overdue r") >= 20, || warden.log());
    fs::write(&gate, "").expect("the gate opens");
    let opened: Vec<Opened> = openers.into_iter().map(Opener::wait).collect();
    let allowed = opened.iter().filter(|opened| opened.is_allowed).count();
    assert!((20..40).contains(&allowed), "{allowed} of 40 got the default: {}", warden.log());
    rlimit(warden.guard(), limit);
    assert_denied(&open(&files[0]), "Operation not permitted");
}

#[test]
fn a_daemon_without_descriptors_leaves_the_answer_to_the_guard() {
    let (ground, watchdog) = begin!("a_daemon_without_descriptors_leaves_the_answer_to_the_guard");
    let secret = ground.file("secret");
    let decide = ground.place.script("decide", DECIDE);
    let keys = format!("{UNDECIDED}verdict-default = \"deny\"");
    let warden = Warden::start(&ground, &ground.rule(&keys), Some(&decide));
    let public = ground.file("public");
    let limit = rlimit(warden.pid(), 3);
    let denied = open(&public);
    assert!(!denied.is_allowed && denied.took >= Duration::from_millis(500), "{denied:?}");
    warden.wait_for("cannot ask");
    rlimit(warden.pid(), limit);
    wait_until(|| open(&public).is_allowed, || "nobody decides any more".to_owned());
    assert!(!open(&secret).is_allowed);
    watchdog.assert_silent();
}

#[test]
fn who_is_killed_while_waiting_is_gone_and_the_others_are_answered() {
    let (ground, _alone) = begin_alone!("who_is_killed_while_waiting_is_gone_and_the_others_are_answered");
    let secret = ground.file("secret");
    let gate = ground.place.path("gate");
    let text = format!("#!/bin/sh\nwhile [ ! -e {} ]; do sleep 0.01; done\nexit 1\n", gate.display());
    let decide = ground.place.script("decide", &text);
    let warden = Warden::start(&ground, &ground.rule(&COMMAND.replace("5s", "30s")), Some(&decide));
    let openers: Vec<Opener> = (0..3).map(|_| Opener::start(&secret)).collect();
    wait_until(|| openers.iter().all(Opener::is_blocked), || "not all of them wait".to_owned());
    let [mut first, second, third] = <[Opener; 3]>::try_from(openers).ok().expect("three");
    first.kill();
    assert!(second.is_blocked() && third.is_blocked());
    fs::write(&gate, "").expect("the gate opens");
    for opener in [second, third] {
        assert_denied(&opener.wait(), "Operation not permitted");
    }
    assert_eq!(warden.count("warned"), 0, "{}", warden.log());
}

#[test]
fn many_openers_at_once_are_all_answered() {
    let (ground, watchdog) = begin!("many_openers_at_once_are_all_answered");
    let file = ground.file("file");
    let decide = ground.place.script("decide", DECIDE);
    let warden = Warden::start(&ground, &ground.rule(COMMAND), Some(&decide));
    let text = format!("for i in $(seq 300); do : < {}; done", file.display());
    let many = || Opener::run(&["sh".as_ref(), "-c".as_ref(), text.as_ref()]);
    let openers: Vec<Opener> = (0..8).map(|_| many()).collect();
    assert!(openers.into_iter().all(|opener| opener.wait().is_allowed));
    assert!(warden.count("asked r ") <= 2400 && warden.count("overdue") == 0);
    watchdog.assert_silent();
}

#[test]
fn the_guard_holds_nothing_that_it_does_not_need() {
    let (ground, watchdog) = begin!("the_guard_holds_nothing_that_it_does_not_need");
    ground.file("file");
    let warden = Warden::start(&ground, &ground.rule(COMMAND), None);
    let targets = |pid: i32| {
        let read = fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives");
        let links = read.map(|entry| fs::read_link(entry.expect("it lives").path()));
        let mut links: Vec<String> =
            links.filter_map(|link| Some(link.ok()?.to_string_lossy().into_owned())).collect();
        links.sort();
        links
    };
    let guard = targets(warden.guard());
    let count = |what: &str| guard.iter().filter(|target| target.starts_with(what)).count();
    assert_eq!(count("anon_inode:[fanotify]"), 1, "{guard:?}");
    assert_eq!(
        (count("/dev/null"), count("anon_inode:[eventpoll]"), count("socket:")),
        (2, 1, 2),
        "{guard:?}"
    );
    assert_eq!(guard.len(), 6, "{guard:?}");
    let daemon = targets(warden.pid());
    assert!(!daemon.iter().any(|target| target.contains("fanotify")), "{daemon:?}");
    let status = fs::read_to_string(format!("/proc/{}/status", warden.guard())).expect("it lives");
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).expect("it is told");
    assert_ne!(locked.trim(), "0 kB", "its memory is locked");
    watchdog.assert_silent();
}

#[test]
fn between_question_and_answer_the_guard_makes_no_call_that_could_wait() {
    let (ground, watchdog) = begin!("between_question_and_answer_the_guard_makes_no_call_that_could_wait");
    let has_strace = std::process::Command::new("strace").arg("-V").output().is_ok();
    if !common::require("between_question_and_answer…", "strace(1)", has_strace) {
        return;
    }
    let (file, secret) = (ground.file("file"), ground.file("secret"));
    let decide = ground.place.script("decide", DECIDE);
    for (keys, calls_beside) in [
        ("verdict = \"allow\"", &["getsid"][..]),
        (
            COMMAND,
            &[
                "getsid",
                "fstat",
                "newfstatat",
                "readlink",
                "openat",
                "read",
                "close",
                "sendmsg",
                "recvmsg",
                "sendto",
                "epoll_wait",
                "epoll_pwait",
                "prlimit64",
                "getrlimit",
                "fcntl",
                "timer_settime",
                "clock_gettime",
            ],
        ),
    ] {
        let warden = Warden::start(&ground, &ground.rule(keys), Some(&decide));
        let trace = ground.place.path("trace");
        let mut strace = std::process::Command::new("strace")
            .args(["-y", "-o"])
            .arg(&trace)
            .args(["-p", &warden.guard().to_string()])
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("strace starts");
        let is_traced = || {
            let status = fs::read_to_string(format!("/proc/{}/status", warden.guard()));
            status.is_ok_and(|status| !status.contains("TracerPid:\t0\n"))
        };
        wait_until(is_traced, || "strace does not attach".to_owned());
        for _ in 0..3 {
            assert!(open(&file).is_allowed);
            open(&secret);
        }
        drop(warden);
        strace.wait().expect("it ends with the guard");
        let calls = fs::read_to_string(&trace).expect("strace wrote it");
        let mut is_asked = false;
        let mut answers = 0;
        for call in calls.lines() {
            let name = call.split('(').next().unwrap_or_default();
            let is_group = call.contains("<anon_inode:[fanotify]>");
            match name {
                "read" if is_group => is_asked = call.ends_with("= 24"),
                "write" if is_group => (is_asked, answers) = (false, answers + 1),
                _ if is_asked => {
                    assert!(calls_beside.contains(&name), "{call}\n{calls}");
                    let is_proc = name != "openat" || call.contains("\"/proc/");
                    assert!(is_proc, "only what the kernel itself knows is looked at: {call}");
                }
                _ => {}
            }
        }
        assert_eq!(answers, 6, "{calls}");
    }
    watchdog.assert_silent();
}

fn assert_denied(opened: &Opened, error: &str) {
    assert!(!opened.is_allowed && opened.error.contains(error), "{opened:?}");
}
