//! `check --fix`: makes the edits that need no person's look, file by file, each file as a whole.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use super::super::Global;
use super::super::output::say;
use crate::daemon::load::Loaded;
use crate::escape;
use crate::report::with_safe_fixes;

/// One edit can make another possible; nothing takes more rounds than this.
const ROUNDS_MAX: usize = 10;

/// Mends the rule files until there is nothing left to mend; gives what is left to say about them, and whether every
/// edit could be written.
pub fn mend(look: impl Fn() -> Loaded, global: &Global) -> (Loaded, bool) {
    let mut loaded = look();
    let mut is_written = true;
    for _ in 0..ROUNDS_MAX {
        let mut has_changed = false;
        for (source, path) in loaded.paths.iter().enumerate() {
            let name = escape::path(path);
            let fixed = with_safe_fixes(&loaded.sources[source].text, source, &loaded.findings);
            if fixed.count == 0 {
                continue;
            }
            match replace(path, &loaded.sources[source].text, fixed.text.as_bytes()) {
                Ok(()) => {
                    has_changed = true;
                    let plural = if fixed.count == 1 { "" } else { "s" };
                    say(&format!("facron check: {name}: made {} edit{plural}\n", fixed.count), global);
                }
                Err(error) => {
                    is_written = false;
                    say(&format!("facron check: cannot mend {name}: {error}\n"), global);
                }
            }
        }
        if has_changed {
            loaded = look();
        }
        // What could not be written once is not tried again.
        if !has_changed || !is_written {
            break;
        }
    }
    if loaded.has_error() {
        say("facron check: errors are left; what else can be mended is found once they are gone\n", global);
    }
    (loaded, is_written)
}

/// Puts a new text in the place of the one that was judged, with the same owner and mode.
fn replace(path: &Path, old: &str, new: &[u8]) -> io::Result<()> {
    // A link keeps pointing to the file.
    let path = fs::canonicalize(path)?;
    if fs::read(&path)? != old.as_bytes() {
        return Err(io::Error::other("it changed while it was judged, or is not UTF-8"));
    }
    let metadata = fs::metadata(&path)?;
    let mut temporary = OsString::from(".");
    temporary.push(path.file_name().unwrap_or_default());
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(temporary);
    let result = fill(&temporary, &metadata, new).and_then(|()| fs::rename(&temporary, &path));
    if result.is_err() {
        // Whatever went wrong, the temporary file is of no use to anybody.
        let _ = fs::remove_file(&temporary);
    }
    result
}

fn fill(path: &Path, like: &fs::Metadata, bytes: &[u8]) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    fchown(&file, Some(like.uid()), Some(like.gid()))?;
    file.set_permissions(fs::Permissions::from_mode(like.mode() & 0o7777))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_waits_for_the_temporary_file_leads_nowhere() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, precious) = (directory.path().join("x.toml"), directory.path().join("precious"));
        fs::write(&path, "old").expect("written");
        fs::write(&precious, "precious").expect("written");
        let temporary = directory.path().join(format!(".x.toml.{}.tmp", std::process::id()));
        std::os::unix::fs::symlink(&precious, temporary).expect("linked");
        assert!(replace(&path, "old", b"new").is_err());
        assert_eq!(fs::read(&precious).expect("still there"), b"precious");
        assert_eq!(fs::read(&path).expect("still there"), b"old");
    }
}
