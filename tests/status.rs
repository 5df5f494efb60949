//! `facron status`, `trigger`, `pause`, `resume`, `reload` against a daemon's control socket.
#![expect(clippy::disallowed_methods, reason = "the commands under test are processes")]

#[path = "common/copy.rs"]
mod copy;
mod common;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, SystemTime};

use facron::control::{
    DaemonStatus, Decision, Done, GuardCounts, LastRun, Place, Response, RuleState, RuleStatus, RunCounts,
    Server, Status, Verb, stamp,
};
use facron::event::{Cause, Event, EventMask, Origin, RunId};
use facron::sys::{clock, wait};
use serde_json::Value;

/// A control socket that answers by a function, in a thread that ends with the test.
struct Daemon {
    dir: tempfile::TempDir,
    asked: Receiver<Verb>,
    _stop: Sender<()>,
}

impl Daemon {
    fn new(answer: impl Fn(&Verb) -> Response + Send + 'static) -> Daemon {
        let dir = tempfile::tempdir().expect("a directory");
        let place = Place::take(dir.path()).expect("nobody else is here");
        let mut server = Server::listen(place, nix::unistd::geteuid().as_raw()).expect("the name is free");
        let (sender, asked) = channel();
        let (stop, stopped) = channel();
        let serve = move || {
            while stopped.try_recv() != Err(std::sync::mpsc::TryRecvError::Disconnected) {
                let soon = clock::monotonic() + Duration::from_millis(10);
                wait::until(server.as_fd(), wait::For::Reading, Some(soon)).expect("poll works");
                for request in server.ready(clock::monotonic()) {
                    server.answer(request.client, &answer(&request.verb), clock::monotonic());
                    let _ = sender.send(request.verb);
                }
                server.publish("a", &decision(), clock::monotonic());
            }
        };
        std::thread::Builder::new().spawn(serve).expect("a thread");
        Daemon { dir, asked, _stop: stop }
    }

