//! The main job on the real kernel: a file changes, the command runs under supervision.
#![expect(clippy::disallowed_methods, reason = "the test plays the people around facron")]

mod common;
#[path = "common/daemon.rs"]
mod harness;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use harness::{Daemon, NOBODY, Place, facron, is_root, wait_until};

/// The users as whom a test can run: root and nobody, or whoever runs it.
fn users(test: &str) -> Vec<u32> {
    if common::require_root(test) { vec![0, NOBODY] } else { vec![nix::unistd::geteuid().as_raw()] }
}

/// A script that appends its arguments, each with a NUL behind it and a record separator at the end, in one write.
const RECORD: &str = r#"#!/bin/sh
{ printf '%s\0' "$@"; printf '\036'; } | dd bs=1M iflag=fullblock oflag=append conv=notrunc of="$OUT" 2>/dev/null
"#;

/// What [`RECORD`] wrote: the arguments of each run.
fn records(path: &Path) -> Vec<Vec<Vec<u8>>> {
    let bytes = fs::read(path).unwrap_or_default();
    let mut records: Vec<&[u8]> = bytes.split(|byte| *byte == 0x1e).collect();
    records.pop();
    let arguments = |record: &[u8]| {
        let mut arguments: Vec<Vec<u8>> = record.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
        arguments.pop();
        arguments
    };
    records.into_iter().map(arguments).collect()
}

/// The hostile names of tests/hostile/names.tsv.
fn hostile_names() -> Vec<PathBuf> {
    let table = include_str!("hostile/names.tsv");
    let hex = table.lines().skip(1).map(|line| line.split('\t').nth(2).expect("three columns"));
    let byte = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).expect("hex");
        u8::from_str_radix(text, 16).expect("hex")
    };
    let name = |hex: &str| hex.as_bytes().chunks(2).map(byte).collect::<Vec<u8>>();
    hex.map(|hex| PathBuf::from(std::ffi::OsString::from_vec(name(hex)))).collect()
}

#[test]
fn a_classic_line_becomes_a_rule_that_runs() {
    for user in users("a_classic_line_becomes_a_rule_that_runs") {
        let place = Place::new(user);
        let input = place.input();
        let out = place.directory("out").join("runs");
        let script = place.script("script", &RECORD.replace("$OUT", out.to_str().expect("UTF-8")));
        let classic =
            format!("{} FAN_MODIFY|FAN_EVENT_ON_CHILD {} fromFacron $$\n", input.display(), script.display());
        place.file("facron.conf", &classic);

        let import = place
            .facron()
            .args(["import", "--debounce", "100ms", "--timeout", "10s", "--concurrency", "1"])
            .arg(place.path("facron.conf"))
            .output()
            .expect("facron import starts");
        let messages = String::from_utf8_lossy(&import.stderr).into_owned();
        assert!(import.status.success(), "{messages}");
        let rules = String::from_utf8(import.stdout).expect("a rule file is UTF-8");
        place.file("facron.toml", &rules);

        let check = place
            .facron()
            .args(["check", "--strict", "-c"])
            .arg(place.path("facron.toml"))
            .output()
            .expect("facron check starts");
        assert!(check.status.success(), "{rules}\n{}", String::from_utf8_lossy(&check.stderr));

        let file = input.join("a file");
        fs::write(&file, "one").expect("write");
        let mut daemon = Daemon::start(&place, &rules);
        for _ in 0..5 {
            fs::write(&file, "two").expect("write");
        }
        daemon.wait_for_log("run ended");
        let expected = vec![b"fromFacron".to_vec(), file.as_os_str().as_bytes().to_vec()];
        let runs = records(&out);
        assert!(runs.iter().all(|run| *run == expected), "{runs:?}");
        assert!((1..=2).contains(&runs.len()), "five writes within the debounce are one run: {runs:?}");
        assert!(daemon.log().contains("outcome=exit:0"), "{}", daemon.log());

        fs::write(&script, "#!/bin/sh\nexit 3\n").expect("write");
        fs::write(&file, "three").expect("write");
        daemon.wait_for_log("outcome=exit:3");
        assert_eq!(daemon.stop().code(), Some(0));
    }
}

