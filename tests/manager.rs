//! What the service manager hears, on a mock of its socket; and what it gives back.
#![expect(clippy::disallowed_methods, reason = "what is tested are a process's own variables")]

use std::fs::File;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use facron::moment::Moment;
use facron::sys::clock;
use facron::sys::manager::Manager;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

/// The tests start themselves again as the service, since a manager speaks through the environment of a process.
const SERVICE: &str = "FACRON_TEST_SERVICE";

/// What happens in the life of a service; does nothing when it is run as a test.
#[test]
fn the_service() {
    match std::env::var(SERVICE).as_deref() {
        Ok("whole-life") => whole_life(),
        Ok("take-over") => take_over(),
        _ => {}
    }
}

fn whole_life() {
    let start = Moment::since_start(Duration::from_secs(100));
    let mut manager = Manager::find(start);
    let second = |seconds: u64| start + Duration::from_secs(seconds);
    manager.ready("2 rules\nWATCHDOG=trigger");
    manager.tick(start);
    manager.tick(second(4));
    assert_eq!(manager.next_deadline(), Some(second(5)));
    manager.tick(second(5));
    manager.reloading();
    manager.ready("3 rules");
    manager.status("busy");
    let file = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).expect("it is there");
    manager.store("fanotify", file.as_fd());
    manager.forget("fanotify");
    manager.stopping();
}

fn take_over() {
    let mut manager = Manager::find(clock::monotonic());
    assert_eq!(manager.next_deadline(), None, "nobody asks for a watchdog");
    let stored = manager.stored();
    let names: Vec<&str> = stored.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["fanotify", "other"]);
    for (_, fd) in &stored {
        let flags = nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_GETFD).expect("it is open");
        assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC, "no command inherits it");
    }
    assert!(manager.stored().is_empty(), "they have one owner");
    manager.ready("no manager listens, which is no matter");
}

fn service(part: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("we run"));
    command.args(["--exact", "the_service", "--nocapture"]).env(SERVICE, part);
    command
}

#[test]
fn the_manager_hears_of_every_step_in_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("bound");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a limit");
    let output = service("whole-life")
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "10000000")
        .output()
        .expect("the service starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));

    let mut heard = Vec::new();
    let mut kept = None;
    while heard.last().is_none_or(|last| last != "STOPPING=1\n") {
        let (message, fd) = receive(&socket);
        heard.push(message);
        kept = kept.or(fd);
    }
    let (before, now) = heard[3].split_once("MONOTONIC_USEC=").expect("the time of the reload");
    assert_eq!(before, "RELOADING=1\n");
    let told = Duration::from_micros(now.trim().parse().expect("a number"));
    let age = clock::monotonic().since(Moment::since_start(told));
    assert!(!told.is_zero() && age < Duration::from_secs(60), "{told:?}");
    heard.remove(3);
    assert_eq!(
        heard,
        [
            "READY=1\nSTATUS=2 rules WATCHDOG=trigger\n",
            "WATCHDOG=1\n",
            "WATCHDOG=1\n",
            "READY=1\nSTATUS=3 rules\n",
            "STATUS=busy\n",
            "FDSTORE=1\nFDNAME=fanotify\nFDPOLL=0\n",
            "FDSTOREREMOVE=1\nFDNAME=fanotify\n",
            "STOPPING=1\n",
        ]
    );
    assert!(kept.expect("a descriptor came").ends_with("Cargo.toml"));
}

#[test]
fn what_the_manager_kept_comes_back_with_its_name_and_reaches_no_command() {
    let script =
        "exec 3</dev/null 4</dev/null; LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=fanotify:other exec \"$@\"";
    let service = service("take-over");
    let output = Command::new("/bin/sh")
        .args(["-c", script, "sh"])
        .arg(service.get_program())
        .args(service.get_args())
        .env(SERVICE, "take-over")
        .output()
        .expect("sh starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// A message, and what the descriptor that came with it stands for.
fn receive(socket: &UnixDatagram) -> (String, Option<PathBuf>) {
    let mut bytes = [0; 4096];
    let mut room = nix::cmsg_space!([i32; 4]);
    let (count, kept) = {
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let message =
            recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut room), MsgFlags::MSG_CMSG_CLOEXEC)
                .expect("a message comes");
        let rights = message.cmsgs().expect("whole messages").find_map(|message| match message {
            ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
            _ => None,
        });
        let kept = rights.map(|fd| {
            let kept = std::fs::read_link(format!("/proc/self/fd/{fd}")).expect("it is open");
            nix::unistd::close(fd).expect("it is open");
            kept
        });
        (message.bytes, kept)
    };
    (String::from_utf8(bytes[..count].to_vec()).expect("text"), kept)
}
