//! The control socket and its lock: asked by honest, slow, hostile and many clients.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use facron::control::{
    CLIENTS_MAX, Caller, DaemonStatus, Decision, Done, FOLLOWERS_MAX, LINE_BYTES_MAX, Place, PlaceError,
    Request, Response, Server, Status, Verb,
};
use facron::event::{Cause, Event, EventMask, Origin, RunId};
use facron::moment::Moment;
use facron::sys::wait;

/// A server that is driven by the test, with time as the test wants it.
struct Daemon {
    server: Server,
    dir: tempfile::TempDir,
    now: Moment,
}

impl Daemon {
    fn new() -> Daemon {
        let dir = tempfile::tempdir().expect("a directory");
        let place = Place::take(dir.path()).expect("nobody else is here");
        let server = Server::listen(place, nix::unistd::geteuid().as_raw()).expect("the name is free");
        Daemon { server, dir, now: Moment::since_start(Duration::from_secs(1000)) }
    }

    fn connect(&self) -> UnixStream {
        UnixStream::connect(self.dir.path().join("control.sock")).expect("the daemon listens")
    }

    /// Lets the server work until it has nothing left to do, and gives what was asked for.
    fn requests(&mut self) -> Vec<Request> {
        let mut requests = Vec::new();
        while wait::until(self.server.as_fd(), wait::For::Reading, Some(Moment::default()))
            .expect("poll works")
        {
            requests.extend(self.server.ready(self.now));
        }
        requests
    }

    fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
        assert_eq!(self.server.ready(self.now), []);
    }

    /// Asks, and answers with what it is told to.
    fn ask(&mut self, verb: &Verb, response: &Response) -> Caller {
        let caller = Caller::ask(self.dir.path(), verb).expect("the daemon listens");
        let requests = self.requests();
        assert_eq!(requests.len(), 1);
        assert_eq!(&requests[0].verb, verb);
        self.server.answer(requests[0].client, response, self.now);
        caller
    }
}

fn send(stream: &mut UnixStream, bytes: &[u8]) {
    // The server may have closed already; that is its right.
    let _ = stream.write_all(bytes);
}

/// What the server said until it closed.
fn rest(stream: &mut UnixStream) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    let mut text = Vec::new();
    if let Err(error) = stream.read_to_end(&mut text) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    }
    String::from_utf8(text).expect("the answer is text")
}

fn done() -> Response {
    Response::Done { messages: vec!["a\nb".to_owned()] }
}

fn status(rules: Vec<facron::control::RuleStatus>) -> Response {
    let kernel = BTreeMap::from([("fanotify".to_owned(), "yes".to_owned())]);
    Response::Status(Box::new(Status { daemon: DaemonStatus { kernel, ..DaemonStatus::default() }, rules }))
}

fn decision(path: &str) -> Decision {
    let event = Event {
        mask: EventMask::ARRIVED,
        path: PathBuf::from(path).into(),
        old_path: None,
        is_dir: false,
        cause: Cause::default(),
        time: SystemTime::UNIX_EPOCH,
        origin: Origin::Event,
        object: None,
    };
    Decision::new(&event, Done::Run, "at once", Some(RunId(1)))
}

const FOLLOW: Verb = Verb::Status { rule: None, follow: true };

#[test]
fn a_request_is_answered_once_and_the_connection_is_over() {
    let mut daemon = Daemon::new();
    for (verb, response) in [
        (Verb::Status { rule: None, follow: false }, status(Vec::new())),
        (Verb::Trigger { rule: "a".to_owned(), paths: vec![Path::new("/x").into()] }, done()),
        (Verb::Reload {}, Response::refused("no")),
    ] {
        let mut caller = daemon.ask(&verb, &response);
        assert_eq!(caller.answer().expect("an answer"), Some(response));
        assert_eq!(caller.answer().expect("the end"), None);
    }
    assert_eq!(daemon.server.next_deadline(), None, "nobody is left");
}

#[test]
fn an_answer_to_somebody_who_is_gone_is_no_matter() {
    let mut daemon = Daemon::new();
    let mut stream = daemon.connect();
    send(&mut stream, b"{\"version\":1,\"verb\":\"reload\"}\n");
    let requests = daemon.requests();
    drop(stream);
    assert_eq!(daemon.requests(), []);
    daemon.server.answer(requests[0].client, &done(), daemon.now);
}

