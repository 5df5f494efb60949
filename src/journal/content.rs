//! A journal's text as a whole: a snapshot, and what was added later. Bytes in, state out; no file is opened here.

use std::io::{self, Read};

use super::frame::{self, MAGIC, Next, Reader};
use super::record::Record;
use super::state::State;

/// What a text says.
#[derive(Debug)]
pub struct Content {
    /// Of two texts the one with the higher generation holds.
    pub generation: u64,
    /// What its records amount to, up to its end or to the first that cannot be read.
    pub state: State,
    /// Whether its snapshot is all there: before that it never took the place of the text before it.
    pub is_complete: bool,
    /// From where on it is not what was written; none: it can be read to its end, or to a last record that was
    /// not finished when the daemon or the machine stopped.
    pub damage: Option<Damage>,
}

/// Where and why a text cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Bytes from its start.
    pub offset: u64,
    /// A lower-case sentence.
    pub message: String,
}

impl Content {
    /// Reads a text.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn read(mut source: impl Read) -> io::Result<Content> {
        let mut content =
            Content { generation: 0, state: State::default(), is_complete: false, damage: None };
        let mut magic = Vec::new();
        source.by_ref().take(MAGIC.len() as u64).read_to_end(&mut magic)?;
        if magic != MAGIC {
            // A text that was cut within its first line is an unfinished one.
            content.damage = (!MAGIC.starts_with(&magic)).then(|| damage(0, beginning(&magic)));
            return Ok(content);
        }
        let mut reader = Reader::new(source);
        loop {
            let offset = reader.offset();
            let payload = match reader.next()? {
                Next::Payload(payload) => payload,
                Next::End | Next::Torn => return Ok(content),
                Next::Damaged => {
                    content.damage = Some(damage(offset, "a record is not what was written"));
                    return Ok(content);
                }
            };
            match Record::read(payload) {
                Some(Record::Generation(generation)) => content.generation = generation,
                Some(Record::Complete) => content.is_complete = true,
                Some(record) => content.state.apply(&record),
                None => {
                    content.damage =
                        Some(damage(offset, "a record has a meaning that this version does not know"));
                    return Ok(content);
                }
            }
        }
    }
}

impl Content {
    /// A text that says the same in as few records as possible.
    pub fn rewritten(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let written = write_snapshot(&self.state, self.generation, |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        });
        written.expect("memory takes everything");
        bytes
    }
}

/// Gives the frames of a snapshot, in pieces of about 64 KiB.
///
/// # Errors
/// What `write` returns.
pub fn write_snapshot(
    state: &State,
    generation: u64,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut bytes = MAGIC.to_vec();
    let mut result = Ok(());
    let mut give = |record: &Record<'_>| {
        // A record that came out of a frame fits into one.
        frame::push(&mut bytes, |bytes| record.write(bytes));
        if bytes.len() >= frame::PAYLOAD_MAX && result.is_ok() {
            result = write(&bytes);
            bytes.clear();
        }
    };
    give(&Record::Generation(generation));
    state.snapshot(&mut give);
    give(&Record::Complete);
    result?;
    write(&bytes)
}

fn damage(offset: u64, message: &str) -> Damage {
    Damage { offset, message: message.to_owned() }
}

fn beginning(magic: &[u8]) -> &'static str {
    let until_version = MAGIC.len() - 2;
    if magic.get(..until_version) == Some(&MAGIC[..until_version]) {
        "it is of another version"
    } else {
        "it is no journal of facron"
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::event::{EventMask, Origin};
    use crate::journal::record::Waiting;

    fn waits(path: &str) -> Record<'_> {
        let waiting = Waiting {
            mask: EventMask::ARRIVED,
            is_dir: false,
            origin: Origin::Event,
            time: SystemTime::UNIX_EPOCH,
            path: path.as_bytes(),
            old_path: None,
            object: None,
        };
        Record::Waits { rule: "r", waiting }
    }

    /// A snapshot with one event, and two records behind it. Second: where the snapshot ends.
    fn text() -> (Vec<u8>, usize) {
        let mut state = State::default();
        state.apply(&waits("/a"));
        let mut bytes = Vec::new();
        write_snapshot(&state, 7, |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })
        .unwrap();
        let snapshot_len = bytes.len();
        for record in [waits("/b"), waits("/c")] {
            assert!(frame::push(&mut bytes, |bytes| record.write(bytes)));
        }
        (bytes, snapshot_len)
    }

    #[test]
    fn a_text_is_read_as_it_was_written() {
        let content = Content::read(&text().0[..]).unwrap();
        assert_eq!((content.generation, content.state.waiting_count(), content.is_complete), (7, 3, true));
        assert_eq!(content.damage, None);
    }

    #[test]
    fn every_cut_leaves_the_whole_records_before_it() {
        let (bytes, snapshot_len) = text();
        for len in 0..bytes.len() {
            let content = Content::read(&bytes[..len]).unwrap();
            assert_eq!(content.damage, None, "cut at {len}");
            assert_eq!(content.is_complete, len >= snapshot_len, "cut at {len}");
            assert!(!content.is_complete || content.state.waiting_count() >= 1, "cut at {len}");
        }
    }

    #[test]
    fn every_change_is_noticed() {
        let (whole, _) = text();
        for offset in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[offset] = bytes[offset].wrapping_add(1);
            let content = Content::read(&bytes[..]).unwrap();
            assert!(content.damage.is_some(), "changed at {offset}");
        }
    }

    #[test]
    fn another_version_is_told_from_another_file() {
        let message = |bytes: &[u8]| Content::read(bytes).unwrap().damage.unwrap().message;
        assert_eq!(message(b"facron journal 2\nxxx"), "it is of another version");
        assert_eq!(message(b"#!/bin/sh\nrm -r /\n"), "it is no journal of facron");
    }

    #[test]
    fn a_large_snapshot_comes_in_pieces() {
        let mut state = State::default();
        for number in 0..5_000 {
            state.apply(&waits(&format!("/srv/incoming/{number:0100}")));
        }
        let (mut bytes, mut longest) = (Vec::new(), 0);
        write_snapshot(&state, 1, |piece| {
            bytes.extend_from_slice(piece);
            longest = longest.max(piece.len());
            Ok(())
        })
        .unwrap();
        assert!(longest < 2 * frame::PAYLOAD_MAX, "{longest}");
        let content = Content::read(&bytes[..]).unwrap();
        assert_eq!((content.state.waiting_count(), content.is_complete), (5_000, true));
    }
}
