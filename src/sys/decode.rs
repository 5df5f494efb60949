//! What the kernel writes into a fanotify read buffer, as facts: fanotify(7).
//!
//! Total and pure: every length is checked, unknown records are passed over, nothing is copied, no input makes it
//! panic or loop. A buffer that breaks its own rules ends the iteration with a [`Malformed`].

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

/// `struct fanotify_event_metadata`.
const METADATA_LEN: usize = 24;
/// `struct fanotify_event_info_header`.
const HEADER_LEN: usize = 4;
/// `fsid` and the fixed part of `struct file_handle`.
const HANDLE_HEAD_LEN: usize = 16;
/// MAX_HANDLE_SZ: what open_by_handle_at(2) takes at most.
const HANDLE_LEN_MAX: usize = 128;

/// One event of a read buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawEvent<'b> {
    /// The kernel's bits, flags such as FAN_ONDIR included.
    pub mask: u64,
    /// Who did it; 0: not known to us.
    pub pid: i32,
    records: &'b [u8],
}

/// One information record of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'b> {
    /// FID: the object itself.
    Object(RawHandle<'b>),
    /// DFID: the directory that it is in, or the directory itself.
    Directory(RawHandle<'b>),
    /// DFID_NAME: a directory and a name in it; `.` is the directory itself.
    Entry(RawEntry<'b>),
    /// OLD_DFID_NAME: where a renamed entry was.
    OldEntry(RawEntry<'b>),
    /// NEW_DFID_NAME: where a renamed entry is.
    NewEntry(RawEntry<'b>),
    /// PIDFD: a descriptor of the process that did it, or a negative reason why there is none.
    PidDescriptor(i32),
    /// ERROR: what a file system reported.
    Error(RawError),
    /// MNT: the unique id of a mount that came or went.
    Mount(u64),
    /// A kind that this program does not know.
    Unknown(u8),
}

/// A file system's id and a file handle, as they lie in the buffer.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RawHandle<'b>(&'b [u8]);

/// A directory and a name in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawEntry<'b> {
    /// The directory.
    pub directory: RawHandle<'b>,
    /// Never empty, never with a NUL; `.` stands for the directory itself.
    pub name: &'b OsStr,
}

/// An error that a file system reported (FAN_FS_ERROR).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawError {
    /// The first error since the last report, as errno(3).
    pub errno: i32,
    /// How many errors there were since.
    pub count: u32,
}

/// The records of an event, each in its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts<'b> {
    /// Where it happened: a directory, and a name in it or `.`.
    pub entry: Option<RawEntry<'b>>,
    /// The object that it happened to.
    pub object: Option<RawHandle<'b>>,
    /// Of a rename: from where.
    pub old: Option<RawEntry<'b>>,
    /// Of a rename: to where.
    pub new: Option<RawEntry<'b>>,
    /// Of a file system's error.
    pub error: Option<RawError>,
}

/// A buffer or a record that breaks the rules of fanotify(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Fewer bytes than a metadata block has, or than an event or record says that it has.
    Short,
    /// The kernel speaks another version of the protocol.
    Version(u8),
    /// A length that cannot be: shorter than its own head, or longer than what it is in.
    Length,
    /// A name without its NUL, or empty.
    Name,
}

/// The events of a read buffer in order; after a [`Malformed`] there are no more.
#[derive(Clone, Debug)]
pub struct Events<'b>(&'b [u8]);

/// The records of an event in order; after a [`Malformed`] there are no more.
#[derive(Clone, Debug)]
pub struct Records<'b>(&'b [u8]);

/// Reads what read(2) of a fanotify group gave.
pub fn events(buffer: &[u8]) -> Events<'_> {
    Events(buffer)
}

impl<'b> Iterator for Events<'b> {
    type Item = Result<RawEvent<'b>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let buffer = std::mem::take(&mut self.0);
        (!buffer.is_empty()).then(|| {
            let (event, rest) = first_event(buffer)?;
            self.0 = rest;
            Ok(event)
        })
    }
}

impl<'b> RawEvent<'b> {
    /// Its records, one by one.
    pub fn records(&self) -> Records<'b> {
        Records(self.records)
    }

    /// Its records, each in its place; of two of a kind the last one.
    ///
    /// # Errors
    /// A record breaks the rules.
    pub fn parts(&self) -> Result<Parts<'b>, Malformed> {
        let mut parts = Parts::default();
        for record in self.records() {
            match record? {
                Record::Object(handle) => parts.object = Some(handle),
                // DIR_FID without NAME is never asked for; its meaning is the same as that of `.`.
                Record::Directory(directory) => {
                    parts.entry = Some(RawEntry { directory, name: OsStr::new(".") });
                }
                Record::Entry(entry) => parts.entry = Some(entry),
                Record::OldEntry(entry) => parts.old = Some(entry),
                Record::NewEntry(entry) => parts.new = Some(entry),
                Record::Error(error) => parts.error = Some(error),
                Record::PidDescriptor(_) | Record::Mount(_) | Record::Unknown(_) => {}
            }
        }
        Ok(parts)
    }
}