#[test]
fn a_request_in_pieces_or_without_its_newline_is_understood() {
    let mut daemon = Daemon::new();
    let mut stream = daemon.connect();
    for piece in ["{\"version\"", ":1,\"verb\":", "\"reload\"}"] {
        send(&mut stream, piece.as_bytes());
        assert_eq!(daemon.requests(), []);
    }
    stream.shutdown(std::net::Shutdown::Write).expect("half closed");
    let requests = daemon.requests();
    assert_eq!(requests[0].verb, Verb::Reload {});
    daemon.server.answer(requests[0].client, &done(), daemon.now);
    assert_eq!(rest(&mut stream), "{\"done\":{\"messages\":[\"a\\nb\"]},\"version\":1}\n");
}

#[test]
fn rubbish_is_refused_with_the_reason() {
    let mut daemon = Daemon::new();
    let long = format!("{{\"version\":1,\"verb\":\"{}\"}}\n", "x".repeat(2 * LINE_BYTES_MAX));
    for (line, expected) in [
        ("\n", "not a JSON object"),
        ("status\n", "not a JSON object"),
        ("{\"version\":1,\"verb\":\"exec\"}\n", "unknown variant"),
        (&*long, "longer than 65536 bytes"),
        (&"x".repeat(LINE_BYTES_MAX + 1), "longer than 65536 bytes"),
    ] {
        let mut stream = daemon.connect();
        stream.set_nonblocking(true).expect("non-blocking");
        let mut rest_of_line = line.as_bytes();
        while !rest_of_line.is_empty() {
            match stream.write(rest_of_line) {
                Ok(count) => rest_of_line = &rest_of_line[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{error}");
                    break;
                }
            }
            assert_eq!(daemon.requests(), []);
        }
        assert_eq!(daemon.requests(), []);
        stream.set_nonblocking(false).expect("blocking");
        let said = rest(&mut stream);
        assert!(said.contains("refused") && said.contains(expected), "{said}");
    }
}

#[test]
fn a_hundred_thousand_random_streams_do_no_harm() {
    let mut daemon = Daemon::new();
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let pieces = [
        "{",
        "}",
        "\"version\":1",
        ",",
        "\"verb\":",
        "\"status\"",
        "\"reload\"",
        "\n",
        "[",
        "\\u0000",
        "1e9",
    ];
    for round in 0..100_000 {
        let mut stream = daemon.connect();
        let mut bytes = Vec::new();
        for _ in 0..next() % 12 {
            match next() % 3 {
                0 => bytes.extend_from_slice(&next().to_le_bytes()),
                _ => bytes.extend_from_slice(pieces[usize::try_from(next() % 11).expect("small")].as_bytes()),
            }
        }
        send(&mut stream, &bytes);
        for request in daemon.requests() {
            daemon.server.answer(request.client, &done(), daemon.now);
        }
        if round % 100 == 0 {
            daemon.pass(Duration::from_secs(6));
        }
    }
    daemon.ask(&Verb::Reload {}, &done()).answer().expect("the server is well");
}

#[test]
fn a_thousand_idle_connections_keep_nobody_from_an_answer() {
    let mut daemon = Daemon::new();
    let mut idle = Vec::new();
    for number in 0..1000 {
        idle.push(daemon.connect());
        if number % 50 == 0 {
            assert_eq!(daemon.requests(), []);
        }
    }
    let mut caller = daemon.ask(&Verb::Reload {}, &done());
    assert_eq!(caller.answer().expect("an answer"), Some(done()));
}

#[test]
fn those_who_wait_for_an_answer_are_not_sent_away() {
    let mut daemon = Daemon::new();
    let callers: Vec<Caller> = (0..CLIENTS_MAX)
        .map(|_| Caller::ask(daemon.dir.path(), &Verb::Reload {}).expect("it listens"))
        .collect();
    let requests = daemon.requests();
    assert_eq!(requests.len(), CLIENTS_MAX);
    let mut late = Caller::ask(daemon.dir.path(), &Verb::Reload {}).expect("it listens");
    assert_eq!(daemon.requests(), []);
    assert_eq!(late.answer().expect("an answer"), Some(Response::refused("too many clients")));
    for request in requests {
        daemon.server.answer(request.client, &done(), daemon.now);
    }
    for mut caller in callers {
        assert_eq!(caller.answer().expect("an answer"), Some(done()));
    }
}

#[test]
fn half_a_message_and_then_silence_ends_at_the_deadline() {
    let mut daemon = Daemon::new();
    let mut stream = daemon.connect();
    send(&mut stream, b"{\"version\":1,");
    assert_eq!(daemon.requests(), []);
    assert_eq!(daemon.server.next_deadline(), Some(daemon.now + Duration::from_secs(5)));
    daemon.pass(Duration::from_secs(5));
    assert_eq!(rest(&mut stream), "");
    assert_eq!(daemon.server.next_deadline(), None);
}