#[test]
fn hostile_names_arrive_byte_for_byte() {
    for user in users("hostile_names_arrive_byte_for_byte") {
        let place = Place::new(user);
        let input = place.input();
        let out = place.directory("out");
        let names = hostile_names();
        let record = place.script(
            "record",
            &format!(
                "#!/bin/sh\nstdin=$(mktemp {0}/stdin.XXXXXX)\ncat > \"$stdin\"\n\
                 {{ printf '%s\\0' \"$1\" \"$FACRON_PATH\"; cat \"$stdin\"; printf '\\036'; }} > \"$stdin.all\"\n\
                 cat \"$stdin.all\" >> {0}/runs\n",
                out.display()
            ),
        );
        let rules = format!(
            "[[rule]]\nname = 'names'\npath = '{}'\non = 'arrived'\nstdin = 'paths0'\ncommand = ['{}', '$$']\n",
            input.display(),
            record.display()
        );
        let mut daemon = Daemon::start(&place, &rules);
        for name in &names {
            fs::write(input.join(name), "x").expect("a hostile name can be made");
        }
        let seen =
            |out: &Path| -> BTreeSet<Vec<Vec<u8>>> { records(&out.join("runs")).into_iter().collect() };
        let expected = |directory: &Path| -> BTreeSet<Vec<Vec<u8>>> {
            names.iter().map(|name| vec![directory.join(name).into_os_string().into_vec(); 3]).collect()
        };
        let created = expected(&input);
        wait_until(
            || seen(&out).len() >= created.len(),
            || format!("missing: {:?}", created.difference(&seen(&out)).collect::<Vec<_>>()),
        );
        assert_eq!(seen(&out), created);

        // The same, renamed into place.
        fs::remove_file(out.join("runs")).expect("remove");
        let outside = place.directory("outside");
        for name in &names {
            let from = outside.join("x");
            fs::write(&from, "y").expect("write");
            fs::rename(from, input.join(name)).expect("a file can be renamed to a hostile name");
        }
        wait_until(
            || seen(&out).len() >= created.len(),
            || format!("missing: {:?}", created.difference(&seen(&out)).collect::<Vec<_>>()),
        );
        assert_eq!(seen(&out), created);
        assert_eq!(daemon.stop().code(), Some(0));

        for line in daemon.log().lines() {
            assert!(!line.chars().any(char::is_control), "{line:?}");
            assert!(line.starts_with("20"), "one event is one line: {line:?}");
        }
        let pwned = Command::new("find")
            .arg(place.path(""))
            .args(["/", "-maxdepth", "1", "-name", "PWNED*"])
            .output();
        let pwned = pwned.expect("find").stdout;
        let found: Vec<&OsStr> = pwned.split(|byte| *byte == b'\n').map(OsStr::from_bytes).collect();
        assert_eq!(found, [OsStr::new("")], "nothing of a name was executed");
    }
}

#[test]
fn files_in_directories_that_were_made_a_moment_ago_are_seen() {
    for user in users("files_in_directories_that_were_made_a_moment_ago_are_seen") {
        let place = Place::new(user);
        let input = place.input();
        let out = place.directory("out").join("runs");
        let script = place.script("script", &RECORD.replace("$OUT", out.to_str().expect("UTF-8")));
        let rules = format!(
            "[[rule]]\nname = 'tree'\npath = '{}'\nscope = 'tree'\non = 'arrived'\nbatch = true\ndebounce = '50ms'\n\
             command = ['{}', '{{paths}}']\n",
            input.display(),
            script.display()
        );
        let _daemon = Daemon::start(&place, &rules);
        let mut expected = BTreeSet::new();
        for number in 0..300 {
            let directory = input.join(format!("{number}/a/b"));
            fs::create_dir_all(&directory).expect("mkdir -p");
            fs::write(directory.join("f"), "x").expect("write");
            expected.insert(directory.join("f").into_os_string().into_vec());
        }
        let seen = || -> BTreeSet<Vec<u8>> { records(&out).into_iter().flatten().collect() };
        wait_until(
            || seen().is_superset(&expected),
            || format!("{} of 300 are missing", expected.difference(&seen()).count()),
        );
        assert_eq!(seen(), expected);
    }
}

