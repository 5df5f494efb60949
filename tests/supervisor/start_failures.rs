//! Commands that cannot start: each with its own class, errno and way out, and the supervisor goes on.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use facron::engine::{Exit, START_FAILURES, StartFailure};
use facron::event::Event;
use facron::rule::{Output, Rule};
use facron::supervisor::{Options, SupervisorNotice};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::common;
use crate::supervised::*;

/// A directory below /run, where root trusts programs; elsewhere for other users.
fn place() -> tempfile::TempDir {
    let parent = if nix::unistd::geteuid().is_root() { "/run" } else { "/tmp" };
    tempfile::Builder::new().prefix("facron-start-").tempdir_in(parent).expect("a directory")
}

fn file(directory: &Path, name: &str, text: &[u8], mode: u32) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("mode set");
    path
}

/// A rule that runs this program.
fn runs(program: &Path, keys: &str) -> Rule {
    rule(&[program.to_str().expect("UTF-8")], keys)
}

#[track_caller]
fn refusal(rule: Rule, class: &str, words: &[&str]) -> StartFailure {
    let mut supervised = Supervised::new();
    let failure = match supervised.start(rule) {
        Err(failure) => failure,
        Ok(run) => supervised.late_refusal(run).expect(class),
    };
    assert_eq!(failure.class.as_str(), class, "{failure:?}");
    for word in words {
        assert!(failure.message.contains(word), "no {word:?} in {failure:?}");
    }
    assert!(!failure.message.contains('\n'), "{failure:?}");
    assert_eq!(supervised.supervisor.running().len(), 0);
    // It goes on.
    assert_eq!(supervised.run(rule_of_nothing()).exit, Exit::Code(0));
    failure
}

fn rule_of_nothing() -> Rule {
    rule(&["/bin/sh", "-c", ":"], "")
}