#[test]
fn who_does_not_read_the_answer_is_sent_away() {
    let mut daemon = Daemon::new();
    let mut stream = daemon.connect();
    send(&mut stream, b"{\"version\":1,\"verb\":\"reload\"}\n");
    let client = daemon.requests()[0].client;
    let long = Response::Done { messages: vec!["x".repeat(1 << 20)] };
    daemon.server.answer(client, &long, daemon.now);
    daemon.pass(Duration::from_secs(9));
    stream.set_nonblocking(true).expect("non-blocking");
    // The kernel says that there is room only when most of it is free.
    while stream.read(&mut [0; 4096]).is_ok() {}
    assert_eq!(daemon.requests(), []);
    daemon.pass(Duration::from_secs(9));
    assert!(daemon.server.next_deadline().is_some(), "it made progress");
    daemon.pass(Duration::from_secs(2));
    assert_eq!(daemon.server.next_deadline(), None);
}

#[test]
fn answers_that_nobody_reads_have_a_limit_together() {
    let mut daemon = Daemon::new();
    let callers: Vec<Caller> =
        (0..10).map(|_| Caller::ask(daemon.dir.path(), &Verb::Reload {}).expect("it listens")).collect();
    let long = Response::Done { messages: vec!["x".repeat(4 << 20)] };
    for request in daemon.requests() {
        daemon.server.answer(request.client, &long, daemon.now);
    }
    let mut refused = 0;
    for mut caller in callers {
        let reader = std::thread::scope(|scope| {
            let answer =
                std::thread::Builder::new().spawn_scoped(scope, move || caller.answer()).expect("a thread");
            while !answer.is_finished() {
                daemon.requests();
            }
            answer.join().expect("no panic")
        });
        refused += usize::from(matches!(reader, Ok(Some(Response::Refused { .. }))));
    }
    assert!((1..10).contains(&refused), "{refused}");
}