    fn facron(&self, arguments: &[&str]) -> Output {
        command().env("RUNTIME_DIRECTORY", self.dir.path()).args(arguments).output().expect("facron starts")
    }
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_facron"));
    command.env_clear().stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

fn decision() -> Decision {
    let event = Event {
        mask: EventMask::ARRIVED,
        path: Path::new(OsStr::from_bytes(b"/srv/\xff")).into(),
        old_path: None,
        is_dir: false,
        cause: Cause { pid: 7, exe: Some(Path::new("/bin/cp").into()), ..Cause::default() },
        time: SystemTime::UNIX_EPOCH,
        origin: Origin::Event,
        object: None,
    };
    Decision::new(&event, Done::Run, "at once", Some(RunId(1)))
}

fn status(has_decisions: bool) -> Response {
    let last = LastRun {
        run: 3,
        time: stamp(SystemTime::UNIX_EPOCH),
        outcome: "signal:SEGV".to_owned(),
        took: "12ms".to_owned(),
        path: Path::new(OsStr::from_bytes(b"/srv/\xff")).into(),
        error_output: "oh\n".to_owned(),
    };
    let rule = RuleStatus {
        name: "a".to_owned(),
        description: Some("b".to_owned()),
        path: vec!["/srv".to_owned()],
        state: RuleState::OverLimit,
        reason: Some("10000 paths wait".to_owned()),
        watched_by: Some("directories".to_owned()),
        contained_by: None,
        matched: 3,
        covered: 2,
        waiting: 1,
        running: 0,
        runs: RunCounts { ok: 1, failed: 1 },
        dropped: [("skip".to_owned(), 4)].into(),
        last: Some(last),
        guard: Some(GuardCounts { openings: 9, asked: 2, allowed: 6, denied: 3, ..GuardCounts::default() }),
        decisions: has_decisions.then(|| vec![decision().to_status()]),
    };
    let bare = RuleStatus { last: None, description: None, reason: None, ..rule.clone() };
    let now = stamp(SystemTime::UNIX_EPOCH);
    let daemon = DaemonStatus {
        version: "0.1.0".to_owned(),
        since: now.clone(),
        config_loaded: now.clone(),
        kernel: [("release".to_owned(), "6.18".to_owned())].into(),
        ..DaemonStatus::default()
    };
    Response::Status(Box::new(Status { daemon, rules: vec![rule, bare] }))
}

fn done(messages: &[&str]) -> Response {
    Response::Done { messages: messages.iter().map(|message| (*message).to_owned()).collect() }
}

#[test]
fn status_is_a_table_an_object_and_metrics() {
    let daemon = Daemon::new(|_| status(false));
    let output = daemon.facron(&["status"]);
    assert!(output.status.success());
    assert!(text(&output.stdout).contains("\na     over-limit  directories  -"), "{}", text(&output.stdout));
    assert!(!text(&output.stdout).contains('\u{1b}'), "a pipe has no colours");
    let output = daemon.facron(&["status", "--color", "always"]);
    assert!(text(&output.stdout).contains("\u{1b}[1;31mover-limit\u{1b}[0m"));
    let output = daemon.facron(&["status", "--format", "openmetrics"]);
    assert!(text(&output.stdout).ends_with("# EOF\n"));
    let output = daemon.facron(&["__rules"]);
    assert_eq!(text(&output.stdout), "a\na\n");
    assert_eq!(daemon.facron(&["status", "--follow", "--format", "openmetrics"]).status.code(), Some(2));
}

#[test]
fn the_object_is_as_its_schema_says() {
    let schema: Value = serde_json::from_str(include_str!("../config/facron.status.schema.json"))
        .expect("the schema is JSON");
    let daemon = Daemon::new(|verb| status(matches!(verb, Verb::Status { rule: Some(_), .. })));
    for arguments in [&["status", "--format", "json"][..], &["status", "a", "--format", "json"]] {
        let output = daemon.facron(arguments);
        assert!(output.status.success());
        let object: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
        let faults = faults(&object, &schema, &schema, "");
        assert!(faults.is_empty(), "{faults:?}\n{object}");
    }
    let wrong = serde_json::json!({"daemon": {}, "rules": [{"name": 1, "state": "armed?", "x": 0}], "y": 1});
    assert!(faults(&wrong, &schema, &schema, "").len() > 20, "the check checks");
}

/// What of a value is not as a schema says; of JSON Schema, what ours uses.
fn faults(value: &Value, schema: &Value, root: &Value, at: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let place = reference.strip_prefix('#').expect("a reference within the schema");
        return faults(value, root.pointer(place).expect("it is there"), root, at);
    }
    let mut found = Vec::new();
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() || number.is_i64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    match &schema["type"] {
        Value::String(wanted) if wanted != kind => found.push(format!("{at}: {kind}, not {wanted}")),
        Value::Array(wanted) if !wanted.contains(&kind.into()) => found.push(format!("{at}: {kind}")),
        _ => {}
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        found.push(format!("{at}: {value} is none of {words:?}"));
    }
    if schema["pattern"].is_string()
        && value.as_str().is_none_or(|time| humantime::parse_rfc3339(time).is_err())
    {
        found.push(format!("{at}: {value} is no time"));
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        let key = required.as_str().expect("a key");
        if value.is_object() && value.get(key).is_none() {
            found.push(format!("{at}: {key} is missing"));
        }
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        let at = format!("{at}/{key}");
        match (&schema["properties"][key], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => found.push(format!("{at}: unknown")),
            (Value::Null, further) => found.extend(faults(value, further, root, &at)),
            (known, _) => found.extend(faults(value, known, root, &at)),
        }
    }
    for (index, value) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(faults(value, &schema["items"], root, &format!("{at}/{index}")));
    }
    found
}

