//! The kernel's queue between two lives: a mock of the service manager keeps the groups, and gives them back.
#![expect(
    clippy::disallowed_methods,
    reason = "the daemon and its neighbours are processes, and the manager is a thread"
)]

mod common;
#[path = "common/daemon.rs"]
#[allow(dead_code, clippy::allow_attributes, reason = "shared with tests that need other parts of it")]
mod harness;
#[path = "faults/history.rs"]
#[allow(dead_code, clippy::allow_attributes, reason = "shared with tests that need other parts of it")]
mod history;

use std::fs;
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use common::require_root;
use harness::{Daemon, Place, facron, wait_until};
use history::{Changes, Recorder};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

/// Whatever a daemon tells of, one at a time.
const WATCHED: &str = "scope = 'tree'\non = ['delete', 'modify', 'create', 'arrived']\ndebounce = '50ms'";

/// The service manager: what it keeps, by name.
struct Keeper {
    socket: PathBuf,
    heard: Receiver<(String, Option<OwnedFd>)>,
    kept: Vec<(String, OwnedFd)>,
}

impl Keeper {
    fn listen(place: &Place) -> Keeper {
        let path = place.path("notify");
        let socket = UnixDatagram::bind(&path).expect("bound");
        let (sender, heard) = channel();
        // Ends with the test: nobody hears it any more.
        std::thread::spawn(move || while sender.send(receive(&socket)).is_ok() {});
        Keeper { socket: path, heard, kept: Vec::new() }
    }

    /// Hears until all that was said up to a message that begins so is heard.
    fn hear_until(&mut self, words: &str) {
        loop {
            let (message, fd) = self.heard.recv_timeout(Duration::from_secs(60)).expect("a message comes");
            let name = message.lines().find_map(|line| line.strip_prefix("FDNAME="));
            if message.starts_with("FDSTORE=1\n") {
                let name = name.expect("it has a name").to_owned();
                self.kept.push((name, fd.expect("it comes with a descriptor")));
            } else if message.starts_with("FDSTOREREMOVE=1\n") {
                let name = name.expect("it has a name");
                self.kept.retain(|(other, _)| other != name);
            }
            if message.starts_with(words) {
                return;
            }
        }
    }

    fn names(&self) -> Vec<&str> {
        self.kept.iter().map(|(name, _)| &**name).collect()
    }

    /// A life that is given what is kept, at most two descriptors; it is ready.
    fn begin_life(&mut self, place: &Place) -> Daemon {
        let names = self.names().join(":");
        // Standard input and output are what a process can be started with; the shell puts them in their places.
        let begin = "exec 3<&0 4<&1 </dev/null >/dev/null; LISTEN_PID=$$ exec \"$@\"";
        let only = "exec 3<&0 </dev/null >/dev/null; LISTEN_PID=$$ exec \"$@\"";
        let program = facron();
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(if self.kept.len() == 2 { begin } else { only });
        command.arg("sh").arg(program.get_program());
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/");
        command.env("NOTIFY_SOCKET", &self.socket).env("LISTEN_FDNAMES", names);
        command.env("LISTEN_FDS", self.kept.len().to_string()).stdin(Stdio::null()).stdout(Stdio::null());
        let mut copies = self.kept.iter().map(|(_, fd)| fd.try_clone().expect("a copy"));
        if let Some(fd) = copies.next() {
            command.stdin(fd);
        }
        if let Some(fd) = copies.next() {
            command.stdout(fd);
        }
        assert!(copies.next().is_none(), "a third descriptor is kept: {:?}", self.names());
        let daemon = Daemon::spawn(command, place, &[]);
        self.hear_until("READY=1\n");
        daemon
    }
}

fn receive(socket: &UnixDatagram) -> (String, Option<OwnedFd>) {
    let mut bytes = [0; 4096];
    let mut room = nix::cmsg_space!([i32; 4]);
    let (count, fd) = {
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message =
            recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut room), flags).expect("a message comes");
        let fd = message.cmsgs().expect("whole messages").find_map(|message| match message {
            ControlMessageOwned::ScmRights(fds) => fds.first().map(|fd| own(*fd)),
            _ => None,
        });
        (message.bytes, fd)
    };
    (String::from_utf8(bytes[..count].to_vec()).expect("text"), fd)
}

