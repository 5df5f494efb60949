//! `facron events`: the live stream of the real binary.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::ground::{Ground, is_user};

/// The binary at work, and what it prints.
struct Stream {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Stream {
    fn start(arguments: &[&str], path: &Path) -> Stream {
        let mut child = command(arguments, path).spawn().expect("facron");
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        Stream { child, lines }
    }

    /// Makes a file again and again until the stream tells of it; gives the line.
    fn line_about(&mut self, path: &Path) -> String {
        let name = path.display().to_string();
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Until it is armed there is nothing to tell.
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    fs::write(path, "x").expect("a file");
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
            });
            let mut line = String::new();
            while !line.contains(&name) || !line.contains("arrived") {
                line.clear();
                assert!(self.lines.read_line(&mut line).expect("UTF-8") > 0, "the stream ends");
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            line
        })
    }

    fn end(mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }

    fn interrupt(&self) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")), Signal::SIGINT)
            .expect("it lives");
    }
}

#[expect(clippy::disallowed_methods, reason = "a test is nobody's daemon")]
fn command(arguments: &[&str], path: &Path) -> Command {
    let binary =
        std::env::var_os("FACRON_TEST_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_facron").into());
    let mut command = Command::new(binary);
    command.arg("events").args(arguments).arg(path).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn the_stream() {
    let ground = Ground::new();
    fs::create_dir(ground.at("sub")).expect("a directory");
    let mut stream = Stream::start(&[], &ground.path());
    let line = stream.line_about(&ground.at("sub/f"));
    assert!(line.ends_with(&format!("path={}\n", ground.at("sub/f").display())), "{line}");
    stream.interrupt();
    assert_eq!(stream.end(), Some(0));

    let mut stream = Stream::start(&["--format", "json", "--on", "arrived"], &ground.path());
    let line = stream.line_about(&ground.at("g"));
    let json: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(json["path"].as_str(), ground.at("g").to_str());
    assert_eq!((json["events"].to_string().as_str(), json["dir"].as_bool()), ("[\"arrived\"]", Some(false)));
    // Nobody reads any more.
    let Stream { mut child, lines } = stream;
    drop(lines);
    fs::write(ground.at("g"), "x").expect("a file");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn the_stream_tells_paths_and_causes() {
    the_stream();
}

#[test]
fn the_stream_escapes_names() {
    let ground = Ground::new();
    let mut stream = Stream::start(&["--on", "arrived"], &ground.path());
    stream.line_about(&ground.at("armed"));
    fs::write(ground.at("a\n\u{1b}b"), "x").expect("a file");
    let mut line = String::new();
    while !line.contains("x0a") {
        line.clear();
        assert!(stream.lines.read_line(&mut line).expect("UTF-8") > 0, "the stream ends");
    }
    assert!(line.ends_with("a\\x0a\\x1bb\n"), "{line:?}");
    stream.interrupt();
    assert_eq!(stream.end(), Some(0));
}

fn refused(arguments: &[&str], path: &Path, status: i32, says: &str) {
    let mut child = command(arguments, path).spawn().expect("facron");
    let mut text = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut text).expect("UTF-8");
    assert_eq!(child.wait().expect("it ends").code(), Some(status), "{text}");
    assert!(text.contains(says), "{text}");
}

#[test]
fn what_cannot_be_is_refused() {
    let ground = Ground::new();
    refused(&["--on", "arive"], &ground.path(), 2, "arrived");
    refused(&["--on", "open-perm"], &ground.path(), 2, "permission events");
}

#[test]
fn a_user_gets_the_stream_and_is_told_which_right_is_missing() {
    let name = "events_command::a_user_gets_the_stream_and_is_told_which_right_is_missing";
    if !is_user(name) {
        return;
    }
    the_stream();
    let ground = Ground::new();
    refused(&["--on", "fs-error"], &ground.path(), 77, "CAP_SYS_ADMIN");
    fs::create_dir_all(ground.at("shut/in")).expect("directories");
    crate::ground::shell("chmod 0 \"$1\"", &[&ground.at("shut")]);
    refused(&[], &ground.at("shut/in"), 77, "CAP_DAC_READ_SEARCH");
    crate::ground::shell("chmod 755 \"$1\"", &[&ground.at("shut")]);
}