#[test]
fn the_status_can_be_followed() {
    let daemon = Daemon::new(|_| status(false));
    for (format, first, then) in [
        ("json", "{\"daemon\":", "\"events\":[\"arrived\"],\"path_bytes\":\"L3Nydi//\",\"pid\":7"),
        ("text", "facron 0.1.0 runs", " a run 1 (at once) arrived by 7 /bin/cp /srv/\\xff"),
    ] {
        let mut follower = command()
            .env("RUNTIME_DIRECTORY", daemon.dir.path())
            .args(["status", "--follow", "--format", format])
            .stdout(Stdio::piped())
            .spawn()
            .expect("facron starts");
        let mut lines =
            BufReader::new(follower.stdout.take().expect("a pipe")).lines().map(|line| line.expect("text"));
        assert!(lines.next().expect("a line").starts_with(first));
        assert!(lines.any(|line| line.contains(then)), "{format}");
        // Nobody reads any more: it ends by itself, and well.
        drop(lines);
        assert!(follower.wait().expect("it is ours").success());
    }
    let mut follower = command()
        .env("RUNTIME_DIRECTORY", daemon.dir.path())
        .args(["status", "--follow"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("facron starts");
    daemon.asked.recv().expect("json");
    daemon.asked.recv().expect("text");
    daemon.asked.recv().expect("the last one asks");
    drop(daemon);
    assert_eq!(follower.wait().expect("it is ours").code(), Some(1), "the daemon has stopped");
}

#[test]
fn a_trigger_names_absolute_paths_byte_for_byte() {
    let daemon = Daemon::new(|_| done(&[]));
    let output = command()
        .env("RUNTIME_DIRECTORY", daemon.dir.path())
        .current_dir("/usr")
        .args(["trigger", "a", "x y"])
        .arg(OsStr::from_bytes(b"/srv/\xff\n"))
        .output()
        .expect("facron starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let paths = ["/usr/x y".as_ref(), Path::new(OsStr::from_bytes(b"/srv/\xff\n"))].map(Into::into).to_vec();
    assert_eq!(daemon.asked.recv().expect("asked"), Verb::Trigger { rule: "a".to_owned(), paths });
}

#[test]
fn what_is_done_and_what_is_refused_is_said() {
    let daemon = Daemon::new(|verb| match verb {
        Verb::Pause { .. } => done(&[]),
        Verb::Resume { .. } => Response::refused("there is no rule \u{1b}b"),
        Verb::Reload {} => done(&["warning: x\n  --> a.toml:1:1", "reloaded rules=3"]),
        Verb::Trigger { .. } | Verb::Status { .. } => {
            Response::Refused { error: "no".to_owned(), messages: vec!["because".to_owned()] }
        }
    });
    let expect = |arguments: &[&str], code: i32, stdout: &str, stderr: &str| {
        let output = daemon.facron(arguments);
        assert_eq!(
            (output.status.code(), text(&output.stdout), text(&output.stderr)),
            (Some(code), stdout, stderr),
            "{arguments:?}"
        );
    };
    expect(&["pause", "a"], 0, "", "");
    expect(&["resume", "b"], 1, "", "facron resume: there is no rule \\x1bb\n");
    expect(&["reload"], 0, "warning: x\n  --> a.toml:1:1\nreloaded rules=3\n", "");
    expect(&["status"], 1, "", "because\nfacron status: no\n");
    expect(&["trigger", "a"], 1, "", "because\nfacron trigger: no\n");
}

#[test]
fn without_a_daemon_everything_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    for arguments in [&["status"][..], &["trigger", "a"], &["pause", "a"], &["resume", "a"], &["reload"]] {
        let output =
            command().env("RUNTIME_DIRECTORY", dir.path()).args(arguments).output().expect("facron starts");
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        let expected = format!("facron {}: no daemon answers in {}", arguments[0], dir.path().display());
        assert!(said.starts_with(&expected) && said.contains("\nhelp: "), "{said}");
    }
}

#[test]
fn the_rule_file_says_where_the_daemon_is() {
    let daemon = Daemon::new(|_| done(&[]));
    let rules = daemon.dir.path().join("rules.toml");
    let text =
        format!("[daemon]\nruntime-dir = '{}'\n\n[[rule]]\nname = 'wrong'\n", daemon.dir.path().display());
    fs::write(&rules, text).expect("written");
    let output = command().args(["reload", "-c"]).arg(&rules).output().expect("facron starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_status_that_cannot_be_written_is_no_success() {
    let daemon = Daemon::new(|_| status(false));
    for format in ["text", "json", "openmetrics"] {
        let full = fs::File::options().write(true).open("/dev/full").expect("a kernel has it");
        let mut command = command();
        command.env("RUNTIME_DIRECTORY", daemon.dir.path()).args(["status", "--format", format]).stdout(full);
        let output = command.output().expect("facron starts");
        let expected = "facron: cannot write to standard output: no space left on device\n";
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(1), expected));
    }
}

#[test]
fn a_rule_file_that_cannot_be_read_leads_to_no_other_daemon() {
    let daemon = Daemon::new(|_| done(&[]));
    let file = |name: &str, text: &str| {
        fs::write(daemon.dir.path().join(name), text).expect("written");
        daemon.dir.path().join(name)
    };
    let refused = [
        (daemon.dir.path().join("missing.toml"), "cannot read the file: No such file or directory"),
        (file("broken.toml", "[[rule\n"), "F001"),
        (file("relative.toml", "[daemon]\nruntime-dir = 'run'\n"), "F010"),
        (file("misspelt.toml", "[daemon]\nruntime_dir = '/run/x'\n"), "F002"),
    ];
    for (path, reason) in &refused {
        let path = path.to_str().expect("UTF-8");
        for arguments in [&["status"][..], &["trigger", "a"], &["pause", "a"], &["resume", "a"], &["reload"]]
        {
            let output = daemon.facron(&[arguments, &["-c", path]].concat());
            assert_eq!(output.status.code(), Some(1), "{arguments:?} {path}");
            let said = text(&output.stderr);
            assert!(said.contains("does not say which daemon") && said.contains(reason), "{said}");
        }
    }
    assert!(daemon.asked.try_recv().is_err(), "nothing has reached the daemon of the environment");
    // A file without the setting leaves it to the environment, whatever is wrong with its rules.
    let silent = file("silent.toml", "[[rule]]\nname = 'wrong'\n");
    let output = daemon.facron(&["reload", "-c", silent.to_str().expect("UTF-8")]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn another_user_is_told_nothing() {
    if !common::require_root("another_user_is_told_nothing") {
        return;
    }
    let daemon = Daemon::new(|_| status(false));
    let binary = daemon.dir.path().join("facron");
    copy::copy_program(env!("CARGO_BIN_EXE_facron"), &binary);
    fs::set_permissions(daemon.dir.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    let ask = |arguments: &[&str]| {
        let mut command = Command::new(&binary);
        command.env_clear().env("RUNTIME_DIRECTORY", daemon.dir.path()).args(arguments);
        command.uid(65534).gid(65534).output().expect("facron starts")
    };
    // First the mode of the socket keeps others away; where it does not, the user at the other end decides.
    for mode in [0o600, 0o666] {
        fs::set_permissions(daemon.dir.path().join("control.sock"), fs::Permissions::from_mode(mode))
            .expect("ours");
        for arguments in [&["status"][..], &["trigger", "a"], &["pause", "a"], &["resume", "a"], &["reload"]]
        {
            let output = ask(arguments);
            assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""));
            assert!(text(&output.stderr).contains("permission denied"), "{}", text(&output.stderr));
        }
    }
    assert!(daemon.asked.try_recv().is_err(), "nothing of it has reached the daemon");
}
