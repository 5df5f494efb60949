//! The log on a real pipe: whoever logs is never held up, and nothing of others breaks a line.

use std::io::{BufRead, BufReader};
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
