//! Desktop notifications against a service that records, one that is absent, and a bus that never answers; as
//! another user too.
#![cfg(feature = "desktop")]

#[path = "common/copy.rs"]
mod copy;
mod common;

use std::collections::HashMap;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use facron::desktop::{Desktop, Ended, Settings};
use facron::moment::Moment;
use facron::rule::Notify;
use facron::sys::{clock, local, wait};
use futures_lite::StreamExt as _;
use nix::unistd::geteuid;
use zbus::OwnedVariant;

/// What a call of Notify asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Call {
    app: String,
    replaces: u32,
    summary: String,
    body: String,
    urgency: u8,
    actions: Vec<String>,
}

/// Who the child was.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Caller {
    user: u32,
    groups: String,
    environment: String,
    descriptors: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Connected(Caller),
    Notify(Call),
}

/// A bus and notification service in one, which records.
fn serve(bus: &Path, has_service: bool) -> Receiver<Seen> {
    let listener = UnixListener::bind(bus).expect("the path is free");
    let (sender, seen) = channel();
    let serve = move || {
        for stream in listener.incoming() {
            let sender = sender.clone();
            let stream = stream.expect("a connection");
            let answer = move || zbus::block_on(answer(stream, has_service, &sender));
            std::thread::Builder::new().spawn(answer).expect("a thread");
        }
    };
    std::thread::Builder::new().spawn(serve).expect("a thread");
    seen
}

fn caller(stream: &UnixStream) -> Caller {
    use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
    let pid = getsockopt(stream, PeerCredentials).expect("a local socket").pid();
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let field = |name: &str| {
        let status = read("status");
        status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
    };
    Caller {
        user: local::peer_user(stream).expect("a local socket"),
        groups: format!("{} {}", field("Gid:").replace('\t', " "), field("Groups:")).trim().to_owned(),
        environment: read("environ").replace('\0', "\n"),
        descriptors: fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count),
    }
}

async fn answer(stream: UnixStream, has_service: bool, seen: &Sender<Seen>) {
    // Nobody may listen any more: the test is over.
    let _ = seen.send(Seen::Connected(caller(&stream)));
    let guid = zbus::Guid::generate();
    let builder = zbus::connection::Builder::unix_stream(stream).server(guid).p2p();
    let Ok(mut messages) = builder.build_message_stream().await else { return };
    let connection = zbus::Connection::from(&messages);
    let mut last_id = 0;
    while let Some(Ok(message)) = messages.next().await {
        let header = message.header();
        let Some(member) = header.member() else { continue };
        let answered = match member.as_str() {
            "Hello" => connection.reply(&header, &":1.7").await,
            "NameHasOwner" => connection.reply(&header, &has_service).await,
            "Notify" => {
                type Arguments =
                    (String, u32, String, String, String, Vec<String>, HashMap<String, OwnedVariant>, i32);
                let (app, replaces, _, summary, body, actions, hints, _): Arguments =
                    message.body().deserialize().expect("the arguments of Notify");
                let urgency = u8::try_from(&hints["urgency"]).expect("a byte");
                let call = Call { app, replaces, summary, body, urgency, actions };
                let _ = seen.send(Seen::Notify(call));
                last_id = if replaces == 0 { 41 + last_id } else { replaces };
                connection.reply(&header, &last_id).await
            }
            other => panic!("nobody needs {other}"),
        };
        answered.expect("the child listens");
    }
}

/// A desktop that is driven by the test.
struct Daemon {
    desktop: Desktop,
    dir: tempfile::TempDir,
    now: Moment,
}

impl Daemon {
    fn new(change: impl FnOnce(&Path, &mut Settings)) -> Daemon {
        let dir = tempfile::tempdir().expect("a directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("ours");
        let mut settings = Settings {
            user: geteuid().as_raw(),
            bus_address: Some(format!("unix:path={}", dir.path().join("bus").display()).into()),
            runtime_dir: Some(dir.path().to_owned()),
            run_user: dir.path().join("none"),
            program: PathBuf::from(env!("CARGO_BIN_EXE_facron")),
        };
        change(dir.path(), &mut settings);
        let now = clock::monotonic();
        Daemon { desktop: Desktop::new(settings, now).expect("descriptors"), dir, now }
    }

    fn bus(&self) -> PathBuf {
        self.dir.path().join("bus")
    }

    fn fail(&mut self, rule: &str) {
        let start = clock::monotonic();
        self.desktop.ended(ended(rule), self.now);
        let took = clock::monotonic().since(start);
        assert!(took < Duration::from_millis(500), "nobody waits: {took:?}");
    }

    fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
        self.desktop.ready(self.now);
    }

