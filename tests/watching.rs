//! The real daemon and what it watches: how it says that it does, what is unmounted and mounted again, what commands
//! cause themselves, and what a user is not granted.
#![expect(clippy::disallowed_methods, reason = "the test plays the people around facron")]

mod common;
#[expect(dead_code, reason = "this test needs only a part of it")]
#[path = "common/daemon.rs"]
mod harness;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, mkdirat};

use harness::{Daemon, NOBODY, Place, wait_until};

/// How long a test waits for a run that must not come, after one that was to come later has come.
const QUIET: Duration = Duration::from_millis(500);

fn shell(script: &str, arguments: &[&Path]) {
    let status = Command::new("/bin/sh").args(["-ec", script, "sh"]).args(arguments).status();
    assert!(status.expect("a shell").success(), "{script} {arguments:?}");
}

/// What a script of [`runs_of`] wrote: the path of each run.
fn runs(place: &Place, rule: &str) -> Vec<PathBuf> {
    let text = fs::read_to_string(place.path(format!("{rule}.runs"))).unwrap_or_default();
    text.lines().map(PathBuf::from).collect()
}

/// A rule whose command notes its path, and does something more with it as `$1`.
fn runs_of(place: &Place, rule: &str, path: &Path, keys: &str, more: &str) -> String {
    let notes = place.file(&format!("{rule}.runs"), "");
    let text = format!("#!/bin/sh\necho \"$1\" >> {}\n{more}\n", notes.display());
    let script = place.script(&format!("{rule}.sh"), &text);
    format!(
        "[[rule]]\nname = '{rule}'\npath = '{}'\ncommand = ['{}', '{{path}}']\n{keys}\n",
        path.display(),
        script.display()
    )
}

fn ended(daemon: &Daemon, rule: &str) -> usize {
    daemon.log().lines().filter(|line| line.contains(&format!("run ended rule={rule} "))).count()
}

#[test]
fn each_way_of_watching_is_said() {
    if !common::require_root("each_way_of_watching_is_said") {
        return;
    }
    let place = Place::new(0);
    fs::create_dir_all(place.path("in/tree/a")).expect("directories");
    fs::create_dir(place.path("in/flat")).expect("a directory");
    fs::write(place.path("in/file"), "x").expect("a file");
    let rule = |name: &str, below: &str, keys: &str| {
        let path = place.path("in").join(below);
        format!("[[rule]]\nname = '{name}'\npath = '{}'\ncommand = ['/bin/true']\n{keys}\n", path.display())
    };
    let rules = [
        rule("whole", "tree", "scope = 'tree'\nmark = 'filesystem'"),
        rule("single", "tree/a", "scope = 'tree'\nmark = 'directories'"),
        rule("flat", "flat", ""),
        rule("file", "file", ""),
        rule("none", "none/none", ""),
    ];
    let daemon = Daemon::start(&place, &rules.concat());
    for (name, by) in [
        ("whole", "filesystem"),
        ("single", "directories"),
        ("flat", "directory"),
        ("file", "parent"),
        ("none", "waiting"),
    ] {
        daemon.wait_for_log(&format!("armed rule={name} by={by}\n"));
    }
}

#[test]
fn what_is_unmounted_and_mounted_again_fires_again() {
    let name = "what_is_unmounted_and_mounted_again_fires_again";
    if !common::require_root(name) {
        return;
    }
    let place = Place::new(0);
    let point = place.directory("in/point");
    let image = place.path("image");
    let mount = "mount -o loop \"$1\" \"$2\"";
    shell("truncate -s 16M \"$1\"; mkfs.ext4 -qF \"$1\"", &[&image]);
    shell(mount, &[&image, &point]);
    let rules = ["filesystem", "directories"].map(|mark| {
        let keys = format!("scope = 'tree'\nmark = '{mark}'\non = 'arrived'\nexclude = ['lost+found']");
        runs_of(&place, mark, &point, &keys, "")
    });
    let daemon = Daemon::start(&place, &rules.concat());
    let has_run = |path: &Path| {
        let path = path.to_owned();
        ["filesystem", "directories"].iter().all(|rule| runs(&place, rule).contains(&path))
    };
    for round in 0..3 {
        let path = point.join(format!("f{round}"));
        fs::write(&path, "x").expect("a file");
        wait_until(|| has_run(&path), || daemon.log());
        // A command that still looks, or facron itself, may hold it for a moment; nobody for long.
        wait_until(
            || nix::mount::umount2(&point, nix::mount::MntFlags::empty()).is_ok(),
            || format!("it stays busy:\n{}", daemon.log()),
        );
        shell(mount, &[&image, &point]);
    }
}