impl<'b> Iterator for Records<'b> {
    type Item = Result<Record<'b>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let records = std::mem::take(&mut self.0);
        (!records.is_empty()).then(|| {
            let (record, rest) = first_record(records)?;
            self.0 = rest;
            Ok(record)
        })
    }
}

impl<'b> RawHandle<'b> {
    /// The id and the handle as they lie in the buffer: the same bytes for the same object.
    pub fn as_bytes(self) -> &'b [u8] {
        self.0
    }
}

fn first_event(buffer: &[u8]) -> Result<(RawEvent<'_>, &[u8]), Malformed> {
    let event_len = number::<4>(buffer, 0).map(u32::from_ne_bytes)? as usize;
    let version = number::<1>(buffer, 4)?[0];
    if version != libc::FANOTIFY_METADATA_VERSION {
        return Err(Malformed::Version(version));
    }
    let metadata_len = usize::from(number::<2>(buffer, 6).map(u16::from_ne_bytes)?);
    if metadata_len < METADATA_LEN || event_len < metadata_len {
        return Err(Malformed::Length);
    }
    let (event, rest) = buffer.split_at_checked(event_len).ok_or(Malformed::Short)?;
    let mask = number::<8>(event, 8).map(u64::from_ne_bytes)?;
    let pid = number::<4>(event, 20).map(i32::from_ne_bytes)?;
    Ok((RawEvent { mask, pid, records: &event[metadata_len..] }, rest))
}

fn first_record(records: &[u8]) -> Result<(Record<'_>, &[u8]), Malformed> {
    let kind = number::<1>(records, 0)?[0];
    let len = usize::from(number::<2>(records, 2).map(u16::from_ne_bytes)?);
    if len < HEADER_LEN {
        return Err(Malformed::Length);
    }
    let (record, rest) = records.split_at_checked(len).ok_or(Malformed::Short)?;
    let body = &record[HEADER_LEN..];
    let record = match kind {
        libc::FAN_EVENT_INFO_TYPE_FID => Record::Object(handle(body)?.0),
        libc::FAN_EVENT_INFO_TYPE_DFID => Record::Directory(handle(body)?.0),
        libc::FAN_EVENT_INFO_TYPE_DFID_NAME => Record::Entry(entry(body)?),
        libc::FAN_EVENT_INFO_TYPE_OLD_DFID_NAME => Record::OldEntry(entry(body)?),
        libc::FAN_EVENT_INFO_TYPE_NEW_DFID_NAME => Record::NewEntry(entry(body)?),
        libc::FAN_EVENT_INFO_TYPE_PIDFD => {
            Record::PidDescriptor(number::<4>(body, 0).map(i32::from_ne_bytes)?)
        }
        libc::FAN_EVENT_INFO_TYPE_ERROR => Record::Error(RawError {
            errno: number::<4>(body, 0).map(i32::from_ne_bytes)?,
            count: number::<4>(body, 4).map(u32::from_ne_bytes)?,
        }),
        super::fanotify::FAN_EVENT_INFO_TYPE_MNT => {
            // The id is aligned to eight bytes, the header has four.
            Record::Mount(number::<8>(body, 4).map(u64::from_ne_bytes)?)
        }
        unknown => Record::Unknown(unknown),
    };
    Ok((record, rest))
}

/// A file system's id and a handle at the start of a record's body, and what stands behind them.
fn handle(body: &[u8]) -> Result<(RawHandle<'_>, &[u8]), Malformed> {
    let handle_len = number::<4>(body, 8).map(u32::from_ne_bytes)? as usize;
    if handle_len > HANDLE_LEN_MAX {
        return Err(Malformed::Length);
    }
    let (handle, rest) = body.split_at_checked(HANDLE_HEAD_LEN + handle_len).ok_or(Malformed::Short)?;
    Ok((RawHandle(handle), rest))
}

fn entry(body: &[u8]) -> Result<RawEntry<'_>, Malformed> {
    let (directory, rest) = handle(body)?;
    match rest.iter().position(|byte| *byte == 0) {
        None | Some(0) => Err(Malformed::Name),
        Some(len) => Ok(RawEntry { directory, name: OsStr::from_bytes(&rest[..len]) }),
    }
}

fn number<const LEN: usize>(bytes: &[u8], offset: usize) -> Result<[u8; LEN], Malformed> {
    let number = bytes.get(offset..).and_then(|rest| rest.first_chunk::<LEN>());
    number.copied().ok_or(Malformed::Short)
}

impl fmt::Debug for RawHandle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Short => f.write_str("an event ends before it should"),
            Malformed::Version(version) => write!(
                f,
                "the kernel speaks version {version} of fanotify, this program version {}",
                libc::FANOTIFY_METADATA_VERSION
            ),
            Malformed::Length => f.write_str("an event has an impossible length"),
            Malformed::Name => f.write_str("an event has an unfinished name"),
        }
    }
}

impl std::error::Error for Malformed {}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
