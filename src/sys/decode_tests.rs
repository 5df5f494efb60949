//! Buffers that Linux 6.18 wrote, and every corruption of them.

use std::fs;
use std::path::Path;

use super::*;
use crate::event::EventMask;

/// A buffer of the corpus that the fuzzer starts from too.
fn recorded(name: &str) -> Vec<u8> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/decode");
    fs::read(corpus.join(name)).expect(name)
}

/// Each event in a line: what happened, to which names, `*` for a known object, what went wrong.
fn transcript(buffer: &[u8]) -> Vec<String> {
    let line = |event: Result<RawEvent<'_>, Malformed>| {
        let (event, parts) = match event.and_then(|event| Ok((event, event.parts()?))) {
            Ok(event) => event,
            Err(malformed) => return malformed.to_string(),
        };
        let mut line = EventMask::from_kernel_bits(event.mask).to_string();
        let name = |entry: RawEntry<'_>| entry.name.to_string_lossy().into_owned();
        if event.mask & libc::FAN_ONDIR != 0 {
            line += " dir";
        }
        line.extend(parts.entry.map(|entry| format!(" {}", name(entry))));
        line.extend(parts.old.map(|entry| format!(" {} ->", name(entry))));
        line.extend(parts.new.map(|entry| format!(" {}", name(entry))));
        line.extend(parts.object.map(|_| " *".to_owned()));
        line.extend(parts.error.map(|error| format!(" errno {} x{}", error.errno, error.count)));
        line
    };
    events(buffer).map(line).collect()
}

#[test]
fn names_and_objects_of_every_event_are_read() {
    let lines = transcript(&recorded("names"));
    for expected in [
        "modify,close-write,open,create n *",
        "rename n -> m *",
        "moved-from n *",
        "moved-to m *",
        "create dir x *",
        "rename dir x -> z *",
        "create l *",
        "create s *",
        "delete l *",
        "delete dir z *",
        "create p *",
    ] {
        let words: Vec<&str> = expected.split(' ').collect();
        let is_it = |line: &&String| {
            let (masks, rest) = line.split_once(' ').unwrap_or((line, ""));
            words[0].split(',').all(|mask| masks.split(',').any(|other| other == mask))
                && rest.split(' ').eq(words[1..].iter().copied())
        };
        assert!(lines.iter().any(|line| is_it(&line)), "{expected} is not in {lines:#?}");
    }
    assert!(lines.iter().any(|line| line.contains("open-exec")), "{lines:#?}");
}

#[test]
fn without_targets_entries_have_no_object() {
    let lines = transcript(&recorded("names-without-targets"));
    assert!(lines.iter().any(|line| line == "create dir x"), "{lines:#?}");
}

#[test]
fn groups_that_name_no_entries_are_read_too() {
    assert!(transcript(&recorded("directories")).iter().any(|line| line.ends_with(" dir .")));
    assert!(transcript(&recorded("objects")).iter().all(|line| line.ends_with(" *")));
}

#[test]
fn names_are_bytes() {
    let buffer = recorded("hostile-names");
    let names: Vec<Vec<u8>> = events(&buffer)
        .filter_map(|event| event.ok()?.parts().ok()?.entry.map(|entry| entry.name.as_bytes().to_vec()))
        .collect();
    for name in [&b"\xff\xfe"[..], b"-rf", b"a\nb", &[b'x'; 255], "é".as_bytes(), b" ", b"..."] {
        assert!(names.iter().any(|other| other == name), "{name:?}");
    }
}

#[test]
fn an_overflow_comes_last_and_is_about_nothing() {
    let lines = transcript(&recorded("overflow"));
    assert_eq!(lines.last().map(String::as_str), Some("q-overflow"));
}

#[test]
fn the_error_of_a_file_system_and_its_repetitions_are_read() {
    let lines = transcript(&recorded("file-system-error"));
    assert_eq!(lines, ["fs-error * errno 117 x2"]);
}

#[test]
fn mounts_and_process_descriptors_are_told_apart_from_the_rest() {
    let buffer = recorded("mounts");
    let mounts = events(&buffer).flat_map(|event| event.expect("an event").records().collect::<Vec<_>>());
    assert!(mounts.into_iter().all(|record| matches!(record, Ok(Record::Mount(id)) if id != 0)));
    let buffer = recorded("process-descriptors");
    let records: Vec<_> =
        events(&buffer).flat_map(|event| event.expect("an event").records().collect::<Vec<_>>()).collect();
    assert!(records.iter().any(|record| matches!(record, Ok(Record::PidDescriptor(_)))), "{records:?}");
}

#[test]
fn another_version_is_refused() {
    let mut buffer = recorded("names");
    buffer[4] = 4;
    assert_eq!(events(&buffer).next(), Some(Err(Malformed::Version(4))));
    assert_eq!(events(&buffer).count(), 1);
}

#[test]
fn no_truncation_and_no_flipped_bit_makes_it_panic_or_loop() {
    let read = |buffer: &[u8]| {
        let mut records = 0;
        for event in events(buffer).map_while(Result::ok) {
            let is_whole = event.records().all(|record| record.is_ok());
            assert_eq!(event.parts().is_ok(), is_whole);
            records += event.records().count();
        }
        assert!(records <= buffer.len() / HEADER_LEN + 1, "{records} records in {} bytes", buffer.len());
    };
    let corpus = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/decode"));
    for file in corpus.expect("a corpus").map(|entry| entry.expect("an entry").path()) {
        let whole = fs::read(&file).expect("a buffer");
        for len in 0..whole.len() {
            read(&whole[..len]);
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[len] ^= 1 << bit;
                read(&flipped);
            }
        }
    }
}
