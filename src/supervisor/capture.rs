//! What a run writes: cut into lines, bounded, its last words kept.
//!
//! The first half of what is kept of a run goes into the log as it comes; of the rest only the last half is kept, and
//! follows when the run has ended. Where a run writes more, what lies between is counted.

use std::collections::VecDeque;

use super::notice::{Amount, Stream};

/// The longest line that is passed on; a longer one comes in pieces.
pub const LINE_LEN_MAX: usize = 4096;

/// Kept of one run: this much from its start and as much from its end, together 64 KiB.
const HALF_LEN_MAX: usize = 32 * 1024;

/// Kept of standard error for status and notification.
pub const ERROR_TAIL_LEN: usize = 2048;

/// A line of output without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where it was written to.
    pub stream: Stream,
    /// Its bytes.
    pub text: Vec<u8>,
}

/// The output of one run so far.
#[derive(Debug, Default)]
pub struct Capture {
    out: Vec<u8>,
    err: Vec<u8>,
    /// Bytes of whole lines that have been passed on.
    passed_on: usize,
    /// Once the first half is full: what came last, as it was read.
    late: VecDeque<(Stream, Vec<u8>)>,
    late_len: usize,
    left_out: Amount,
    error_tail: Vec<u8>,
}

impl Capture {
    /// Takes what was read; appends the lines that are complete, while the first half is not full.
    pub fn read(&mut self, stream: Stream, bytes: &[u8], lines: &mut Vec<Line>) {
        if stream == Stream::Err {
            push_bounded(&mut self.error_tail, bytes, ERROR_TAIL_LEN);
        }
        let taken = if self.is_first_half() { self.split(stream, bytes, lines) } else { 0 };
        self.keep_late(stream, &bytes[taken..]);
    }

    /// Nothing more comes: gives what was left out, and appends the lines that come after it.
    pub fn finish(&mut self, lines: &mut Vec<Line>) -> Amount {
        // What was begun in the first half is ended by what came later.
        self.passed_on = 0;
        for (stream, bytes) in std::mem::take(&mut self.late) {
            self.cut(stream, &bytes, usize::MAX, lines);
        }
        for (stream, rest) in [(Stream::Out, &mut self.out), (Stream::Err, &mut self.err)] {
            if !rest.is_empty() {
                lines.push(Line { stream, text: std::mem::take(rest) });
            }
        }
        self.left_out
    }

    /// The last of standard error, from the start of a line where there is one.
    pub fn error_tail(&self) -> &[u8] {
        let is_cut = self.error_tail.len() == ERROR_TAIL_LEN;
        let start = self.error_tail.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if is_cut && start < ERROR_TAIL_LEN { &self.error_tail[start..] } else { &self.error_tail }
    }

    fn is_first_half(&self) -> bool {
        self.passed_on < HALF_LEN_MAX
    }

    /// Takes bytes until the first half is full; says how many.
    fn split(&mut self, stream: Stream, bytes: &[u8], lines: &mut Vec<Line>) -> usize {
        self.cut(stream, bytes, HALF_LEN_MAX, lines)
    }

    /// Cuts bytes into lines until this much has been passed on; says how many bytes were taken.
    fn cut(&mut self, stream: Stream, bytes: &[u8], passed_on_max: usize, lines: &mut Vec<Line>) -> usize {
        let rest = match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        };
        let mut taken = 0;
        while taken < bytes.len() && self.passed_on < passed_on_max {
            let room = LINE_LEN_MAX - rest.len();
            let ahead = &bytes[taken..];
            let end = ahead.iter().take(room + 1).position(|byte| *byte == b'\n');
            let len = end.unwrap_or(room.min(ahead.len()));
            rest.extend_from_slice(&ahead[..len]);
            taken += len + usize::from(end.is_some());
            if end.is_some() || rest.len() == LINE_LEN_MAX && taken < bytes.len() {
                let mut text = std::mem::take(rest);
                self.passed_on += text.len() + 1;
                if end.is_some() && text.last() == Some(&b'\r') {
                    text.pop();
                }
                lines.push(Line { stream, text });
            }
        }
        taken
    }

    fn keep_late(&mut self, stream: Stream, bytes: &[u8]) {
        let (dropped, kept) = bytes.split_at(bytes.len().saturating_sub(HALF_LEN_MAX));
        if kept.is_empty() {
            return;
        }
        self.late.push_back((stream, kept.to_vec()));
        self.late_len += kept.len();
        while self.late_len > HALF_LEN_MAX {
            let excess = self.late_len - HALF_LEN_MAX;
            let Some((_, first)) = self.late.front_mut() else { break };
            let len = excess.min(first.len());
            self.left_out += Amount::of(&first[..len]);
            self.late_len -= len;
            first.drain(..len);
            if first.is_empty() {
                self.late.pop_front();
            }
        }
        self.left_out += Amount::of(dropped);
    }
}

