//! The log on a real pipe: whoever logs is never held up, and nothing of others breaks a line.

mod common;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use facron::escape;
use facron::logger::{QUEUE_BYTES_MAX, QueueLogger, TextSink};
use log::{Level, Log, Record};

fn logger() -> (QueueLogger, std::io::PipeReader) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    (QueueLogger::new(Box::new(TextSink { is_coloured: false, writer })).expect("a thread"), reader)
}

fn log(logger: &QueueLogger, message: &str, fields: &[(&str, &str)]) {
    logger.log(
        &Record::builder()
            .args(format_args!("{message}"))
            .level(Level::Info)
            .target("facron::daemon")
            .key_values(&fields)
            .build(),
    );
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test measures that nobody waits")]
fn a_reader_that_stops_holds_up_nobody_and_learns_what_it_missed() {
    let (logger, reader) = logger();
    let value = "x".repeat(1000);
    let calls = 3 * QUEUE_BYTES_MAX / value.len();
    let mut slowest = Duration::ZERO;
    for _ in 0..calls {
        let start = Instant::now();
        log(&logger, "event", &[("value", &value)]);
        slowest = slowest.max(start.elapsed());
    }
    assert!(slowest < Duration::from_secs(1), "a call took {slowest:?}");
    let start = Instant::now();
    assert!(!logger.flush_within(Duration::from_millis(50)), "nobody reads");
    assert!(start.elapsed() < Duration::from_secs(5), "the flush is bounded");

    log(&logger, "last", &[]);
    let mut written = 0;
    let mut lost = 0;
    for line in BufReader::new(reader).lines() {
        let line = line.expect("a line of UTF-8");
        match line.split_once(" WARN  log lines lost count=") {
            Some((_, count)) => lost += count.parse::<usize>().expect("a number"),
            None => written += 1,
        }
        if written + lost == calls + 1 {
            break;
        }
    }
    assert!(lost > calls / 3, "{lost} of {calls}");
    assert!(logger.flush_within(Duration::from_secs(60)));
}

#[test]
fn every_hostile_name_is_one_line_that_gives_the_name_back() {
    let names: Vec<Vec<u8>> = (0..=255_u8)
        .map(|byte| vec![b'/', byte, b'a'])
        .chain(
            ["/\u{202e}", "/\u{2028}", "/\u{85}", "/ rule=other", "/\n<0>x", "/\\x0a"]
                .map(|name| name.into()),
        )
        .collect();
    let (logger, reader) = logger();
    for name in &names {
        log(&logger, "run ended", &[("rule", "r"), ("path", &escape::text(name))]);
    }
    let lines = BufReader::new(reader).lines().take(names.len());
    for (line, name) in lines.zip(&names) {
        let line = line.expect("a line of UTF-8");
        assert!(!line.contains(|c: char| c.is_control() || matches!(c, '\u{202e}' | '\u{2028}')), "{line:?}");
        let (head, path) = line.split_once(" path=").expect("the path is last");
        assert!(head.ends_with(" INFO  run ended rule=r"), "{head}");
        assert_eq!(path, escape::text(name));
    }
    assert!(logger.flush_within(Duration::from_secs(60)));
}

#[test]
fn what_a_library_logs_is_not_ours() {
    let (logger, reader) = logger();
    logger.log(&Record::builder().args(format_args!("noise")).target("zbus::connection").build());
    log(&logger, "ours", &[]);
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).expect("a line");
    assert!(line.ends_with(" INFO  ours\n"), "{line}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a process of its own, which ends in a panic")]
fn a_panic_is_a_line_of_the_log() {
    const PANIC: &str = "FACRON_TEST_PANIC";
    if std::env::var_os(PANIC).is_some() {
        let options = facron::logger::Options { level: log::LevelFilter::Error, is_coloured: false };
        facron::logger::start(options).expect("the log starts");
        panic!("out of\nluck");
    }
    let output = Command::new(std::env::current_exe().expect("we run"))
        .args(["--exact", "a_panic_is_a_line_of_the_log", "--nocapture"])
        .env(PANIC, "1")
        .output()
        .expect("it starts");
    let said = String::from_utf8(output.stderr).expect("text");
    let line = said.lines().next().unwrap_or_default();
    assert!(
        line.contains(" ERROR panic at=tests/logger.rs:") && line.ends_with(" message=out of\\x0aluck"),
        "{said}"
    );
}

