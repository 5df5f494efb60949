//! The journal's files: two that take turns, so that there is always a whole one.
//!
//! ```text
//! journal.0, journal.1   one is written to; while a new snapshot is made, it goes into the other, and the old
//!                        file is removed when the new one is on the disk
//! journal.bad-1 … -3     what could not be read, the newest first
//! ```
//!
//! Some space is reserved ahead of what is written, so that a disk that fills up does not stop the journal at
//! once.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};

use super::content::{Content, Damage, write_snapshot};
use super::state::State;
use crate::sys::private::PrivateDirectory;

/// The files that take turns.
const NAMES: [&str; 2] = ["journal.0", "journal.1"];

/// What could not be read is kept under these names.
const BAD_NAMES: [&str; 3] = ["journal.bad-1", "journal.bad-2", "journal.bad-3"];

/// Bytes that a file may grow by before a new snapshot is made, and once more as much as twice its snapshot.
const GROWTH_MAX: u64 = 4 * 1024 * 1024;

/// Bytes that are reserved ahead.
const RESERVE: u64 = 512 * 1024;

/// The files in their directory.
#[derive(Debug)]
pub struct Store {
    directory: Arc<PrivateDirectory>,
    generation: u64,
    /// The last file whose snapshot is complete.
    kept: Option<&'static str>,
    active: Option<Active>,
}

/// What was found in the files.
#[derive(Debug, Default)]
pub struct Found {
    /// What they say; empty if they say nothing.
    pub state: State,
    /// What cannot be read.
    pub set_aside: Vec<SetAside>,
}

/// A file that cannot be read.
#[derive(Debug)]
pub struct SetAside {
    /// What is wrong with it.
    pub damage: Damage,
    /// The name under which it is kept; none if it cannot even be renamed.
    pub kept_as: Option<&'static str>,
}

/// The file that is written to.
#[derive(Debug)]
struct Active {
    file: Arc<File>,
    len: u64,
    snapshot_len: u64,
    reserved_len: u64,
}

/// What is not on the disk yet.
#[derive(Debug)]
pub struct Unsynced {
    file: Arc<File>,
    /// The directory, and what in it goes when the new file is on the disk.
    replaces: Option<(Arc<PrivateDirectory>, Option<&'static str>)>,
}

impl Unsynced {
    /// Waits until it is: fdatasync(2), and fsync(2) of the directory for a new file.
    ///
    /// # Errors
    /// The system refuses.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()?;
        let Some((directory, obsolete)) = &self.replaces else { return Ok(()) };
        directory.sync()?;
        obsolete.map_or(Ok(()), |obsolete| directory.remove(obsolete))
    }
}

impl Found {
    /// Says what could not be read.
    pub fn report(&self, directory: &Path) {
        for SetAside { damage: Damage { offset, message }, kept_as } in &self.set_aside {
            let kept_as = kept_as.unwrap_or("nothing: it cannot be renamed");
            log::warn!(
                offset, kept_as, directory:% = directory.display();
                "journal cannot be read: {message}; what it held may be lost from there on"
            );
        }
    }
}

impl Store {
    /// Reads what is there, sets aside what cannot be read, and is ready for [`Store::rewrite`].
    pub fn open(directory: Arc<PrivateDirectory>) -> (Store, Found) {
        let mut store = Store { directory, generation: 0, kept: None, active: None };
        let mut found = Found::default();
        let mut contents: Vec<(&str, Content)> =
            NAMES.into_iter().filter_map(|name| Some((name, store.read(name)?))).collect();
        contents.sort_by_key(|(_, content)| (content.is_complete, content.generation));
        store.generation = contents.iter().map(|(_, content)| content.generation).max().unwrap_or(0);
        let best = contents.pop();
        for (name, content) in contents {
            if let Some(damage) = content.damage {
                store.set_aside(name, damage, &mut found);
            }
        }
        if let Some((name, content)) = best {
            store.kept = content.is_complete.then_some(name);
            found.state = content.state;
            if let Some(damage) = content.damage {
                found.state.distrust();
                store.set_aside(name, damage, &mut found);
            }
        }
        (store, found)
    }

    /// As [`Store::open`], when it is too late to go on with what is there: that is set aside as it is.
    pub fn open_late(directory: Arc<PrivateDirectory>) -> Store {
        let (mut store, found) = Store::open(directory);
        found.report(store.directory());
        if let Some(name) = store.kept.take() {
            let message = "it was out of reach when facron started".to_owned();
            let mut found = Found::default();
            store.set_aside(name, Damage { offset: 0, message }, &mut found);
            found.report(store.directory());
        }
        store
    }