/// What a run does itself, a child of it, one with a session of its own, and one that goes on after it.
const WRITES: &str = "echo own >> \"$1\"
sh -c 'echo child >> \"$1\"' sh \"$1\"
setsid -w sh -c 'echo session > \"$1.new\"; mv \"$1.new\" \"$1\"' sh \"$1\"
(sleep 0.1; setsid touch \"$1\") > /dev/null 2>&1 &";

#[test]
fn a_command_that_writes_what_it_watches_runs_once() {
    if !common::require_root("a_command_that_writes_what_it_watches_runs_once") {
        return;
    }
    let place = Place::new(0);
    let input = place.input();
    let rules =
        runs_of(&place, "own", &input, "on = ['arrived', 'modify', 'attrib']\ndebounce = '20ms'", WRITES);
    let daemon = Daemon::start(&place, &rules);
    let mut expected = Vec::new();
    for name in ["f", "g", "h"] {
        let path = input.join(name);
        fs::write(&path, "x").expect("a file");
        expected.push(path);
        wait_until(|| ended(&daemon, "own") >= expected.len(), || daemon.log());
    }
    std::thread::sleep(QUIET);
    assert_eq!(runs(&place, "own"), expected, "{}", daemon.log());
}

#[test]
fn somebody_else_s_change_of_the_same_path_fires_while_the_command_writes_it() {
    if !common::require_root("somebody_else_s_change_of_the_same_path_fires_while_the_command_writes_it") {
        return;
    }
    let place = Place::new(0);
    let path = place.input().join("f");
    let hold = place.path("hold");
    let more = format!(
        "echo own >> \"$1\"; while test -e {0}; do sleep 0.02; done; echo own >> \"$1\"",
        hold.display()
    );
    let daemon = Daemon::start(&place, &runs_of(&place, "own", &path, "on = 'arrived'", &more));
    fs::write(&hold, "").expect("a file");
    fs::write(&path, "x").expect("a file");
    wait_until(|| runs(&place, "own").len() == 1, || daemon.log());
    fs::write(&path, "y").expect("a file");
    fs::remove_file(&hold).expect("removed");
    wait_until(|| ended(&daemon, "own") >= 2, || daemon.log());
    std::thread::sleep(QUIET);
    assert_eq!(runs(&place, "own").len(), 2, "{}", daemon.log());
}

#[test]
fn two_rules_that_feed_each_other_stop_after_one_round() {
    if !common::require_root("two_rules_that_feed_each_other_stop_after_one_round") {
        return;
    }
    let place = Place::new(0);
    let (ping, pong) = (place.directory("in/ping"), place.directory("in/pong"));
    let feed = |to: &Path| format!("setsid -w sh -c 'echo x >> \"$1\"' sh {}/f", to.display());
    let rules = runs_of(&place, "ping", &ping, "on = 'arrived'", &feed(&pong))
        + &runs_of(&place, "pong", &pong, "on = 'arrived'", &feed(&ping));
    let daemon = Daemon::start(&place, &rules);
    for round in 1..=2 {
        fs::write(ping.join("f"), "x").expect("a file");
        wait_until(|| ended(&daemon, "pong") >= round, || daemon.log());
        std::thread::sleep(QUIET);
        let counts = ["ping", "pong"].map(|rule| runs(&place, rule).len());
        assert_eq!(counts, [round, round], "{}", daemon.log());
    }
}

#[test]
fn an_error_of_a_file_system_is_logged_with_what_it_was() {
    let name = "an_error_of_a_file_system_is_logged_with_what_it_was";
    if !common::require_root(name) {
        return;
    }
    let place = Place::new(0);
    let point = place.directory("in/point");
    let make = "truncate -s 16M \"$1\"; mkfs.ext4 -qF \"$1\"; mount -o loop \"$1\" \"$2\"";
    shell(make, &[&place.path("image"), &point]);
    let daemon = Daemon::start(&place, &runs_of(&place, "error", &point, "on = 'fs-error'", ""));
    let trigger =
        "echo test > \"/sys/fs/ext4/$(basename \"$(findmnt -no SOURCE \"$1\")\")/trigger_fs_error\"";
    shell(trigger, &[&point]);
    wait_until(|| ended(&daemon, "error") == 1, || daemon.log());
    // EFSCORRUPTED.
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("file system error")).expect("it is logged");
    assert!(line.contains("rule=error") && line.contains("errno=117") && line.contains("count=1"), "{line}");
    assert_eq!(runs(&place, "error"), [point]);
}

