//! Trees that grow while system calls fail: nothing that comes into them is lost sight of, now or later.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::common::{require, require_root};
use crate::harness::{Place, wait_until};
use crate::history::{Changes, Recorder};
use crate::lives::Lives;
use crate::setting;
use crate::sweep::{has_strace, thread_id};

/// The calls by which the loop and the surveyor look at what comes, and the errors that say nothing of it.
const LOOKS: &[(&str, &[&str])] = &[
    ("openat2", &["EMFILE", "ENOMEM"]),
    ("openat", &["EMFILE", "ENOMEM"]),
    ("open_by_handle_at", &["EMFILE", "ENOMEM"]),
    ("name_to_handle_at", &["ENOMEM"]),
    ("readlink,readlinkat", &["ENOMEM"]),
    ("newfstatat,fstat,statx", &["ENOMEM", "EIO"]),
    ("fstatfs", &["ENOMEM"]),
    ("getdents64", &["ENOMEM", "EIO"]),
    ("fanotify_mark", &["ENOMEM", "ENOSPC"]),
    ("fcntl", &["ENOMEM"]),
    ("read", &["EINTR", "EAGAIN", "ENOMEM"]),
    ("poll,epoll_wait", &["EINTR", "ENOMEM"]),
];

#[test]
fn whichever_look_fails_a_growing_tree_is_not_lost_sight_of() {
    let test = "whichever_look_fails_a_growing_tree_is_not_lost_sight_of";
    if !require_root(test) || !require(test, "strace(1)", has_strace()) {
        return;
    }
    let is_full = setting("FACRON_SWEEP", 0) == 1;
    for mark in ["filesystem", "directories"] {
        let place = Place::new(0);
        let recorder = Recorder::new(&place, 8, "");
        let input = place.input();
        fs::create_dir_all(input.join("old/deep")).expect("directories");
        let keys = format!("concurrency = 8\nscope = 'tree'\nmark = '{mark}'");
        let lives = Lives::begin(&place, &recorder.rule("growth", &input, &keys));
        let pid = lives.daemon.pid();
        // Without the flag only some: those of the loop that are about new directories, and the first of the surveyor.
        let numbers = |some| if is_full { 1..=10 } else { some };
        let threads = [(pid.to_string(), numbers(3..=4)), (thread_id(pid, "surveyor"), numbers(1..=2))];
        let mut count = 0;
        for (calls, error) in
            LOOKS.iter().flat_map(|(calls, errors)| errors.iter().map(move |error| (calls, error)))
        {
            for (thread, number) in threads
                .iter()
                .flat_map(|(thread, numbers)| numbers.clone().map(move |number| (thread, number)))
            {
                count += 1;
                let what = format!("{mark}: {calls} number {number} of thread {thread} fails with {error}");
                let mut changes = Changes::default();
                let mut strace = fail(thread, calls, error, number);
                grow(&place, &mut changes, count);
                strace.kill().and_then(|()| strace.wait()).expect("it is our child");
                // Seen again, though what came before may still be looked for.
                changes.write(&input.join(format!("new{count}/last{count}")));
                recorder.wait_until_answered(&changes, || format!("{what}\n{}", lives.daemon.log()));
            }
        }
    }
}

/// Has a call of a thread fail, from when this returns.
fn fail(thread: &str, calls: &str, error: &str, number: u32) -> Child {
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-o", "/dev/null", "-p", thread, "-e", &format!("trace={calls}")]);
    strace.args(["-e", &format!("inject={calls}:error={error}:when={number}")]);
    let strace = strace.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("strace starts");
    let is_traced = || {
        let status = fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
        status.lines().any(|line| line.strip_prefix("TracerPid:").is_some_and(|pid| pid.trim() != "0"))
    };
    wait_until(is_traced, || "strace does not trace".to_owned());
    strace
}

/// Everything that can come into a tree: new directories with something in them, files with one name and with two, and
/// directories that had their files before.
fn grow(place: &Place, changes: &mut Changes, number: u32) {
    let pause = || std::thread::sleep(Duration::from_millis(50));
    let (input, aside) = (place.input(), place.directory("aside"));
    let new = input.join(format!("new{number}/deep"));
    fs::create_dir_all(&new).expect("directories");
    changes.write(&new.join(format!("once{number}")));
    let old = input.join(format!("old/deep/old{number}"));
    changes.write(&old);
    changes.link(&old, &input.join(format!("old/link{number}")));
    let moved = |parent: &Path| parent.join(format!("moved{number}"));
    fs::create_dir(moved(&aside)).expect("a directory");
    fs::write(moved(&aside).join(format!("was{number}")), "0\n").expect("a file");
    fs::rename(moved(&aside), moved(&input)).expect("on one file system");
    changes.came(&moved(&input).join(format!("was{number}")), 0);
    pause();
    changes.write(&new.join(format!("later{number}")));
    changes.write(&moved(&input).join(format!("after{number}")));
    pause();
}
