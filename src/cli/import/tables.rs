//! Which classic tables are meant, whose they are, and what is in them.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::Args;
use crate::diagnostic::Diagnostic;
use crate::escape;
use crate::glob::Glob;
use crate::import::codes::{Code, LEFTOVER_FILE, NOBODY};
use crate::import::{Dialect, Owner, Table};

/// A rule file is at most 1 MiB, and says more than the table it comes from.
const TABLE_MAX: u64 = 1024 * 1024;

/// Where classic facron keeps its table.
const FACRON_CONF: &str = "/etc/facron.conf";

/// Where incron keeps its tables: the system's, and the users'.
const INCRON_FOLDERS: [&str; 2] = ["/etc/incron.d", "/var/spool/incron"];

/// What editors and package managers leave behind, which nobody meant as a table.
const LEFTOVERS: &[&str] = &[
    ".*",
    "*~",
    "#*#",
    "*.sw?",
    "*.bak",
    "*.orig",
    "*.save",
    "*.tmp",
    "*.dpkg-*",
    "*.ucf-*",
    "*.rpm*",
    "*.pacnew",
    "*.pacsave",
];

/// What was read.
pub struct Tables {
    /// In the order in which they were named.
    pub tables: Vec<Table>,
    /// Permission bits for the rule file: who may not read a table may not read its rules.
    pub mode: u32,
    /// Files that were passed over.
    pub findings: Vec<Diagnostic>,
}

/// Reads every table that is meant.
///
/// # Errors
/// The first one that cannot be read, as a sentence.
pub fn read(args: &Args) -> Result<Tables, String> {
    let dialect = args.from.dialect();
    if let Some(user) = &args.user {
        if dialect != Dialect::Incron {
            return Err(
                "--user is for the tables of incron; in facron.conf all commands are root's".to_owned()
            );
        }
        if !is_user(user) {
            return Err(format!("there is no user {}", escape::text(user.as_bytes())));
        }
    }
    let mut tables = Tables { tables: Vec::new(), mode: 0o644, findings: Vec::new() };
    match (args.files.as_slice(), dialect) {
        ([], Dialect::Facron) => tables.open(args, Path::new(FACRON_CONF))?,
        ([], Dialect::Incron) => tables.open_defaults(args)?,
        (files, _) => {
            for file in files {
                tables.open_named(args, file)?;
            }
        }
    }
    Ok(tables)
}

impl Tables {
    fn open_defaults(&mut self, args: &Args) -> Result<(), String> {
        let mut folders =
            INCRON_FOLDERS.map(Path::new).into_iter().filter(|folder| folder.is_dir()).peekable();
        if folders.peek().is_none() {
            return Err(format!("there are no tables of incron: neither {}", INCRON_FOLDERS.join(" nor ")));
        }
        folders.try_for_each(|folder| self.open_folder(args, folder))
    }

    fn open_named(&mut self, args: &Args, file: &OsStr) -> Result<(), String> {
        let path = Path::new(file);
        if file == "-" {
            let bytes = read_all(&mut std::io::stdin().lock(), "standard input")?;
            self.push(args, file.to_owned(), bytes, owner(args, None));
            return Ok(());
        }
        if path.is_dir() { self.open_folder(args, path) } else { self.open(args, path) }
    }

    /// The regular files of a folder, in bytewise order, without leftovers.
    fn open_folder(&mut self, args: &Args, folder: &Path) -> Result<(), String> {
        let failed =
            |error: std::io::Error| format!("cannot read {}: {}", escape::path(folder), reason(&error));
        let mut paths: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_type().map_err(failed)?.is_file() {
                paths.push(entry.path());
            }
        }
        paths.sort();
        for path in paths {
            match is_leftover(&path) {
                true => self.pass_over(&path, &LEFTOVER_FILE, "a leftover is no table"),
                false => self.open(args, &path)?,
            }
        }
        Ok(())
    }

    fn open(&mut self, args: &Args, path: &Path) -> Result<(), String> {
        let owner = owner(args, Some(path));
        if let Owner::User(user) = &owner
            && !is_user(user)
        {
            self.pass_over(path, &NOBODY, "there is no user of this name");
            return Ok(());
        }
        let name = escape::path(path);
        let failed = |error: std::io::Error| format!("cannot read {name}: {}", reason(&error));
        let mut file = File::open(path).map_err(failed)?;
        self.mode &= file.metadata().map_err(failed)?.permissions().mode() | 0o600;
        let bytes = read_all(&mut file, &name)?;
        self.push(args, path.into(), bytes, owner);
        Ok(())
    }

    fn pass_over(&mut self, path: &Path, code: &Code, why: &str) {
        let message = format!("passed over {}: {why}", escape::path(path));
        let finding = Diagnostic::new(code.severity, code.name, 0, 0..0, message);
        self.findings.push(Diagnostic { source: None, ..finding });
    }

    fn push(&mut self, args: &Args, name: OsString, bytes: Vec<u8>, owner: Owner) {
        self.tables.push(Table { name, bytes, dialect: args.from.dialect(), owner });
    }
}

/// Whose a table is: `--user` says it, else a file in incron's spool directory is its user's.
fn owner(args: &Args, path: Option<&Path>) -> Owner {
    if let Some(user) = &args.user {
        return Owner::User(user.clone());
    }
    let Some(path) = path.filter(|_| args.from.dialect() == Dialect::Incron) else { return Owner::System };
    let is_spool = path.parent().is_some_and(|parent| parent.ends_with("spool/incron"));
    match path.file_name().filter(|_| is_spool) {
        Some(name) => Owner::User(name.to_string_lossy().into_owned()),
        None => Owner::System,
    }
}

fn is_user(name: &str) -> bool {
    nix::unistd::User::from_name(name).is_ok_and(|user| user.is_some())
}

fn is_leftover(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let is_matched = |text: &str| Glob::parse(text).is_ok_and(|glob| glob.matches(name, false));
    LEFTOVERS.iter().any(|text| is_matched(text))
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
    match (error.raw_os_error(), error.kind()) {
        (Some(number), _) => nix::errno::Errno::from_raw(number).desc().to_lowercase(),
        (None, ErrorKind::AlreadyExists) => "it exists already".to_owned(),
        (None, _) => error.to_string(),
    }
}