/// Appends, and forgets from the front what is over.
fn push_bounded(kept: &mut Vec<u8>, bytes: &[u8], len_max: usize) {
    let bytes = &bytes[bytes.len().saturating_sub(len_max)..];
    let excess = (kept.len() + bytes.len()).saturating_sub(len_max);
    kept.drain(..excess);
    kept.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All lines of a run that wrote these pieces, and what was left out.
    fn lines_of(pieces: &[(Stream, &[u8])]) -> (Vec<Line>, Amount, Vec<u8>) {
        let (mut capture, mut lines) = (Capture::default(), Vec::new());
        for (stream, bytes) in pieces {
            capture.read(*stream, bytes, &mut lines);
        }
        let left_out = capture.finish(&mut lines);
        (lines, left_out, capture.error_tail().to_vec())
    }

    fn line(stream: Stream, text: &str) -> Line {
        Line { stream, text: text.as_bytes().to_vec() }
    }

    #[test]
    fn pieces_become_lines_of_their_stream() {
        let pieces: &[(Stream, &[u8])] =
            &[(Stream::Out, b"a\nb"), (Stream::Err, b"x\r\n\n"), (Stream::Out, b"c\nd")];
        let (lines, left_out, error_tail) = lines_of(pieces);
        let expected = [
            line(Stream::Out, "a"),
            line(Stream::Err, "x"),
            line(Stream::Err, ""),
            line(Stream::Out, "bc"),
            line(Stream::Out, "d"),
        ];
        assert_eq!(lines, expected);
        assert!(left_out.is_zero());
        assert_eq!(error_tail, b"x\r\n\n");
    }

    #[test]
    fn of_long_output_the_start_and_the_end_are_kept() {
        let text: String = (0..100_000).map(|number| format!("{number}\n")).collect();
        let pieces: Vec<(Stream, &[u8])> =
            text.as_bytes().chunks(5000).map(|chunk| (Stream::Out, chunk)).collect();
        let (lines, left_out, _) = lines_of(&pieces);
        assert_eq!(lines[0], line(Stream::Out, "0"));
        assert_eq!(lines.last(), Some(&line(Stream::Out, "99999")));
        let kept: usize = lines.iter().map(|line| line.text.len() + 1).sum();
        assert_eq!(kept as u64 + left_out.bytes, text.len() as u64);
        assert!((60_000..=65_536 + 10).contains(&kept), "{kept}");
    }

    #[test]
    fn a_line_without_an_end_comes_in_pieces() {
        let bytes = vec![b'x'; 1_000_000];
        let pieces: Vec<(Stream, &[u8])> = bytes.chunks(65_536).map(|chunk| (Stream::Err, chunk)).collect();
        let (lines, left_out, error_tail) = lines_of(&pieces);
        assert!(lines.iter().all(|line| line.text.len() <= LINE_LEN_MAX));
        let kept: usize = lines.iter().map(|line| line.text.len()).sum();
        assert_eq!(kept as u64 + left_out.bytes, 1_000_000);
        assert!(kept <= 2 * HALF_LEN_MAX, "{kept}");
        assert_eq!(error_tail.len(), ERROR_TAIL_LEN);
    }

    proptest! {
        #[test]
        fn short_output_arrives_whole(pieces in prop::collection::vec("[ab\n]{0,300}", 0..20)) {
            let all = pieces.concat();
            let pieces: Vec<(Stream, &[u8])> =
                pieces.iter().map(|piece| (Stream::Out, piece.as_bytes())).collect();
            let (lines, left_out, _) = lines_of(&pieces);
            let expected: Vec<Line> = all.lines().map(|text| line(Stream::Out, text)).collect();
            prop_assert_eq!(lines, expected);
            prop_assert!(left_out.is_zero());
        }
    }
}
