//! The way to a path, component by component: so that no file system is touched that may never answer, and so that
//! it is known which names, if they change, lead somewhere else.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

use crate::guardable::Refusal;
use crate::sys::mounts::{MountTable, Nature};
use crate::sys::place::{self, Kind};

/// Symbolic links on the way, as in path_resolution(7).
const LINKS_MAX: usize = 40;

/// A name that the way goes by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    /// The directory, free of links.
    pub directory: PathBuf,
    /// The name in it.
    pub name: OsString,
}

/// The end of a way.
#[derive(Debug)]
pub struct Found {
    /// The object, opened as a mere place (O_PATH).
    pub object: OwnedFd,
    /// Where it is, free of links.
    pub real: PathBuf,
}

/// Why a way does not lead to an object that may be guarded.
#[derive(Debug)]
pub enum Obstacle {
    /// It leads where nothing may be guarded.
    Refused(Refusal),
    /// It ends on the way.
    Missing(io::Error),
}

impl Obstacle {
    /// Whether the system was short of descriptors or memory, and may have them again in a moment.
    pub fn is_want_of_means(&self) -> bool {
        let Obstacle::Missing(error) = self else { return false };
        matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM))
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::Refused(refusal) => refusal.fmt(f),
            Obstacle::Missing(error) => error.fmt(f),
        }
    }
}

/// Goes the way to a path, links followed, and nothing opened but as a mere place. `steps` are the names that it
/// went by, as far as it came.
///
/// # Errors
/// It ends on the way, or at a file system that may not answer.
pub fn walk(path: &Path, mounts: &MountTable, steps: &mut Vec<Step>) -> Result<Found, Obstacle> {
    let mut real = PathBuf::from("/");
    let mut rest: VecDeque<OsString> = components(path).collect();
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            real.pop();
            continue;
        }
        let next = real.join(&name);
        check(&next, mounts)?;
        steps.push(Step { directory: real.clone(), name });
        let object = place::touch(place::ANYWHERE, &next).map_err(missing)?;
        let status = place::status(object.as_fd()).map_err(missing)?;
        if status.kind != Kind::Link {
            real = next;
            continue;
        }
        links += 1;
        if links > LINKS_MAX {
            return Err(missing(nix::errno::Errno::ELOOP));
        }
        let target = std::fs::read_link(&next).map_err(Obstacle::Missing)?;
        if target.is_absolute() {
            real = PathBuf::from("/");
        }
        components(&target).rev().for_each(|name| rest.push_front(name));
    }
    // Whatever was exchanged meanwhile, this follows no link.
    let object = place::touch_straight(place::ANYWHERE, &real).map_err(missing)?;
    Ok(Found { object, real })
}

/// A file system that may not answer is not even asked what it has.
fn check(path: &Path, mounts: &MountTable) -> Result<(), Obstacle> {
    let Some(mount) = mounts.of(path) else { return Ok(()) };
    let kind = mount.kind.to_string_lossy().into_owned();
    match mount.nature {
        Nature::Local => Ok(()),
        Nature::Foreign => Err(Obstacle::Refused(Refusal::ForeignFileSystem(kind))),
        Nature::Pseudo => Err(Obstacle::Refused(Refusal::KernelFileSystem(kind))),
    }
}

fn components(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

fn missing(errno: nix::errno::Errno) -> Obstacle {
    Obstacle::Missing(errno.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn mounts(text: &str) -> MountTable {
        MountTable::parse(text.as_bytes())
    }

    /// The real path, or the obstacle; and the last component of each directory with the name that was taken.
    fn way(path: &Path, mounts: &MountTable) -> (Result<PathBuf, String>, Vec<String>) {
        let mut steps = Vec::new();
        let found =
            walk(path, mounts, &mut steps).map(|found| found.real).map_err(|error| format!("{error:?}"));
        let shown = |step: &Step| {
            let directory = step.directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
            format!("{directory}/{}", step.name.to_string_lossy())
        };
        (found, steps.iter().map(shown).collect())
    }

    #[test]
    fn links_are_followed_and_every_name_on_the_way_is_told() {
        let base = tempfile::tempdir().expect("a directory");
        let base = base.path().canonicalize().expect("it is there");
        fs::create_dir_all(base.join("v1/in")).expect("ours");
        symlink("v1", base.join("current")).expect("ours");
        symlink("../current/in", base.join("v1/again")).expect("ours");
        let (found, steps) = way(&base.join("v1/again"), &MountTable::default());
        assert_eq!(found, Ok(base.join("v1/in")));
        let name = base.file_name().expect("it has a name").to_string_lossy().into_owned();
        let own: Vec<&String> = steps.iter().skip_while(|step| !step.ends_with(&name)).collect();
        assert_eq!(
            own[1..],
            [&format!("{name}/v1"), "v1/again", &format!("{name}/current"), &format!("{name}/v1"), "v1/in"]
        );
    }

    #[test]
    fn a_way_that_ends_tells_the_name_to_wait_for() {
        let base = tempfile::tempdir().expect("a directory");
        let (found, steps) = way(&base.path().join("a/b"), &MountTable::default());
        assert!(found.is_err() && steps.last().is_some_and(|step| step.ends_with("/a")), "{steps:?}");
        symlink("loop", base.path().join("loop")).expect("ours");
        assert!(way(&base.path().join("loop"), &MountTable::default()).0.is_err());
    }

    #[test]
    fn a_file_system_that_may_hang_is_not_touched() {
        let text = "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:9 / /no/such/mount rw - fuse.sshfs x rw\n";
        let (found, _) = way(Path::new("/no/such/mount/x"), &mounts(text));
        assert!(found.is_err(), "the mount is not there, so it was not looked for behind it");
        let base = tempfile::tempdir().expect("a directory");
        let base = base.path().canonicalize().expect("it is there");
        let text =
            format!("1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:9 / {}/m rw - fuse.sshfs x rw\n", base.display());
        let (found, _) = way(&base.join("m/x"), &mounts(&text));
        assert!(found.is_err_and(|error| error.contains("fuse.sshfs")));
    }
}
