//! Fields of records, as bytes and back.
//!
//! Numbers are little-endian; a text is its length in four bytes and its bytes; what may be missing is 0, or 1 and
//! the thing; a time is seconds and nanoseconds since 1970, the seconds rounded down; a set of events is the
//! kernel's bits, with bit 63 for `arrived`.

use std::time::{Duration, SystemTime};

use super::record::Object;
use super::stamp::Stamp;
use crate::event::EventMask;

/// Bytes of a rule's name at most.
const NAME_MAX: usize = 64;

/// Bytes of a file handle at most (MAX_HANDLE_SZ).
const HANDLE_MAX: usize = 128;

/// Stands for `arrived`, which the kernel does not know.
const ARRIVED_BIT: u64 = 1 << 63;

pub(super) fn put_u64(bytes: &mut Vec<u8>, number: u64) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

pub(super) fn put_text(bytes: &mut Vec<u8>, text: &[u8]) {
    // What is longer than a frame is refused there, whatever its length says here.
    bytes.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(text);
}

pub(super) fn put_option<T>(bytes: &mut Vec<u8>, value: Option<&T>, put: impl FnOnce(&mut Vec<u8>, &T)) {
    bytes.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(bytes, value);
    }
}

pub(super) fn put_time(bytes: &mut Vec<u8>, time: SystemTime) {
    let (seconds, nanoseconds) = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => (i64::try_from(after.as_secs()).unwrap_or(i64::MAX), after.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            let seconds = -i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            match before.subsec_nanos() {
                0 => (seconds, 0),
                nanoseconds => (seconds - 1, 1_000_000_000 - nanoseconds),
            }
        }
    };
    bytes.extend_from_slice(&seconds.to_le_bytes());
    bytes.extend_from_slice(&nanoseconds.to_le_bytes());
}

pub(super) fn put_stamp(bytes: &mut Vec<u8>, stamp: Stamp) {
    put_time(bytes, stamp.wall);
    put_u64(bytes, u64::try_from(stamp.since_boot.as_nanos()).unwrap_or(u64::MAX));
    bytes.extend_from_slice(&stamp.boot_id.to_le_bytes());
}

pub(super) fn put_mask(bytes: &mut Vec<u8>, mask: EventMask) {
    let arrived = if mask.contains(EventMask::ARRIVED) { ARRIVED_BIT } else { 0 };
    put_u64(bytes, mask.kernel_bits() | arrived);
}

pub(super) fn number_of<T: PartialEq>(table: &[(T, u8)], value: T) -> u8 {
    table.iter().find(|row| row.0 == value).expect("the table has every variant").1
}

/// What is left of a record's bytes.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const LEN: usize>(&mut self) -> Option<[u8; LEN]> {
        self.take(LEN)?.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_le_bytes)
    }

    pub(super) fn bool(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let len = self.array().map(u32::from_le_bytes)?;
        self.take(usize::try_from(len).ok()?)
    }

    pub(super) fn name(&mut self) -> Option<&'a str> {
        let name = self.text().filter(|name| (1..=NAME_MAX).contains(&name.len()))?;
        std::str::from_utf8(name).ok()
    }

    pub(super) fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.bool()? { read(self).map(Some) } else { Some(None) }
    }

    pub(super) fn time(&mut self) -> Option<SystemTime> {
        let seconds = self.array().map(i64::from_le_bytes)?;
        let nanoseconds = self.array().map(u32::from_le_bytes).filter(|nanos| *nanos < 1_000_000_000)?;
        let whole = match u64::try_from(seconds) {
            Ok(after) => SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(after))?,
            Err(_) => SystemTime::UNIX_EPOCH.checked_sub(Duration::from_secs(seconds.unsigned_abs()))?,
        };
        whole.checked_add(Duration::from_nanos(nanoseconds.into()))
    }

    pub(super) fn stamp(&mut self) -> Option<Stamp> {
        Some(Stamp {
            wall: self.time()?,
            since_boot: Duration::from_nanos(self.u64()?),
            boot_id: self.array().map(u128::from_le_bytes)?,
        })
    }

    pub(super) fn mask(&mut self) -> Option<EventMask> {
        let bits = self.u64()?;
        let arrived = if bits & ARRIVED_BIT == 0 { EventMask::EMPTY } else { EventMask::ARRIVED };
        let mask = EventMask::from_kernel_bits(bits & !ARRIVED_BIT) | arrived;
        (!mask.is_empty()).then_some(mask)
    }

    pub(super) fn object(&mut self) -> Option<Object<'a>> {
        let fsid = [self.i32()?, self.i32()?];
        let kind = self.i32()?;
        let handle = self.text().filter(|handle| handle.len() <= HANDLE_MAX)?;
        Some(Object { fsid, kind, handle })
    }

    pub(super) fn one_of<T: Copy>(&mut self, table: &[(T, u8)]) -> Option<T> {
        let number = self.u8()?;
        table.iter().find(|row| row.1 == number).map(|row| row.0)
    }
}
