//! Frames: how one record after another lies in a file, so that a torn end is told from damage.
//!
//! ```text
//! file   = "facron journal 1\n" frame*
//! frame  = length(4) !length(4) check(8) payload(length)      numbers little-endian
//! check  = FNV-1a, 64 bits, over the payload
//! ```
//!
//! A length that can be believed tells an unfinished last frame from a changed one. FNV-1a notices every change of a single byte for certain and any other with 1 − 2⁻⁶⁴; nobody but us can write
//! the file, so it has accidents to fear, not forgers. After a bad frame nothing is read any more: a file name
//! in a payload may itself look like frames.

use std::io::{self, Read};

/// How a file begins; the number is the version of the format.
pub const MAGIC: &[u8] = b"facron journal 1\n";

/// Bytes of one payload at most.
pub const PAYLOAD_MAX: usize = 64 * 1024;

/// Bytes before a payload.
const HEAD_LEN: usize = 16;

/// A hash over some bytes, FNV-1a with 64 bits.
#[derive(Clone, Copy, Debug)]
pub struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    /// The hash with these bytes added.
    #[must_use]
    pub fn with(self, bytes: &[u8]) -> Fnv {
        Fnv(bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)))
    }

    /// Its value.
    pub fn value(self) -> u64 {
        self.0
    }
}

/// Adds a frame to `bytes`, with what `write` puts there as its payload. Returns whether it fits into a frame;
/// if not, `bytes` is as before.
pub fn push(bytes: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> bool {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; HEAD_LEN]);
    write(bytes);
    let (head, payload) = bytes[start..].split_at_mut(HEAD_LEN);
    let Some(length) = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= PAYLOAD_MAX) else {
        bytes.truncate(start);
        return false;
    };
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4..8].copy_from_slice(&(!length).to_le_bytes());
    head[8..].copy_from_slice(&Fnv::default().with(payload).value().to_le_bytes());
    true
}

/// What comes next in a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// A whole frame: its payload.
    Payload(&'a [u8]),
    /// Nothing: the file ends with a whole frame.
    End,
    /// A frame that was not written to its end, with nothing behind it: the daemon or the machine stopped.
    Torn,
    /// Something else than what was written.
    Damaged,
}

/// How many whole frames these are.
pub fn count(frames: &[u8]) -> usize {
    let mut reader = Reader::new(frames);
    std::iter::from_fn(|| matches!(reader.next(), Ok(Next::Payload(_))).then_some(())).count()
}

/// Reads frames one after another, in memory for one frame.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    payload: Vec<u8>,
    offset: u64,
}

impl<R: Read> Reader<R> {
    /// Reads behind [`MAGIC`], which must have been read.
    pub fn new(source: R) -> Self {
        Reader { source, payload: Vec::new(), offset: MAGIC.len() as u64 }
    }

    /// Where the frame that was read last ends, bytes from the start of the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next frame.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn next(&mut self) -> io::Result<Next<'_>> {
        let mut head = [0; HEAD_LEN];
        match read_up_to(&mut self.source, &mut head)? {
            0 => return Ok(Next::End),
            HEAD_LEN => {}
            _ => return Ok(Next::Torn),
        }
        let [length, complement] = [0, 4].map(|at| u32::from_le_bytes(fixed(&head[at..at + 4])));
        if length != !complement || length as usize > PAYLOAD_MAX {
            let is_torn = head == [0; HEAD_LEN] && self.is_zero_to_the_end()?;
            return Ok(if is_torn { Next::Torn } else { Next::Damaged });
        }
        self.payload.resize(length as usize, 0);
        if read_up_to(&mut self.source, &mut self.payload)? < self.payload.len() {
            return Ok(Next::Torn);
        }
        if Fnv::default().with(&self.payload).value() != u64::from_le_bytes(fixed(&head[8..])) {
            return Ok(Next::Damaged);
        }
        self.offset += (HEAD_LEN + self.payload.len()) as u64;
        Ok(Next::Payload(&self.payload))
    }

    /// After a power failure the length of a file may be on the disk, but not its last blocks: they are zero.
    fn is_zero_to_the_end(&mut self) -> io::Result<bool> {
        let mut rest = [0; 4096];
        loop {
            match read_up_to(&mut self.source, &mut rest)? {
                0 => return Ok(true),
                len if rest[..len].iter().all(|byte| *byte == 0) => {}
                _ => return Ok(false),
            }
        }
    }
}

fn fixed<const LEN: usize>(bytes: &[u8]) -> [u8; LEN] {
    bytes.try_into().expect("the caller cuts as many bytes as the number has")
}

/// Fills as much of the buffer as there is to read.
fn read_up_to(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(len) => filled += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three_frames() -> Vec<u8> {
        let mut bytes = Vec::new();
        for payload in [&b"one"[..], b"two and more", b"3"] {
            assert!(push(&mut bytes, |bytes| bytes.extend_from_slice(payload)));
        }
        bytes
    }

    /// The payloads that can be read, and how it ends.
    fn read(bytes: &[u8]) -> (Vec<Vec<u8>>, Next<'static>) {
        let mut reader = Reader::new(bytes);
        let mut payloads = Vec::new();
        loop {
            match reader.next().unwrap() {
                Next::Payload(payload) => payloads.push(payload.to_vec()),
                Next::End => return (payloads, Next::End),
                Next::Torn => return (payloads, Next::Torn),
                Next::Damaged => return (payloads, Next::Damaged),
            }
        }
    }

    #[test]
    fn frames_are_read_as_they_were_written() {
        let (payloads, end) = read(&three_frames());
        assert_eq!(payloads, [&b"one"[..], b"two and more", b"3"]);
        assert_eq!(end, Next::End);
    }

    #[test]
    fn every_cut_is_a_torn_end_or_a_whole_one() {
        let bytes = three_frames();
        let ends = [0, 19, 19 + 28, 19 + 28 + 17];
        assert_eq!(bytes.len(), ends[3]);
        for len in 0..bytes.len() {
            let (payloads, end) = read(&bytes[..len]);
            assert_eq!(payloads.len(), ends.iter().filter(|end| **end <= len).count() - 1, "cut at {len}");
            assert_eq!(end, if ends.contains(&len) { Next::End } else { Next::Torn }, "cut at {len}");
        }
    }

    #[test]
    fn blocks_that_never_reached_the_disk_are_a_torn_end() {
        let mut bytes = three_frames();
        bytes.extend_from_slice(&[0; 9000]);
        assert_eq!(read(&bytes), (read(&three_frames()).0, Next::Torn));
    }

    #[test]
    fn a_changed_byte_ends_the_reading_there() {
        let whole = three_frames();
        for offset in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[offset] ^= 0x40;
            let (payloads, end) = read(&bytes);
            let before = [19, 47, 64].iter().filter(|end| **end <= offset).count();
            assert_eq!(payloads.len(), before, "changed at {offset}");
            assert_eq!(end, Next::Damaged, "changed at {offset}");
        }
    }

    #[test]
    fn what_is_too_long_for_a_frame_leaves_nothing_behind() {
        let mut bytes = three_frames();
        assert!(!push(&mut bytes, |bytes| bytes.resize(bytes.len() + PAYLOAD_MAX + 1, b'x')));
        assert_eq!(bytes, three_frames());
    }
}
