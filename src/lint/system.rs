//! The facts of the system that we run on. Every question is asked once: thousands of rules name the same programs
//! and directories.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{self, File};
use std::hash::Hash;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User};

use super::facts::{Account, Facts, FileKind, FileSystem, Seen};
use crate::rule::Identity;
use crate::sys::mounts::{MountTable, Mountinfo, Nature};
use crate::sys::trust::{self, Distrust, Owner};

/// Enough of a program for its `#!` line (execve(2) reads 256 bytes).
const HEAD_LEN: u64 = 256;

/// Permission bits that let group or others write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// The system, and what it answered.
#[derive(Debug)]
pub struct System {
    own_ids: (u32, u32),
    mounts: MountTable,
    /// Where what is not local is mounted: most paths lie below none of them.
    special: Vec<PathBuf>,
    users: Answers<Identity, Account>,
    groups: Answers<Identity, Account>,
    seen: Answers<PathBuf, Seen>,
    heads: Answers<PathBuf, Option<Vec<u8>>>,
    distrusted: Answers<PathBuf, Vec<Distrust>>,
    links: Answers<PathBuf, Option<PathBuf>>,
}

impl System {
    /// Looks at what is mounted.
    pub fn new() -> System {
        // Without /proc nothing is known to be foreign.
        let mounts = Mountinfo::open().and_then(|mut mounts| mounts.read()).unwrap_or_default();
        let special = mounts.iter().filter(|mount| mount.nature != Nature::Local);
        System {
            own_ids: (Uid::effective().as_raw(), Gid::effective().as_raw()),
            special: special.map(|mount| mount.point.clone()).collect(),
            mounts,
            users: Answers::default(),
            groups: Answers::default(),
            seen: Answers::default(),
            heads: Answers::default(),
            distrusted: Answers::default(),
            links: Answers::default(),
        }
    }

    /// Whether touching a path could block for ever.
    fn may_block(&self, path: &Path) -> bool {
        matches!(self.file_system(path), FileSystem::Foreign(_))
    }
}

impl Default for System {
    fn default() -> System {
        System::new()
    }
}

impl Facts for System {
    fn own_ids(&self) -> (u32, u32) {
        self.own_ids
    }

    fn user(&self, user: &Identity) -> Account {
        self.users.of(user, || {
            account(match user {
                Identity::Name(name) => User::from_name(name).map(|user| user.map(|user| user.uid.as_raw())),
                Identity::Id(id) => {
                    User::from_uid(Uid::from_raw(*id)).map(|user| user.map(|user| user.uid.as_raw()))
                }
            })
        })
    }

    fn group(&self, group: &Identity) -> Account {
        self.groups.of(group, || {
            account(match group {
                Identity::Name(name) => {
                    Group::from_name(name).map(|group| group.map(|group| group.gid.as_raw()))
                }
                Identity::Id(id) => {
                    Group::from_gid(Gid::from_raw(*id)).map(|group| group.map(|group| group.gid.as_raw()))
                }
            })
        })
    }

    fn user_names(&self) -> Vec<String> {
        names("/etc/passwd")
    }

    fn group_names(&self) -> Vec<String> {
        names("/etc/group")
    }

    fn seen(&self, path: &Path) -> Seen {
        if self.may_block(path) {
            return Seen::Unclear;
        }
        self.seen.of(&path.to_owned(), || match fs::metadata(path) {
            Ok(metadata) => Seen::Present {
                kind: kind(&metadata),
                mode: metadata.mode() & 0o7777,
                links: metadata.nlink(),
            },
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Seen::Missing
            }
            Err(_) => Seen::Unclear,
        })
    }

    fn head(&self, program: &Path) -> Option<Vec<u8>> {
        if self.may_block(program) {
            return None;
        }
        self.heads.of(&program.to_owned(), || {
            let mut head = Vec::new();
            File::open(program).ok()?.take(HEAD_LEN).read_to_end(&mut head).ok()?;
            Some(head)
        })
    }

    fn distrusted(&self, path: &Path) -> Vec<Distrust> {
        let owner = Owner::of_daemon(self.own_ids.0);
        self.distrusted.of(&path.to_owned(), || trust::check_file(path, owner).err().unwrap_or_default())
    }

    fn foreign_link(&self, path: &Path) -> Option<PathBuf> {
        if self.may_block(path) {
            return None;
        }
        path.ancestors().find_map(|component| {
            self.links.of(&component.to_owned(), || {
                let is_link = fs::symlink_metadata(component).is_ok_and(|metadata| metadata.is_symlink());
                let directory = component.parent().filter(|_| is_link)?;
                let mode = fs::metadata(directory).ok()?.mode();
                (mode & WRITABLE_BY_OTHERS != 0).then(|| component.to_owned())
            })
        })
    }

    fn resolved(&self, path: &Path) -> Option<PathBuf> {
        if self.may_block(path) { None } else { fs::canonicalize(path).ok() }
    }

    fn file_system(&self, path: &Path) -> FileSystem {
        let bytes = path.as_os_str().as_encoded_bytes();
        if !self.special.iter().any(|point| bytes.starts_with(point.as_os_str().as_encoded_bytes())) {
            return FileSystem::Local;
        }
        let Some(mount) = self.mounts.of(path) else { return FileSystem::Local };
        let kind = || mount.kind.to_string_lossy().into_owned();
        match mount.nature {
            Nature::Local => FileSystem::Local,
            Nature::Foreign => FileSystem::Foreign(kind()),
            Nature::Pseudo => FileSystem::Pseudo(kind()),
        }
    }
}

/// What was answered before.
#[derive(Debug)]
struct Answers<K, A>(RefCell<HashMap<K, A>>);

impl<K, A> Default for Answers<K, A> {
    fn default() -> Self {
        Answers(RefCell::default())
    }
}

impl<K: Clone + Eq + Hash, A: Clone> Answers<K, A> {
    fn of(&self, key: &K, ask: impl FnOnce() -> A) -> A {
        if let Some(answer) = self.0.borrow().get(key) {
            return answer.clone();
        }
        let answer = ask();
        self.0.borrow_mut().insert(key.clone(), answer.clone());
        answer
    }
}

fn kind(metadata: &fs::Metadata) -> FileKind {
    if metadata.is_dir() {
        FileKind::Directory
    } else if metadata.is_file() {
        FileKind::Regular
    } else {
        FileKind::Special
    }
}

/// The names of a table in the form of passwd(5). What a directory service has is too much to be asked for.
fn names(table: &str) -> Vec<String> {
    let text = fs::read_to_string(table).unwrap_or_default();
    text.lines().filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect()
}

fn account(answer: nix::Result<Option<u32>>) -> Account {
    match answer {
        Ok(Some(id)) => Account::Known(id),
        Ok(None) => Account::Unknown,
        Err(_) => Account::Unclear,
    }
}