#[test]
fn followers_hear_of_their_rule_and_of_what_they_missed() {
    let mut daemon = Daemon::new();
    let mut all = daemon.ask(&FOLLOW, &status(Vec::new()));
    let only = Verb::Status { rule: Some("b".to_owned()), follow: true };
    let mut one = daemon.ask(&only, &status(Vec::new()));
    daemon.server.publish("a", &decision("/1"), daemon.now);
    daemon.server.publish("b", &decision("/2"), daemon.now);
    let told = |rule: &str, path: &str| {
        Some(Response::Decision { rule: rule.to_owned(), decision: Box::new(decision(path).to_status()) })
    };
    assert!(matches!(one.answer(), Ok(Some(Response::Status(_)))));
    assert_eq!(one.answer().expect("a decision"), told("b", "/2"));
    assert!(matches!(all.answer(), Ok(Some(Response::Status(_)))));
    assert_eq!(all.answer().expect("a decision"), told("a", "/1"));
    assert_eq!(all.answer().expect("a decision"), told("b", "/2"));

    let long = format!("/{}", "x".repeat(4000));
    for _ in 0..500 {
        daemon.server.publish("a", &decision(&long), daemon.now);
    }
    daemon.pass(Duration::from_secs(3600));
    let mut seen = 0;
    let missed = loop {
        daemon.requests();
        match all.answer().expect("the connection stays") {
            Some(Response::Missed(missed)) => break missed,
            Some(Response::Decision { .. }) => seen += 1,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(seen + missed, 500);
    drop(all);
    drop(one);
    assert_eq!(daemon.requests(), []);
    assert_eq!(daemon.server.next_deadline(), None, "both are gone");
}

#[test]
fn however_many_follow_status_is_answered() {
    let mut daemon = Daemon::new();
    let _followers: Vec<Caller> =
        (0..FOLLOWERS_MAX).map(|_| daemon.ask(&FOLLOW, &status(Vec::new()))).collect();
    let mut late = Caller::ask(daemon.dir.path(), &FOLLOW).expect("it listens");
    assert_eq!(daemon.requests(), []);
    assert_eq!(late.answer().expect("an answer"), Some(Response::refused("too many clients follow already")));
    let mut caller = daemon.ask(&Verb::Status { rule: None, follow: false }, &status(Vec::new()));
    assert!(matches!(caller.answer(), Ok(Some(Response::Status(_)))));
}

#[test]
fn nobody_else_can_open_the_lock_and_keep_us_away_by_it() {
    let daemon = Daemon::new();
    let lock = fs::metadata(daemon.dir.path().join("lock")).expect("it is held");
    assert_eq!(lock.mode() & 0o7777, 0o600);
}

#[test]
fn a_second_instance_is_told_who_is_there() {
    let daemon = Daemon::new();
    match Place::take(daemon.dir.path()).expect_err("taken") {
        PlaceError::AlreadyRunning { path, pid } => {
            assert_eq!((&*path, pid), (daemon.dir.path(), Some(std::process::id())));
        }
        other => panic!("{other}"),
    }
    let path = daemon.dir.path().to_owned();
    drop(daemon.server);
    assert!(!path.join("control.sock").exists());
    Place::take(&path).expect("it is free again");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a process to be killed")]
fn the_lock_of_a_killed_process_is_free() {
    let dir = tempfile::tempdir().expect("a directory");
    let lock = dir.path().join("lock");
    let mut holder = std::process::Command::new("flock")
        .arg("--no-fork")
        .arg(&lock)
        .args(["sh", "-c", "echo; exec sleep 1000"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("flock(1) starts");
    holder.stdout.take().expect("a pipe").read_exact(&mut [0]).expect("it has the lock");
    assert!(matches!(Place::take(dir.path()), Err(PlaceError::AlreadyRunning { .. })));
    holder.kill().expect("it lives");
    holder.wait().expect("it is ours");
    Place::take(dir.path()).expect("the lock went with the process");
}

#[test]
fn only_a_socket_of_ours_is_replaced() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("control.sock");
    let listen = || Server::listen(Place::take(dir.path()).expect("free"), 0);

    fs::write(&socket, "precious").expect("written");
    assert!(matches!(listen(), Err(PlaceError::Occupied { .. })));
    assert_eq!(fs::read(&socket).expect("still there"), b"precious");

    fs::rename(&socket, dir.path().join("elsewhere")).expect("renamed");
    symlink(dir.path().join("elsewhere"), &socket).expect("linked");
    assert!(matches!(listen(), Err(PlaceError::Occupied { .. })));
    assert!(fs::symlink_metadata(&socket).expect("still there").is_symlink());

    fs::remove_file(&socket).expect("removed");
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("a socket of a former life"));
    let _server = listen().expect("a stale socket is replaced");
    let metadata = fs::symlink_metadata(&socket).expect("there");
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.mode() & 0o777, 0o600);
}

#[test]
fn a_long_path_and_a_hostile_one_work_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("x".repeat(200)).join("a\nb\u{202e}");
    let mut server = Server::listen(Place::take(&path).expect("made"), 0).expect("bound");
    let _caller = Caller::ask(&path, &Verb::Reload {}).expect("connected");
    assert_eq!(server.ready(Moment::default()).len(), 1);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("ours");
    let said = Place::take(&path).expect_err("refused").to_string();
    assert!(said.contains("chmod go-w") && !said.contains('\u{202e}'), "{said}");
}

#[test]
fn nobody_there_is_said_with_a_way_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let said = Caller::ask(dir.path(), &Verb::Reload {}).expect_err("nobody").to_string();
    assert!(said.starts_with("no daemon answers in ") && said.contains("\nhelp: "), "{said}");
}

/// Set where this test binary runs again, since what it does to its descriptors would harm the other tests.
const ALONE: &str = "FACRON_TEST_ALONE";

#[test]
#[expect(clippy::disallowed_methods, reason = "a process of its own")]
fn without_descriptors_the_server_waits_for_some_and_is_not_woken_for_nothing() {
    let test = "without_descriptors_the_server_waits_for_some_and_is_not_woken_for_nothing";
    if std::env::var_os(ALONE).is_some() {
        return without_descriptors();
    }
    let output = std::process::Command::new(std::env::current_exe().expect("we run"))
        .args(["--exact", test, "--nocapture"])
        .env(ALONE, "1")
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn without_descriptors() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let mut daemon = Daemon::new();
    let mut caller = Caller::ask(daemon.dir.path(), &Verb::Reload {}).expect("it listens");
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, 3, hard).expect("lower is always allowed");
    assert_eq!(daemon.requests(), []);
    assert_eq!(daemon.server.next_deadline(), Some(daemon.now + Duration::from_millis(200)));
    daemon.pass(Duration::from_millis(199));
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).expect("back to what it was");
    daemon.now = daemon.now + Duration::from_millis(1);
    // The deadline itself only listens again; what waits is then seen like any other.
    let mut requests = daemon.server.ready(daemon.now);
    requests.extend(daemon.requests());
    daemon.server.answer(requests[0].client, &done(), daemon.now);
    assert_eq!(caller.answer().expect("an answer"), Some(done()));
}