#[expect(unsafe_code, reason = "a descriptor that was handed over comes as a number")]
fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: recvmsg(2) has just made it, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Ends a life.
fn end(daemon: &mut Daemon, signal: i32) {
    daemon.signal(signal);
    daemon.wait();
}

fn what_happens_meanwhile_reaches_a_run(signal: i32, mark: &str) {
    let place = Place::new(0);
    let mut keeper = Keeper::listen(&place);
    let recorder = Recorder::new(&place, 1, "");
    let (input, mut changes) = (place.input(), Changes::default());
    for directory in ["", "stays", "goes", "goes/deep", "moves"] {
        fs::create_dir_all(input.join(directory)).expect("mkdir");
        for name in ["removed", "written"] {
            fs::write(input.join(directory).join(name), "0\n").expect("written");
        }
    }
    place.file("facron.toml", &recorder.rule("kept", &input, &format!("{WATCHED}\nmark = '{mark}'")));
    let mut daemon = keeper.begin_life(&place);
    let first = keeper.names().join(" ");
    assert!(first.starts_with("facron-fanotify-life1-group0-pid"), "{first}");
    end(&mut daemon, signal);

    for directory in ["", "stays"] {
        changes.remove(&input.join(directory).join("removed"));
        changes.write(&input.join(directory).join("written"));
    }
    for name in ["goes/deep/removed", "goes/deep/written", "goes/removed", "goes/written"] {
        changes.remove(&input.join(name));
    }
    fs::remove_dir(input.join("goes/deep")).expect("it is empty");
    fs::remove_dir(input.join("goes")).expect("it is empty");
    fs::rename(input.join("moves"), input.join("moved")).expect("renamed");
    changes.write(&input.join("moved/written"));
    fs::create_dir(input.join("comes")).expect("mkdir");
    changes.write(&input.join("comes/written"));

    let mut daemon = keeper.begin_life(&place);
    let second = keeper.names().join(" ");
    assert!(second.starts_with("facron-fanotify-life2-group0-pid") && !second.contains(' '), "{second}");
    recorder.wait_until_answered(&changes, || daemon.log());
    // What the map of the first life knew is true in the second, too.
    changes.write(&input.join("moved/written"));
    changes.write(&input.join("comes/later"));
    recorder.wait_until_answered(&changes, || daemon.log());

    // Nothing of the old life is told again; a run that was killed is for the journal to know.
    end(&mut daemon, signal);
    let mut daemon = keeper.begin_life(&place);
    end(&mut daemon, libc::SIGTERM);
    let log = daemon.log();
    let told = log.lines().rfind(|line| line.contains("what the kernel reported meanwhile is read"));
    assert!(told.is_some_and(|line| line.ends_with(" told=0")), "{log}");
}

#[test]
fn what_happens_after_a_stop_reaches_a_run() {
    if require_root("what_happens_after_a_stop_reaches_a_run") {
        what_happens_meanwhile_reaches_a_run(libc::SIGTERM, "directories");
    }
}

#[test]
fn what_happens_after_a_crash_reaches_a_run() {
    if require_root("what_happens_after_a_crash_reaches_a_run") {
        what_happens_meanwhile_reaches_a_run(libc::SIGKILL, "directories");
    }
}

#[test]
fn what_happens_on_a_marked_file_system_reaches_a_run() {
    if require_root("what_happens_on_a_marked_file_system_reaches_a_run") {
        what_happens_meanwhile_reaches_a_run(libc::SIGKILL, "filesystem");
    }
}

#[test]
fn other_rules_are_told_what_they_ask_for_and_nothing_else() {
    if !require_root("other_rules_are_told_what_they_ask_for_and_nothing_else") {
        return;
    }
    let place = Place::new(0);
    let mut keeper = Keeper::listen(&place);
    let recorder = Recorder::new(&place, 1, "");
    let (input, other, mut changes) = (place.input(), place.directory("other"), Changes::default());
    let watched = |path| recorder.rule("kept", path, WATCHED);
    place.file("facron.toml", &(watched(&input) + &watched(&other).replace("kept", "gone")));
    let mut daemon = keeper.begin_life(&place);
    end(&mut daemon, libc::SIGKILL);
    changes.write(&input.join("a"));
    fs::write(other.join("b"), "1\n").expect("written");

    place.file("facron.toml", &watched(&input));
    let mut daemon = keeper.begin_life(&place);
    recorder.wait_until_answered(&changes, || daemon.log());
    fs::write(other.join("c"), "2\n").expect("written");
    end(&mut daemon, libc::SIGTERM);
    let paths: Vec<PathBuf> = recorder.history().starts.into_keys().map(PathBuf::from).collect();
    assert_eq!(paths, [input.join("a")]);
}