#[test]
fn a_user_is_told_which_capability_is_missing_and_the_rest_goes_on() {
    if !common::require_root("a_user_is_told_which_capability_is_missing_and_the_rest_goes_on") {
        return;
    }
    let place = Place::new(NOBODY);
    let (input, shut) = (place.input(), place.path("shut"));
    fs::create_dir_all(shut.join("in")).expect("directories");
    shell("chmod 700 \"$1\"", &[&shut]);
    let rules = runs_of(&place, "errors", &input, "on = 'fs-error'", "")
        + &runs_of(&place, "shut", &shut.join("in"), "", "")
        + &runs_of(&place, "tree", &input, "scope = 'tree'\nmark = 'filesystem'\non = 'arrived'", "");
    let daemon = Daemon::start(&place, &rules);
    daemon.wait_for_log("armed rule=tree by=directories\n");
    let log = daemon.log();
    let reason = |rule: &str| {
        let line = log.lines().find(|line| line.contains(&format!("degraded rule={rule} ")));
        line.expect("it is degraded").to_owned()
    };
    assert!(reason("errors").contains("CAP_SYS_ADMIN"), "{log}");
    assert!(reason("shut").contains("CAP_DAC_READ_SEARCH"), "{log}");
    fs::write(input.join("f"), "x").expect("a file");
    wait_until(|| runs(&place, "tree") == [input.join("f")], || daemon.log());
}

/// A daemon of nobody in a user namespace of its own, where the ids are those outside.
fn start_in_user_namespace(place: &Place, rules: &str) -> Daemon {
    place.file("facron.toml", rules);
    let mut command = Command::new("unshare");
    let wait_for_maps = format!("read -r _; exec {} \"$@\"", place.program().display());
    command.uid(NOBODY).gid(NOBODY).args(["--user", "sh", "-c", &wait_for_maps, "sh"]).stdin(Stdio::piped());
    let mut daemon = Daemon::spawn(command, place, &[]);
    let own = fs::read_link("/proc/self/ns/user").expect("it is ours");
    let path = |name: &str| PathBuf::from(format!("/proc/{}/{name}", daemon.pid()));
    wait_until(
        || fs::read_link(path("ns/user")).is_ok_and(|other| other != own),
        || "no namespace".to_owned(),
    );
    for map in ["uid_map", "gid_map"] {
        fs::write(path(map), "0 0 4294967295").expect("root may map everybody");
    }
    daemon.child.stdin.take().expect("it is piped").write_all(b"\n").expect("the shell reads it");
    daemon.wait_for_log("ready rules=");
    daemon
}

/// Sets how many marks it may have.
fn limit_marks(daemon: &Daemon, count: u32) {
    let script = format!(
        "nsenter --user --setuid 0 --setgid 0 -t $1 sh -c 'echo {count} >/proc/sys/user/max_fanotify_marks'"
    );
    shell(&script, &[Path::new(&daemon.pid().to_string())]);
}

#[test]
fn what_there_is_no_mark_for_is_said_and_found_once_there_is_one() {
    if !common::require_root("what_there_is_no_mark_for_is_said_and_found_once_there_is_one") {
        return;
    }
    let place = Place::new(NOBODY);
    let tree = place.directory("in/tree");
    let daemon = start_in_user_namespace(&place, &runs_of(&place, "tree", &tree, "scope = 'tree'", ""));
    limit_marks(&daemon, 0);
    place.directory("in/tree/late");
    daemon.wait_for_log("degraded rule=tree ");
    let unseen = place.file("in/tree/late/unseen", "x");
    limit_marks(&daemon, 10_000);
    wait_until(|| runs(&place, "tree").contains(&unseen), || daemon.log());
    wait_until(|| daemon.log().matches("armed rule=tree ").count() == 2, || daemon.log());
    let seen = place.file("in/tree/late/seen", "x");
    wait_until(|| runs(&place, "tree").contains(&seen), || daemon.log());
}