#[test]
fn programs_that_cannot_run_are_told_apart() {
    let place = place();
    let at = place.path();
    symlink("loop", at.join("loop")).expect("linked");
    nix::unistd::mkfifo(&at.join("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o755)).expect("made");
    let elf = [&b"\x7fELF\x02\x01\x01\0"[..], &[0; 120]].concat();
    for (program, class, words) in [
        (at.join("missing"), "missing", &["no such file"][..]),
        (at.join("text/x"), "missing", &[]),
        (at.join("loop"), "missing", &["symbolic links"]),
        (PathBuf::from("relative"), "missing", &["absolute path"]),
        (at.to_owned(), "not-executable", &["directory"]),
        (file(at, "plain", b"#!/bin/sh\n", 0o644), "not-executable", &["chmod +x"]),
        (at.join("fifo"), "not-executable", &["not a regular file"]),
        (file(at, "empty", b"", 0o755), "not-a-program", &["empty"]),
        (file(at, "text", b"echo hello\n", 0o755), "not-a-program", &["#!/bin/sh", "no shell by itself"]),
        (file(at, "elf", &elf, 0o755), "not-a-program", &[]),
        (file(at, "blank", b"#! \n", 0o755), "not-a-program", &["names no interpreter"]),
        (
            file(at, "crlf", b"#!/bin/sh\r\necho\r\n", 0o755),
            "interpreter",
            &["carriage return", r"/bin/sh\x0d"],
        ),
        (
            file(at, "gone", b"#!/does/not/exist -x\n", 0o755),
            "interpreter",
            &["/does/not/exist does not exist"],
        ),
    ] {
        let failure = refusal(runs(&program, ""), class, words);
        assert!(!failure.is_transient, "{failure:?}");
    }
}

#[test]
fn a_program_that_is_being_written_is_tried_again() {
    let place = place();
    let path = file(place.path(), "busy", &fs::read("/bin/true").expect("there is one"), 0o755);
    let writer = fs::OpenOptions::new().append(true).open(&path).expect("opened");
    assert!(refusal(runs(&path, ""), "busy", &["open for writing"]).is_transient);
    drop(writer);
    assert_eq!(Supervised::new().run(runs(&path, "")).exit, Exit::Code(0));
}

#[test]
fn what_is_longer_than_the_kernel_takes_is_said() {
    let long = event(PathBuf::from(format!("/{}", "x".repeat(131_072))));
    let told = with_path_argument(rule(&["/bin/true"], "batch = true"));
    let mut supervised = Supervised::new();
    let failure = supervised.start_for(told, vec![long]).expect_err("too long");
    assert_eq!((failure.class.as_str(), failure.is_transient), ("too-long", false));
    let many: Vec<Event> = (0..50_000).map(|number| event(format!("/{number:0>120}"))).collect();
    let rule = with_path_argument(rule(&["/bin/true"], "batch = true"));
    let failure = supervised.start_for(rule, many).expect_err("too many");
    assert_eq!(failure.class.as_str(), "too-long");
    assert!(failure.message.contains("paths0"), "{failure:?}");
}

fn with_path_argument(mut rule: Rule) -> Rule {
    use facron::rule::Command;
    use facron::template::Template;
    if let Command::Argv(words) = &mut rule.command {
        *words = words.iter().cloned().chain([Template::Paths]).collect();
    }
    rule
}

#[test]
fn a_working_directory_that_cannot_be_entered_is_said() {
    let place = place();
    let missing = place.path().join("missing");
    refusal(
        runs(Path::new("/bin/true"), &format!("cwd = '{}'", missing.display())),
        "directory",
        &["no such file"],
    );
    if !common::require_root("a_working_directory_that_cannot_be_entered_is_said") {
        return;
    }
    // Root could enter it; the command's user cannot, and that counts.
    let closed = place.path().join("closed");
    fs::create_dir(&closed).expect("made");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("mode set");
    let keys = format!("cwd = '{}'\nuser = 'nobody'", closed.display());
    refusal(runs(Path::new("/bin/true"), &keys), "directory", &["as user nobody: permission denied"]);
}

#[test]
fn a_noexec_mount_is_said() {
    if !common::require_root("a_noexec_mount_is_said") {
        return;
    }
    let place = place();
    let nothing = None::<&str>;
    mount(Some("facron"), place.path(), Some("tmpfs"), MsFlags::MS_NOEXEC, nothing).expect("mounted");
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("mode set");
    let path = file(place.path(), "x", b"#!/bin/sh\n", 0o755);
    let failure = std::panic::catch_unwind(|| refusal(runs(&path, ""), "not-executable", &["noexec"]));
    umount2(place.path(), MntFlags::MNT_DETACH).expect("unmounted");
    failure.expect("as expected");
}

#[test]
fn root_does_not_run_what_others_may_write() {
    if !common::require_root("root_does_not_run_what_others_may_write") {
        return;
    }
    let place = place();
    let open = place.path().join("open");
    fs::create_dir(&open).expect("made");
    for (mode, name, words) in [
        (0o755, file(&open, "world", b"#!/bin/sh\n", 0o777), &["chmod go-w", "world"]),
        (
            0o775,
            file(&open, "fine", b"#!/bin/sh\n", 0o755),
            &["chmod go-w", "open is writable by others (mode 0775)"],
        ),
    ] {
        fs::set_permissions(&open, fs::Permissions::from_mode(mode)).expect("mode set");
        refusal(runs(&name, ""), "untrusted", words);
        // A link does not hide it.
        let link = place.path().join("link");
        symlink(&name, &link).expect("linked");
        refusal(runs(&link, ""), "untrusted", words);
        fs::remove_file(&link).expect("removed");
        // It is not root's affair what others run.
        assert_eq!(Supervised::new().run(runs(&name, "user = 'nobody'")).exit, Exit::Code(0));
        let mut insecure = Supervised::with(Options { is_insecure: true, ..Options::default() });
        assert_eq!(insecure.run(runs(&name, "")).exit, Exit::Code(0));
    }
}

#[test]
fn limits_that_cannot_be_set_are_said() {
    if !common::require_root("limits_that_cannot_be_set_are_said") {
        return;
    }
    // Nobody, not even root, may have more descriptors than fs.nr_open.
    let rule = runs(Path::new("/bin/true"), "limits = { nofile = 'unlimited' }");
    refusal(rule, "limits", &["resource limits"]);
    // RLIMIT_NPROC counts all processes of the user, and says no at execve(2).
    let mut other = Supervised::new();
    other.start(script("echo here; exec sleep 1000", "user = 'nobody'")).expect("started");
    other.wait_for(|notice| matches!(notice, SupervisorNotice::Output { .. }));
    let rule = runs(Path::new("/bin/true"), "user = 'nobody'\nlimits = { nproc = 0 }");
    assert!(refusal(rule, "resources", &["as many processes as it may"]).is_transient);
    drop(other);
    let rule = runs(
        Path::new("/bin/sh"),
        "limits = { nofile = 17, core = 0, fsize = '1K' }\nnice = 7\numask = '0027'",
    );
    let rule = with_arguments(rule, &["-c", "ulimit -n; ulimit -c; nice; umask"]);
    assert_eq!(Supervised::new().run(rule).out, "17\n0\n7\n0027\n");
}

fn with_arguments(mut rule: Rule, arguments: &[&str]) -> Rule {
    use facron::rule::Command;
    use facron::template::Template;
    if let Command::Argv(words) = &mut rule.command {
        *words = words.iter().cloned().chain(arguments.iter().map(|word| Template::literal(word))).collect();
    }
    rule
}

/// A rule that writes `x` to a file, as this user.
fn writes(path: &Path, keys: &str) -> Rule {
    let mut rule = script("echo x", keys);
    rule.setting.output = Output::File(path.to_owned());
    rule
}

#[test]
fn an_output_file_is_appended_to_and_never_led_elsewhere() {
    if !common::require_root("an_output_file_is_appended_to_and_never_led_elsewhere") {
        return;
    }
    const NOBODY: u32 = 65_534;
    let place = place();
    let at = |name: &str| place.path().join(name);
    let log = at("log");
    for expected in ["x\n", "x\nx\n"] {
        assert_eq!(Supervised::new().run(writes(&log, "")).exit, Exit::Code(0));
        assert_eq!(fs::read_to_string(&log).expect("written"), expected);
    }
    let mode = fs::metadata(&log).expect("there").permissions().mode();
    assert_eq!(mode & 0o7777, 0o640 & !0o022 & mode, "nobody else may write it: {mode:o}");

    symlink(&log, at("link")).expect("linked");
    fs::hard_link(&log, at("second")).expect("linked");
    nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("made");
    refusal(writes(&at("link"), ""), "output", &["symbolic link"]);
    refusal(writes(&at("second"), ""), "output", &["2 names"]);
    fs::remove_file(at("second")).expect("removed");
    refusal(writes(&at("fifo"), ""), "output", &["not a regular file"]);
    refusal(writes(place.path(), ""), "output", &["directory"]);
    refusal(writes(&at("missing/log"), ""), "output", &["no such file"]);
    chown(&log, Some(12_345), None).expect("given away");
    refusal(writes(&log, ""), "output", &["belongs to user 12345"]);

    // In a directory that somebody else may write, and so put a link there at any time.
    let shared = at("shared");
    fs::create_dir(&shared).expect("made");
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).expect("mode set");
    refusal(writes(&shared.join("log"), ""), "output", &["shared is writable by others"]);

    // A user's own directory is good enough for the user's own rule, and the file is the user's.
    let own = at("own");
    fs::create_dir(&own).expect("made");
    chown(&own, Some(NOBODY), None).expect("given away");
    refusal(writes(&own.join("log"), ""), "output", &["own belongs to user 65534"]);
    assert_eq!(Supervised::new().run(writes(&own.join("log"), "user = 'nobody'")).exit, Exit::Code(0));
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(own.join("log")).expect("made"));
    assert_eq!(owner, NOBODY);
    // But a file of root's that was put there is not.
    fs::write(own.join("root"), "").expect("written");
    refusal(writes(&own.join("root"), "user = 'nobody'"), "output", &["belongs to user 0"]);
}

#[test]
fn every_class_has_its_real_cause_in_a_test() {
    let sources = [
        include_str!("start_failures.rs"),
        include_str!("containment.rs"),
        include_str!("identity.rs"),
        include_str!("runs.rs"),
    ];
    for (word, ..) in START_FAILURES.iter().filter(|(word, ..)| *word != "other") {
        assert!(sources.iter().any(|source| source.contains(&format!("\"{word}\""))), "{word}");
    }
}