#[test]
fn what_is_no_group_of_ours_is_closed_and_kept_no_more() {
    if !require_root("what_is_no_group_of_ours_is_closed_and_kept_no_more") {
        return;
    }
    let place = Place::new(0);
    let mut keeper = Keeper::listen(&place);
    let input = place.input();
    place.file("facron.toml", &Recorder::new(&place, 1, "").rule("kept", &input, WATCHED));
    let foreign = || OwnedFd::from(fs::File::open("/dev/null").expect("it is there"));
    keeper.kept = vec![
        ("facron-fanotify-life7-group0-pid1".to_owned(), foreign()),
        ("somebody-else".to_owned(), foreign()),
    ];
    let mut daemon = keeper.begin_life(&place);
    daemon.wait_for_log("a kept descriptor is of no use");
    daemon.wait_for_log("a kept descriptor is not one of ours");
    assert_eq!(keeper.names(), [format!("facron-fanotify-life1-group0-pid{}", daemon.pid())]);

    // Waits for answers, and nobody would give any: every opener would hang.
    end(&mut daemon, libc::SIGTERM);
    let asking = nix::sys::fanotify::Fanotify::init(
        nix::sys::fanotify::InitFlags::FAN_CLASS_CONTENT | nix::sys::fanotify::InitFlags::FAN_CLOEXEC,
        nix::sys::fanotify::EventFFlags::O_RDONLY,
    );
    keeper.kept = vec![("facron-fanotify-life7-group0-pid1".to_owned(), asking.expect("fanotify").into())];
    let daemon = keeper.begin_life(&place);
    wait_until(|| daemon.log().matches("is of no use").count() == 2, || daemon.log());
    assert_eq!(keeper.kept.len(), 1);
}

#[test]
fn a_queue_that_overflowed_is_made_good_by_a_rescan() {
    if !require_root("a_queue_that_overflowed_is_made_good_by_a_rescan") {
        return;
    }
    let place = Place::new(0);
    let mut keeper = Keeper::listen(&place);
    let recorder = Recorder::of_batches(&place);
    let (input, mut changes) = (place.input(), Changes::default());
    let keys = "batch = true\ndebounce = '100ms'\nqueue-limit = 65536";
    place.file("facron.toml", &recorder.rule("kept", &input, keys).replace("'{path}'", "'{paths}'"));
    let mut daemon = keeper.begin_life(&place);
    end(&mut daemon, libc::SIGKILL);
    for number in 0..20_000 {
        changes.write(&input.join(number.to_string()));
    }
    let daemon = keeper.begin_life(&place);
    daemon.wait_for_log("overflow");
    recorder.wait_until_answered(&changes, String::new);
}

#[test]
fn commands_inherit_neither_the_groups_nor_the_words_about_them() {
    if !require_root("commands_inherit_neither_the_groups_nor_the_words_about_them") {
        return;
    }
    let place = Place::new(0);
    let mut keeper = Keeper::listen(&place);
    let input = place.input();
    let seen = place.path("seen");
    let script = place.script(
        "look",
        &format!("#!/bin/sh\n(env; readlink /proc/$$/fd/*) >{0}.half; mv {0}.half {0}\n", seen.display()),
    );
    let rule = "[[rule]]\nname = 'kept'\non = 'delete'\n";
    place.file(
        "facron.toml",
        &format!("{rule}path = '{}'\ncommand = ['{}']\n", input.display(), script.display()),
    );
    fs::write(input.join("a"), "").expect("written");
    let mut daemon = keeper.begin_life(&place);
    end(&mut daemon, libc::SIGTERM);
    fs::remove_file(input.join("a")).expect("removed");
    let daemon = keeper.begin_life(&place);
    wait_until(|| seen.exists(), || daemon.log());
    let seen = fs::read_to_string(seen).expect("written");
    for word in ["fanotify", "LISTEN_", "NOTIFY_SOCKET"] {
        assert!(!seen.contains(word), "{word} in {seen}");
    }
}