#[test]
fn every_manner_of_saving_a_file_fires() {
    let saves: &[(&str, &str)] = &[
        ("in place", "echo x > f"),
        ("mv over", "echo x > ../t; mv ../t f"),
        ("sed -i", "sed -i s/x/x/ f"),
        ("delete and remake", "rm f; echo x > f"),
        ("vim", "rm -f 4913; echo x > 4913; rm 4913; mv f f~; echo x > f; rm f~"),
        ("install", "echo x > ../t; install -m 644 ../t f"),
    ];
    for user in users("every_manner_of_saving_a_file_fires") {
        let place = Place::new(user);
        let input = place.input();
        place.file("in/f", "x\n");
        let out = place.directory("out").join("runs");
        let script = place.script("script", &RECORD.replace("$OUT", out.to_str().expect("UTF-8")));
        let rules = format!(
            "[[rule]]\nname = 'file'\npath = '{}/f'\non = 'arrived'\ncommand = ['{}', '{{path}}']\n",
            input.display(),
            script.display()
        );
        let _daemon = Daemon::start(&place, &rules);
        for (manner, save) in saves {
            for number in 0..10 {
                let before = records(&out).len();
                let mut command = Command::new("sh");
                command.args(["-c", save]).current_dir(&input);
                if is_root() && user != 0 {
                    std::os::unix::process::CommandExt::uid(&mut command, user);
                }
                assert!(command.status().expect("sh").success());
                wait_until(
                    || records(&out).len() > before,
                    || format!("{manner}: save {number} did not fire"),
                );
            }
        }
        let path = input.join("f").into_os_string().into_vec();
        assert!(records(&out).iter().all(|run| *run == [path.clone()]));
    }
}

#[test]
fn a_change_during_a_run_gets_a_run_after_it_and_concurrency_holds() {
    for user in users("a_change_during_a_run_gets_a_run_after_it_and_concurrency_holds") {
        let place = Place::new(user);
        let input = place.input();
        let out = place.directory("out").join("runs");
        // Each run says when it begins and ends, with what the file held when it looked.
        let script = place.script(
            "script",
            &format!(
                "#!/bin/sh\necho \"begin $(cat \"$1\")\" >> {0}\nsleep 0.2\necho end >> {0}\n",
                out.display()
            ),
        );
        let rules = format!(
            "[[rule]]\nname = 'two'\npath = '{}'\non = 'close-write'\nconcurrency = 2\ncommand = ['{}', '{{path}}']\n",
            input.display(),
            script.display()
        );
        let _daemon = Daemon::start(&place, &rules);
        for round in 1..=3 {
            for file in ["a", "b", "c", "d"] {
                fs::write(input.join(file), format!("{file}{round}")).expect("write");
            }
            std::thread::sleep(Duration::from_millis(70));
        }
        let lines = || -> Vec<String> {
            fs::read_to_string(&out).unwrap_or_default().lines().map(str::to_owned).collect()
        };
        let is_covered = |file: &str| lines().iter().any(|line| *line == format!("begin {file}3"));
        wait_until(|| ["a", "b", "c", "d"].iter().all(|file| is_covered(file)), || format!("{:?}", lines()));
        let (mut alive, mut alive_max) = (0_i32, 0);
        for line in lines() {
            alive += if line.starts_with("begin") { 1 } else { -1 };
            alive_max = alive_max.max(alive);
        }
        assert!(alive_max <= 2, "{:?}", lines());
    }
}

