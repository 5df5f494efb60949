//! Where the rules go: standard output, or a file that is there as a whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::tables::reason;
use crate::escape;

/// Prints to standard output. A reader that went away is no mistake.
///
/// # Errors
/// What kept it from being written, as a sentence.
pub fn print(text: &str) -> Result<(), String> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {}", reason(&error)))
        }
        _ => Ok(()),
    }
}

/// Writes a file through a temporary one beside it; an existing file is replaced by `force` only.
///
/// # Errors
/// What kept it from being written, as a sentence.
pub fn write(path: &Path, bytes: &[u8], mode: u32, force: bool) -> Result<(), String> {
    let name = escape::path(path);
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::AlreadyExists => format!("{name} exists already; --force replaces it"),
        _ => format!("cannot write {name}: {}", reason(&error)),
    };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !force && path.symlink_metadata().is_ok() {
        return Err(failed(ErrorKind::AlreadyExists.into()));
    }
    let file_name = path.file_name().ok_or_else(|| format!("cannot write {name}: it names no file"))?;
    let mut temporary = OsString::from(".");
    temporary.push(file_name);
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = directory.join(temporary);
    let result = fill(&temporary, bytes, mode).and_then(|()| match force {
        true => fs::rename(&temporary, path),
        // Unlike rename(2), link(2) never replaces what somebody else put there meanwhile.
        false => fs::hard_link(&temporary, path),
    });
    if !(force && result.is_ok()) {
        // Whatever went wrong, the temporary file is of no use to anybody.
        let _ = fs::remove_file(&temporary);
    }
    result.and_then(|()| File::open(directory)?.sync_all()).map_err(failed)
}

fn fill(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_waits_for_the_temporary_file_leads_nowhere() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, precious) = (directory.path().join("x.toml"), directory.path().join("precious"));
        fs::write(&precious, "precious").expect("written");
        let temporary = directory.path().join(format!(".x.toml.{}.tmp", std::process::id()));
        std::os::unix::fs::symlink(&precious, temporary).expect("linked");
        assert!(write(&path, b"rules", 0o644, true).is_err());
        assert_eq!(fs::read(&precious).expect("still there"), b"precious");
        assert!(!path.exists());
    }
}
