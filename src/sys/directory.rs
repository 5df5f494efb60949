//! Directories that hold what is ours alone: runtime and state. Judged by the very descriptor that is used.

use std::fmt;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::geteuid;

use super::trust::is_for_everybody;

/// Why a directory cannot be used.
#[derive(Debug)]
pub struct DirectoryError {
    path: PathBuf,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Missing(io::Error),
    NotADirectory,
    Owner { owner: u32, wanted: u32 },
    Mode(u32),
    System(io::Error),
}

/// Opens a directory in which nobody but this process's user can put or change a name, and makes it (mode 0700)
/// where it is missing. A symbolic link in its place is refused.
///
/// # Errors
/// It cannot be made or opened, belongs to somebody else, or others may write it.
pub fn open_private(path: &Path) -> Result<OwnedFd, DirectoryError> {
    let error = |why| DirectoryError { path: path.to_owned(), why };
    match DirBuilder::new().recursive(true).mode(0o700).create(path) {
        // What is there instead is told apart below.
        Err(made) if made.kind() != io::ErrorKind::AlreadyExists => return Err(error(Why::Missing(made))),
        _ => {}
    }
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let directory = open(path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::ENOTDIR | Errno::ELOOP => error(Why::NotADirectory),
        errno => error(Why::System(errno.into())),
    })?;
    let stat = fstat(&directory).map_err(|errno| error(Why::System(errno.into())))?;
    let wanted = geteuid().as_raw();
    match stat.st_mode & 0o7777 {
        _ if stat.st_uid != wanted => Err(error(Why::Owner { owner: stat.st_uid, wanted })),
        mode if mode & 0o022 != 0 => Err(error(Why::Mode(mode))),
        _ => Ok(directory),
    }
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = crate::escape::path(&self.path);
        match &self.why {
            Why::Missing(cause) => write!(f, "cannot make the directory {path}: {cause}"),
            Why::NotADirectory => write!(f, "cannot use {path}: it is a symbolic link or no directory"),
            Why::Owner { owner, wanted } => {
                write!(f, "cannot use {path}: it belongs to user {owner}, not to user {wanted}")
            }
            Why::Mode(mode) => {
                write!(f, "cannot use {path}: others may write it (mode {mode:04o}); help: ")?;
                // Who takes that right from /tmp breaks the machine.
                let is_meant = mode & 0o1000 != 0 || self.path == Path::new("/");
                match is_meant || is_for_everybody(&self.path) {
                    true if geteuid().is_root() => f.write_str("use a directory where only root may write"),
                    true => f.write_str("use a directory where only you may write"),
                    false => write!(f, "chmod go-w {path}"),
                }
            }
            Why::System(cause) => write!(f, "cannot open the directory {path}: {cause}"),
        }
    }
}

impl std::error::Error for DirectoryError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    #[test]
    fn a_missing_directory_is_made_for_us_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a/b");
        open_private(&path).expect("made");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o7777, 0o700);
        open_private(&path).expect("there already");
    }

    #[test]
    fn what_others_could_have_put_there_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let (open, link, file) = (dir.path().join("open"), dir.path().join("link"), dir.path().join("file"));
        fs::create_dir(&open).expect("made");
        symlink(&open, &link).expect("made");
        fs::write(&file, "").expect("made");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).expect("ours");
        let said = |path: &Path| open_private(path).expect_err("refused").to_string();
        assert!(said(&open).contains("others may write it (mode 1777)"), "{}", said(&open));
        assert!(said(&open).contains("; help: use a directory where only"), "{}", said(&open));
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("ours");
        assert!(said(&open).ends_with(&format!("; help: chmod go-w {}", open.display())), "{}", said(&open));
        assert!(said(&link).contains("symbolic link"), "{}", said(&link));
        assert!(said(&file).contains("no directory"), "{}", said(&file));
    }
}
