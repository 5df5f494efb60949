//! Which classic tables are meant, and what is in them.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::Args;
use crate::escape;
use crate::import::{Owner, Table};

/// A rule file is at most 1 MiB, and says more than the table it comes from.
const TABLE_MAX: u64 = 1024 * 1024;

/// Where classic facron keeps its table.
const FACRON_CONF: &str = "/etc/facron.conf";

/// What was read.
pub struct Tables {
    /// In the order in which they were named.
    pub tables: Vec<Table>,
    /// Permission bits for the rule file: who may not read a table may not read its rules.
    pub mode: u32,
}

/// Reads every table that is meant.
///
/// # Errors
/// The first one that cannot be read, as a sentence.
pub fn read(args: &Args) -> Result<Tables, String> {
    let mut tables = Tables { tables: Vec::new(), mode: 0o644 };
    let defaults = [OsString::from(FACRON_CONF)];
    let files = if args.files.is_empty() { &defaults[..] } else { &args.files };
    for file in files {
        let path = Path::new(file);
        if file == "-" {
            let bytes = read_all(&mut std::io::stdin().lock(), "standard input")?;
            tables.push(args, file.clone(), bytes);
        } else if path.is_dir() {
            for path in entries(path)? {
                tables.open(args, &path)?;
            }
        } else {
            tables.open(args, path)?;
        }
    }
    Ok(tables)
}

impl Tables {
    fn open(&mut self, args: &Args, path: &Path) -> Result<(), String> {
        let name = escape::path(path);
        let failed = |error: std::io::Error| format!("cannot read {name}: {}", reason(&error));
        let mut file = File::open(path).map_err(failed)?;
        self.mode &= file.metadata().map_err(failed)?.permissions().mode() | 0o600;
        let bytes = read_all(&mut file, &name)?;
        self.push(args, path.into(), bytes);
        Ok(())
    }

    fn push(&mut self, args: &Args, name: OsString, bytes: Vec<u8>) {
        self.tables.push(Table { name, bytes, dialect: args.from.dialect(), owner: Owner::System });
    }
}

/// The regular files of a folder, in bytewise order.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {}", escape::path(folder), reason(&error));
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_file() {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn read_all(input: &mut dyn Read, name: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    input
        .take(TABLE_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot read {name}: {}", reason(&error)))?;
    if bytes.len() as u64 > TABLE_MAX {
        return Err(format!("cannot read {name}: it is longer than 1 MiB, and so would be its rule file"));
    }
    Ok(bytes)
}

/// The system's word for an error, as the end of a sentence.
pub fn reason(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => nix::errno::Errno::from_raw(number).desc().to_lowercase(),
        None => error.to_string(),
    }
}