#[test]
fn a_directory_that_may_not_be_read_is_said_and_watched_once_it_may() {
    if !common::require_root("a_directory_that_may_not_be_read_is_said_and_watched_once_it_may") {
        return;
    }
    let place = Place::new(NOBODY);
    let tree = place.directory("in/tree");
    let rules = runs_of(&place, "tree", &tree, "scope = 'tree'", "");
    let shut = ["early", "late"].map(|name| tree.join(name));
    let shut_up = |path: &Path| fs::DirBuilder::new().mode(0o700).create(path).expect("root may");
    let said = |path: &Path, count: usize| {
        let what = "directories of the tree may not be read and are not watched";
        format!("{what} rule=tree count={count} path={}\n", path.display())
    };
    let reason = || {
        let status = place.facron().arg("status").env("RUNTIME_DIRECTORY", place.path("run")).output();
        String::from_utf8(status.expect("facron starts").stdout).expect("UTF-8")
    };
    shut_up(&shut[0]);
    let daemon = Daemon::start(&place, &rules);
    daemon.wait_for_log(&said(&shut[0], 1));
    assert!(reason().contains("early may not be read"), "{}", reason());
    shut_up(&shut[1]);
    daemon.wait_for_log(&said(&shut[0], 2));
    let unseen = shut.clone().map(|path| path.join("unseen"));
    unseen.iter().for_each(|path| fs::write(path, "x").expect("root may"));
    for path in &shut {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("root may");
    }
    wait_until(|| unseen.iter().all(|path| runs(&place, "tree").contains(path)), || daemon.log());
    daemon.wait_for_log("all directories of the tree may be read and are watched rule=tree\n");
    assert!(!reason().contains("may not be read"), "{}", reason());
    let seen = shut.map(|path| path.join("seen"));
    seen.iter().for_each(|path| fs::write(path, "x").expect("root may"));
    wait_until(|| seen.iter().all(|path| runs(&place, "tree").contains(path)), || daemon.log());
    assert_eq!(runs(&place, "tree").len(), 4, "{}", daemon.log());
}

/// Makes a file in a directory that is deeper than PATH_MAX.
fn make_deep_file(tree: &Path) {
    const NAME: &str = "thirty-bytes-for-one-directory";
    let (flags, mode) = (OFlag::O_PATH | OFlag::O_DIRECTORY, Mode::from_bits_truncate(0o755));
    let mut at = open(tree, flags, mode).expect("it is there");
    for _ in 0..200 {
        mkdirat(&at, NAME, mode).expect("made");
        at = openat(&at, NAME, flags, mode).expect("made just now");
    }
    drop(openat(&at, "deep", OFlag::O_CREAT | OFlag::O_WRONLY, mode).expect("made"));
}

#[test]
fn a_tree_is_watched_however_deep_it_is_or_that_is_said() {
    if !common::require_root("a_tree_is_watched_however_deep_it_is_or_that_is_said") {
        return;
    }
    for mark in ["filesystem", "directories"] {
        let place = Place::new(0);
        let tree = place.directory("in/tree");
        let keys = format!("scope = 'tree'\nmark = '{mark}'");
        let daemon = Daemon::start(&place, &runs_of(&place, mark, &tree, &keys, ""));
        make_deep_file(&tree);
        match mark {
            "directories" => {
                let is_found = || runs(&place, mark).iter().any(|path| path.ends_with("deep"));
                wait_until(is_found, || daemon.log());
            }
            _ => daemon.wait_for_log("unnameable directories="),
        }
    }
}

#[test]
fn what_is_still_written_at_a_stop_is_told_when_it_is_finished() {
    if !common::require_root("what_is_still_written_at_a_stop_is_told_when_it_is_finished") {
        return;
    }
    let place = Place::new(0);
    let rules = runs_of(&place, "written", &place.input(), "", "");
    let mut daemon = Daemon::start(&place, &rules);
    let [grows, linked] = ["grows", "linked"].map(|name| place.input().join(name));
    let mut writer = fs::File::create(&grows).expect("a file");
    writer.write_all(b"a part of it").expect("written");
    // Its last close is told of its other name.
    let other = fs::File::create(place.path("elsewhere")).expect("a file");
    fs::hard_link(place.path("elsewhere"), &linked).expect("a link");
    let is_run = |path: &Path| runs(&place, "written").iter().any(|run| run == path);
    for round in ["before", "after"] {
        // What was reported before this is read when it runs.
        let marker = place.file(&format!("in/{round}"), "x");
        wait_until(|| is_run(&marker), || daemon.log());
        assert!(!is_run(&grows) && !is_run(&linked), "{round}: {}", daemon.log());
        if round == "before" {
            assert!(daemon.stop().success());
            daemon = Daemon::launch(&place, &rules);
            // Both lives write to one log.
            wait_until(|| daemon.log().matches("ready rules=").count() == 2, || daemon.log());
        }
    }
    drop((writer, other));
    wait_until(|| is_run(&grows) && is_run(&linked), || daemon.log());
}
