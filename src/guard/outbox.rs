//! What the guard still has to tell the daemon: a buffer of fixed size. A daemon that does not listen costs
//! neither memory nor time; what finds no room is counted.

use std::io;
use std::os::fd::BorrowedFd;

use super::wire::{PACKET_LEN_MAX, RECORD_LEN_MAX, Word};
use crate::sys::packet;

/// Bytes of words that may wait.
const LEN_MAX: usize = 256 * 1024;

/// Words on their way.
#[derive(Debug)]
pub struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
    is_urgent: bool,
}

impl Outbox {
    /// An empty one.
    pub fn new() -> Outbox {
        Outbox { bytes: Vec::with_capacity(LEN_MAX), sent: 0, is_urgent: false }
    }

    /// Adds a word; says whether there was room. `reserve` bytes are left to words of more weight.
    pub fn put(&mut self, word: &Word<'_>, reserve: usize) -> bool {
        if self.bytes.len() + RECORD_LEN_MAX + reserve > LEN_MAX {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        let has_room = self.bytes.len() + RECORD_LEN_MAX + reserve <= LEN_MAX;
        if has_room {
            word.put(&mut self.bytes);
            self.is_urgent |= !matches!(word, Word::Told { .. });
        }
        has_room
    }

    /// Sends what the socket takes.
    ///
    /// # Errors
    /// The daemon is gone.
    pub fn flush(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        while self.sent < self.bytes.len() {
            let packet = first_packet(&self.bytes[self.sent..]);
            if !packet::send(socket, packet, None)? {
                return Ok(());
            }
            self.sent += packet.len();
        }
        self.bytes.clear();
        (self.sent, self.is_urgent) = (0, false);
        Ok(())
    }

    /// Whether somebody waits for what is to be said, or may soon.
    pub fn is_urgent(&self) -> bool {
        self.is_urgent
    }

    /// Whether everything is sent.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// As many whole records as one packet may hold.
fn first_packet(bytes: &[u8]) -> &[u8] {
    let mut end = 0;
    while let Some((len, _)) = bytes[end..].split_first_chunk() {
        let next = end + 2 + usize::from(u16::from_ne_bytes(*len));
        if next > PACKET_LEN_MAX {
            break;
        }
        end = next;
    }
    &bytes[..end]
}

#[cfg(test)]
mod tests {
    use super::super::wire::{Opener, PostId};
    use super::*;
    use std::os::fd::AsFd as _;

    fn told(serial: u32, path: &[u8]) -> Word<'_> {
        let opener = Opener { mask: 1, pid: 1, session: 1, device: 1, inode: 1, is_dir: false, path };
        Word::Told { post: PostId(serial), opener }
    }

    #[test]
    fn every_word_comes_once_and_in_order_or_is_refused() {
        let (here, there) = packet::pair().expect("two descriptors");
        let mut outbox = Outbox::new();
        let capacity = outbox.bytes.capacity();
        let (mut buffer, mut control) = (vec![0; PACKET_LEN_MAX], packet::Control::default());
        let (mut put, mut heard, mut refused) = (0, 0, 0);
        for turn in 0..2000 {
            match outbox.put(&told(put, &[b'x'; 900]), 0) {
                true => put += 1,
                false => refused += 1,
            }
            outbox.flush(here.as_fd()).expect("the other side is there");
            // A daemon that sleeps for long, and then listens to everything.
            if turn % 1000 == 999 {
                loop {
                    let packet = packet::receive(there.as_fd(), &mut buffer, &mut control).expect("it works");
                    let Some(packet) = packet else {
                        outbox.flush(here.as_fd()).expect("the other side is there");
                        if outbox.is_empty() {
                            break;
                        }
                        continue;
                    };
                    let mut rest = &buffer[..packet.len];
                    while let Some(word) = Word::take(&mut rest) {
                        assert_eq!(word, told(heard, &[b'x'; 900]));
                        heard += 1;
                    }
                }
                // The last packet may still be in the socket.
                while let Some(packet) =
                    packet::receive(there.as_fd(), &mut buffer, &mut control).expect("it works")
                {
                    let mut rest = &buffer[..packet.len];
                    while Word::take(&mut rest).is_some() {
                        heard += 1;
                    }
                }
            }
        }
        assert_eq!((put, put + refused), (heard, 2000));
        assert!(refused > 0 && outbox.bytes.capacity() == capacity);
    }

    #[test]
    fn what_is_reserved_is_left_to_words_of_more_weight() {
        let mut outbox = Outbox::new();
        while outbox.put(&told(0, b""), LEN_MAX / 2) {}
        assert!(outbox.put(&told(0, b""), 0));
    }
}