/// Set where this test binary runs again with a journal of its own.
const JOURNAL: &str = "FACRON_TEST_JOURNAL";

#[test]
#[expect(clippy::disallowed_methods, reason = "what is tested are a process's own variables")]
fn in_the_journal_fields_are_fields_and_failures_have_their_identifier() {
    let test = "in_the_journal_fields_are_fields_and_failures_have_their_identifier";
    if std::env::var_os(JOURNAL).is_some() {
        return log_to_the_journal();
    }
    if !common::require_root(test) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let stderr = File::create(dir.path().join("stderr")).expect("created");
    let stream = stderr
        .metadata()
        .map(|metadata| format!("{}:{}", metadata.dev(), metadata.ino()))
        .expect("it is open");
    let script = "mount -t tmpfs facron-test /run && mkdir -p /run/systemd/journal && exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
        .arg(std::env::current_exe().expect("we run"))
        .args(["--exact", test, "--nocapture"])
        .env(JOURNAL, "1")
        .env("JOURNAL_STREAM", stream)
        .stderr(stderr)
        .output()
        .expect("unshare(1) starts");
    let said = std::fs::read_to_string(dir.path().join("stderr")).expect("it can be read");
    assert!(output.status.success(), "{}{said}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(said, "", "the journal has it, and nobody else");
}

/// Runs where /run is a file system of its own.
fn log_to_the_journal() {
    let journal = UnixDatagram::bind("/run/systemd/journal/socket").expect("bound");
    journal.set_read_timeout(Some(Duration::from_secs(60))).expect("a limit");
    let options = facron::logger::Options { level: log::LevelFilter::Info, is_coloured: true };
    let handle = facron::logger::start(options).expect("the log starts");
    assert_eq!(entry(&journal), BTreeMap::new(), "the library asks whether somebody is there");
    let path = escape::text(b"/srv/\xff\n");
    log::info!(target: "facron::daemon", rule = "deploy", run = 7; "run started");
    log::warn!(target: "facron::daemon", rule = "deploy", run = 7, outcome = "exit:3", path = path; "run ended");
    log::debug!(target: "facron::daemon", rule = "deploy"; "not wanted");
    assert!(handle.flush(Duration::from_secs(60)));
    let started = entry(&journal);
    assert_eq!(started["MESSAGE"], "run started rule=deploy run=7");
    assert_eq!((&*started["PRIORITY"], started.get("MESSAGE_ID")), ("5", None));
    let ended = entry(&journal);
    for (key, value) in [
        ("MESSAGE", "run ended rule=deploy run=7 outcome=exit:3 path=/srv/\\xff\\x0a"),
        ("PRIORITY", "4"),
        ("SYSLOG_IDENTIFIER", "facron"),
        ("FACRON_RULE", "deploy"),
        ("FACRON_RUN", "7"),
        ("FACRON_OUTCOME", "exit:3"),
        ("FACRON_PATH", "/srv/\\xff\\x0a"),
        ("MESSAGE_ID", facron::logger::MESSAGE_IDS[0].1),
    ] {
        assert_eq!(ended[key], value, "{key}");
    }
    journal.set_nonblocking(true).expect("non-blocking");
    assert!(journal.recv(&mut [0; 16]).is_err(), "debug is not wanted");
}

/// The next entry: `KEY=value`, or `KEY`, the length of the value and the value (systemd's native protocol).
fn entry(journal: &UnixDatagram) -> BTreeMap<String, String> {
    let mut bytes = [0; 8192];
    let count = journal.recv(&mut bytes).expect("an entry comes");
    let mut rest = &bytes[..count];
    let mut fields = BTreeMap::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        match line.iter().position(|byte| *byte == b'=') {
            Some(equals) => fields.insert(text(&line[..equals]), text(&line[equals + 1..])),
            None => {
                let (len, after) = rest.split_first_chunk::<8>().expect("a length");
                let len = usize::try_from(u64::from_le_bytes(*len)).expect("small");
                rest = &after[len + 1..];
                fields.insert(text(line), text(&after[..len]))
            }
        };
    }
    fields
}