#[test]
fn a_program_that_others_may_write_is_warned_of_at_the_start_and_at_a_reload() {
    if !common::require_root("a_program_that_others_may_write_is_warned_of_at_the_start_and_at_a_reload") {
        return;
    }
    let place = Place::new(0);
    let program = place.script("open", "#!/bin/sh\n");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o777)).expect("chmod");
    let rule = |name: &str, keys: &str| {
        let (input, program) = (place.input(), program.display());
        format!("[[rule]]\nname = '{name}'\npath = '{}'\ncommand = '{program}'\n{keys}\n", input.display())
    };
    // Of a program that two rules have it is said once; what nobody runs is not root's affair.
    let rules = rule("a", "") + &rule("b", "") + &rule("c", "user = 'nobody'");
    let daemon = Daemon::start(&place, &rules);
    let warnings = || {
        let log = daemon.log();
        let lines = log.lines().filter(|line| line.contains("program is not to be trusted"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let [warning] = &warnings()[..] else { panic!("{}", daemon.log()) };
    assert!(
        warning.contains("rule=a") && warning.contains("mode 0777") && warning.contains("chmod go-w"),
        "{warning}"
    );
    daemon.signal(libc::SIGHUP);
    wait_until(|| warnings().len() == 2, || daemon.log());
}

#[test]
fn idle_is_idle_and_small() {
    if !common::require_root("idle_is_idle_and_small") {
        return;
    }
    let place = Place::new(0);
    // One whose path is there, and one that waits for its path.
    let rule = |name: &str, path: &Path| {
        format!(
            "[[rule]]\nname = '{name}'\npath = '{}'\nscope = 'tree'\ncommand = ['/bin/true']\n",
            path.display()
        )
    };
    let rules = rule("idle", &place.input()) + &rule("waits", &place.path("missing/below"));
    let daemon = Daemon::start_alone(&place, &rules);
    let status = |field: &str| -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("the daemon is alive");
        let value = |task: std::io::Result<fs::DirEntry>| -> u64 {
            let status = fs::read_to_string(task.expect("a task").path().join("status")).expect("status");
            let line =
                status.lines().find(|line| line.starts_with(field)).expect("the field is there").to_owned();
            line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
        };
        if field.to_lowercase().contains("rss") {
            tasks.map(value).max().unwrap_or(0)
        } else {
            tasks.map(value).sum()
        }
    };
    // What a start leaves behind may settle first; then ten seconds must be without a wake-up.
    let quiet = |span: Duration| {
        let before = status("voluntary_ctxt_switches");
        let end = Instant::now() + span;
        while Instant::now() < end {
            std::thread::sleep(Duration::from_millis(100));
        }
        status("voluntary_ctxt_switches") - before
    };
    wait_until(|| quiet(Duration::from_secs(2)) == 0, || "it never settles".to_owned());
    assert_eq!(quiet(Duration::from_secs(10)), 0, "wake-ups in ten idle seconds");
    // The code of a debug build is several times as large; what the daemon keeps for itself is the same.
    let resident = status(if cfg!(debug_assertions) { "RssAnon" } else { "VmRSS" });
    assert!(resident <= 12 * 1024, "{resident} KiB resident");
}

#[test]
fn a_mount_namespace_of_its_own_does_not_blind_the_daemon() {
    if !common::require_root("a_mount_namespace_of_its_own_does_not_blind_the_daemon") {
        return;
    }
    for mark in ["directories", "filesystem"] {
        let place = Place::new(0);
        let rules = format!(
            "[[rule]]\nname = 'r'\npath = '{}'\nscope = 'tree'\nmark = '{mark}'\ncommand = ['/bin/true']\n",
            place.input().display()
        );
        let daemon = Daemon::start_alone(&place, &rules);
        let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).expect("it lives");
        assert_ne!(namespace(&daemon.pid().to_string()), namespace("self"));
        fs::write(place.input().join("f"), "x").expect("written by the mounts of this process");
        daemon.wait_for_log("run ended rule=r");
    }
}

/// The steps from the daemon to another user's command whose order matters. While the ids change, nothing of the
/// daemon's may be open any more: whoever has them could take it.
const STEPS: &[&str] = &[
    "setsid(",
    "close_range(",
    "close_range(3, ",
    "setgroups(",
    "setresgid(65534, 65534, 65534",
    "setresuid(65534, 65534, 65534",
    "setresuid(-1, 0, -1",
    "chdir(",
    "prctl(PR_SET_NO_NEW_PRIVS",
    "execve(\"/bin/true\"",
];

#[test]
fn descriptors_are_closed_before_the_ids_change_and_groups_change_before_the_user() {
    let test = "descriptors_are_closed_before_the_ids_change_and_groups_change_before_the_user";
    let has_strace = Command::new("strace").arg("-V").output().is_ok();
    if !common::require_root(test) || !common::require(test, "strace(1)", has_strace) {
        return;
    }
    let place = Place::new(0);
    let path = place.input();
    let keys = "user = '65534'\ngroup = '65534'\ncommand = ['/bin/true']";
    place.file("facron.toml", &format!("[[rule]]\nname = 'r'\npath = '{}'\n{keys}\n", path.display()));
    let (trace, calls) =
        (place.path("trace"), "setsid,close_range,setgroups,setresgid,setresuid,chdir,prctl,execve");
    let mut command = Command::new("strace");
    // -D: strace is the child, and the daemon is what was started.
    command.args(["-D", "-f", "-qq", "-e", calls, "-o"]).arg(&trace).arg(facron().get_program());
    let mut daemon = Daemon::spawn(command, &place, &[]);
    daemon.wait_for_log("ready rules=");
    fs::write(path.join("f"), "x").expect("written");
    daemon.wait_for_log("run ended rule=r");
    assert!(daemon.stop().success());
    let trace = fs::read_to_string(trace).expect("a trace");
    let lines: Vec<(&str, &str)> = trace.lines().filter_map(|line| line.split_once(' ')).collect();
    let is_command = |(_, call): &&(&str, &str)| call.trim_start().starts_with("execve(\"/bin/true\"");
    let (pid, _) = lines.iter().find(is_command).expect("the command was started");
    let calls = lines.iter().filter(|(of, _)| of == pid).map(|(_, call)| call.trim_start());
    let calls: Vec<&str> = calls.filter(|call| call.contains('(')).take(STEPS.len()).collect();
    let is_right =
        calls.len() == STEPS.len() && calls.iter().zip(STEPS).all(|(call, step)| call.starts_with(step));
    assert!(is_right, "{calls:#?}");
}