    /// The directory's path.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Whether there is a file to append to; if not, only [`Store::rewrite`] helps.
    pub fn is_writable(&self) -> bool {
        self.active.is_some()
    }

    /// Whether the file has grown so much that a snapshot would be shorter.
    pub fn is_overgrown(&self) -> bool {
        let bound = |active: &Active| active.snapshot_len * 3 + GROWTH_MAX;
        self.active.as_ref().is_some_and(|active| active.len > bound(active))
    }

    /// Writes whole frames behind what is there.
    ///
    /// # Errors
    /// The system refuses; from then on the store is not writable, since a part may have been written.
    pub fn append(&mut self, frames: &[u8]) -> io::Result<()> {
        let Some(active) = &mut self.active else { return Err(Errno::EBADF.into()) };
        let written = active.append(frames);
        if written.is_err() {
            self.active = None;
        }
        written
    }

    /// Makes a new file from a snapshot; from then on that is written to. The old one may be removed when the new
    /// one is on the disk.
    ///
    /// # Errors
    /// The system refuses; what was written to before still is.
    pub fn rewrite(&mut self, state: &State) -> io::Result<Unsynced> {
        let name = if self.kept == Some(NAMES[0]) { NAMES[1] } else { NAMES[0] };
        self.directory.remove(name)?;
        let file = Arc::new(self.directory.create(name)?);
        let mut active = Active { file, len: 0, snapshot_len: 0, reserved_len: 0 };
        let written = write_snapshot(state, self.generation + 1, |piece| active.append(piece));
        if let Err(error) = written {
            // Whether it can be removed or not, it is not complete and counts for nothing.
            let _ = self.directory.remove(name);
            return Err(error);
        }
        self.generation += 1;
        active.snapshot_len = active.len;
        let replaces = Some((Arc::clone(&self.directory), self.kept.replace(name)));
        let unsynced = Unsynced { file: Arc::clone(&active.file), replaces };
        self.active = Some(active);
        Ok(unsynced)
    }

    /// What was written cannot be relied on: only [`Store::rewrite`] helps.
    pub fn give_up(&mut self) {
        self.active = None;
    }

    /// What was appended since the last time may not be on the disk yet.
    pub fn unsynced(&self) -> Option<Unsynced> {
        self.active.as_ref().map(|active| Unsynced { file: Arc::clone(&active.file), replaces: None })
    }

    /// What a file says; none if there is no such file.
    fn read(&self, name: &str) -> Option<Content> {
        let read = self.directory.read(name).and_then(|file| file.map(Content::read).transpose());
        read.unwrap_or_else(|error| {
            let damage = Some(Damage { offset: 0, message: error.to_string() });
            Some(Content { generation: 0, state: State::default(), is_complete: false, damage })
        })
    }

    /// Keeps what cannot be read for a person to look at. It stays under its own name too until a new snapshot
    /// takes its place: what could be read of it must survive until then.
    fn set_aside(&self, name: &str, damage: Damage, found: &mut Found) {
        for pair in BAD_NAMES.windows(2).rev() {
            // There may be none. If it cannot be renamed, it is lost now instead of later.
            let _ = self.directory.rename(pair[0], pair[1]);
        }
        let kept =
            self.directory.link(name, BAD_NAMES[0]).or_else(|_| self.directory.rename(name, BAD_NAMES[0]));
        let kept_as = kept.is_ok().then_some(BAD_NAMES[0]);
        found.set_aside.push(SetAside { damage, kept_as });
    }
}

impl Active {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.len + bytes.len() as u64;
        if end + RESERVE / 2 > self.reserved_len {
            self.reserve(end);
        }
        self.file.write_all_at(bytes, self.len)?;
        self.len = end;
        Ok(())
    }

    /// Takes space for what will come: fallocate(2). Where the file system cannot, or is full, writing tells.
    fn reserve(&mut self, end: u64) {
        let len = (end + RESERVE).saturating_sub(self.reserved_len);
        let (Ok(offset), Ok(len)) = (i64::try_from(self.reserved_len), i64::try_from(len)) else { return };
        if fallocate(&self.file, FallocateFlags::FALLOC_FL_KEEP_SIZE, offset, len).is_ok() {
            self.reserved_len = end + RESERVE;
        }
    }
}