    /// Waits until the child of the moment has started, and is at its end.
    fn wait_for_child(&mut self) {
        self.wait_for_step();
        self.wait_for_step();
    }

    /// Waits until the child of the moment has started, or is at its end.
    fn wait_for_step(&mut self) {
        let limit = clock::monotonic() + Duration::from_secs(60);
        assert!(wait::until(self.desktop.as_fd(), wait::For::Reading, Some(limit)).expect("poll works"));
        self.desktop.ready(self.now);
    }
}

fn ended(rule: &str) -> Ended {
    Ended {
        rule: rule.into(),
        description: None,
        notify: Notify::Failure,
        is_failure: true,
        outcome: "exit:3".to_owned(),
        took: Duration::from_millis(20),
        path: "/srv/<a>&\n".into(),
        error_output: b"\x1b[31mcannot <b>open</b>\x1b[0m\n".to_vec(),
        user: geteuid().as_raw(),
    }
}

fn calls(seen: &Receiver<Seen>) -> Vec<Call> {
    seen.try_iter().filter_map(|seen| if let Seen::Notify(call) = seen { Some(call) } else { None }).collect()
}

#[test]
fn a_failure_is_shown_once_and_then_counted_up_in_place() {
    let mut daemon = Daemon::new(|_, _| {});
    let seen = serve(&daemon.bus(), true);
    daemon.fail("deploy");
    daemon.wait_for_child();
    let mut expected = Call {
        app: "facron".to_owned(),
        replaces: 0,
        summary: "facron: deploy failed".to_owned(),
        body: "exit:3 after 20ms\n/srv/&lt;a&gt;&amp;\\x0a\ncannot &lt;b&gt;open&lt;/b&gt;".to_owned(),
        urgency: 2,
        actions: Vec::new(),
    };
    assert_eq!(calls(&seen), [expected.clone()]);
    for _ in 0..9 {
        daemon.fail("deploy");
    }
    daemon.pass(Duration::from_secs(9));
    assert_eq!(calls(&seen), []);
    daemon.pass(Duration::from_secs(1));
    daemon.wait_for_child();
    expected.replaces = 41;
    expected.urgency = 1;
    expected.body = expected.body.replace("20ms", "20ms, 10 times in a row");
    assert_eq!(calls(&seen), [expected]);
    assert_eq!(daemon.desktop.next_deadline(), None, "nothing is left to be done");
}

#[test]
fn the_child_has_nothing_of_the_daemon_but_the_bus() {
    let mut daemon = Daemon::new(|_, _| {});
    let seen = serve(&daemon.bus(), true);
    daemon.fail("a");
    daemon.wait_for_child();
    let Ok(Seen::Connected(caller)) = seen.try_recv() else { panic!("a connection comes first") };
    let dir = daemon.dir.path().display();
    let environment = format!("DBUS_SESSION_BUS_ADDRESS=unix:path={dir}/bus\nXDG_RUNTIME_DIR={dir}\n");
    assert_eq!(caller.environment, environment);
    // Standard input, output and error, and what the bus takes.
    assert!(caller.descriptors <= 3 + 6, "{}", caller.descriptors);
}

#[test]
fn a_burst_of_fifty_failures_is_five_bubbles_at_most() {
    // One rule: at once, and the rest together after ten seconds. Fifty: the first, three more, all others in one.
    for (rules, second_wave) in [(1, Duration::from_secs(10)), (50, Duration::from_secs(1))] {
        let mut daemon = Daemon::new(|_, _| {});
        let seen = serve(&daemon.bus(), true);
        for number in 0..50 {
            daemon.fail(&format!("r{}", number % rules));
        }
        daemon.wait_for_child();
        if rules > 1 {
            daemon.wait_for_child();
        }
        daemon.pass(second_wave);
        daemon.wait_for_child();
        assert_eq!(daemon.desktop.next_deadline(), None, "that is all");
        let shown = calls(&seen).len();
        assert!((2..=5).contains(&shown), "{shown} for {rules}");
    }
}

#[test]
fn a_bus_that_never_answers_delays_nobody_and_its_child_is_killed() {
    let mut daemon = Daemon::new(|_, _| {});
    let _silent = UnixListener::bind(daemon.bus()).expect("bound");
    daemon.fail("a");
    daemon.fail("b");
    daemon.wait_for_step();
    let deadline = daemon.desktop.next_deadline().expect("the child has one");
    assert_eq!(deadline, daemon.now + Duration::from_secs(5));
    let soon = clock::monotonic() + Duration::from_millis(300);
    assert!(!wait::until(daemon.desktop.as_fd(), wait::For::Reading, Some(soon)).expect("poll works"));
    daemon.pass(Duration::from_secs(5));
    daemon.wait_for_step();
    // The letter about b goes with the next child.
    daemon.wait_for_step();
    assert_eq!(daemon.desktop.next_deadline(), Some(daemon.now + Duration::from_secs(5)));
    daemon.pass(Duration::from_secs(5));
    daemon.wait_for_step();
    assert_eq!(daemon.desktop.next_deadline(), None);
}

#[test]
fn no_bus_and_no_service_are_no_matter() {
    let mut daemon = Daemon::new(|dir, _| drop(UnixListener::bind(dir.join("bus")).expect("bound")));
    daemon.fail("a");
    daemon.wait_for_child();
    fs::remove_file(daemon.bus()).expect("nobody listens there");
    let seen = serve(&daemon.bus(), false);
    daemon.fail("b");
    daemon.wait_for_child();
    assert!(matches!(seen.try_recv(), Ok(Seen::Connected(_))));
    assert_eq!(calls(&seen), [], "a service that does not run is not started");
}

/// A session of this user as logind makes it.
fn session(run_user: &Path, user: u32) -> Receiver<Seen> {
    let dir = run_user.join(user.to_string());
    fs::create_dir_all(&dir).expect("made");
    let seen = serve(&dir.join("bus"), true);
    chown(&dir, Some(user), Some(user)).expect("root may");
    chown(dir.join("bus"), Some(user), Some(user)).expect("root may");
    seen
}

#[test]
fn a_logged_in_user_is_told_by_a_child_of_that_user_without_what_is_not_theirs() {
    if !common::require_root("a_logged_in_user_is_told_by_a_child_of_that_user") {
        return;
    }
    let nobody = nix::unistd::User::from_name("nobody").expect("a user database").expect("nobody is there");
    let user = nobody.uid.as_raw();
    let mut daemon = Daemon::new(|dir, settings| {
        settings.bus_address = None;
        settings.run_user = dir.join("user");
        settings.program = dir.join("facron");
        copy::copy_program(env!("CARGO_BIN_EXE_facron"), &settings.program);
    });
    let seen = session(&daemon.dir.path().join("user"), user);
    daemon.fail("of-root");
    daemon.wait_for_child();
    let Ok(Seen::Connected(caller)) = seen.try_recv() else { panic!("a connection comes first") };
    assert_eq!(caller.user, user);
    let gid = nobody.gid.as_raw();
    assert_eq!(caller.groups, format!("{gid} {gid} {gid} {gid} {gid}"), "no group of root is left");
    let body = calls(&seen).pop().expect("a notification").body;
    assert!(body.contains("exit:3") && !body.contains("cannot"), "{body}");

    daemon.desktop.ended(Ended { user, ..ended("of-nobody") }, daemon.now);
    daemon.wait_for_child();
    let body = calls(&seen).pop().expect("a notification").body;
    assert!(body.ends_with("cannot &lt;b&gt;open&lt;/b&gt;"), "{body}");
}

#[test]
fn root_does_not_tell_the_bus_of_another_user_that_its_environment_names() {
    if !common::require_root("root_does_not_tell_the_bus_of_another_user") {
        return;
    }
    let mut daemon = Daemon::new(|_, _| {});
    let seen = serve(&daemon.bus(), true);
    chown(daemon.bus(), Some(65534), None).expect("root may");
    daemon.fail("a");
    assert_eq!(daemon.desktop.next_deadline(), None, "nobody is to be told");
    assert!(seen.try_recv().is_err());
}
