//! Rule files from disk: found, judged, read, parsed. All of them are right, or nothing is armed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::codes::{DUPLICATE, TOO_MUCH, UNREADABLE, UNTRUSTED};
use crate::config::files::{DefaultPlaces, rule_files};
use crate::config::{self, FILE_BYTES_MAX, Parsed, TOTAL_BYTES_MAX};
use crate::diagnostic::{Diagnostic, Severity, SourceText};
use crate::escape;
use crate::lint::facts::Facts;
use crate::lint::refusals;
use crate::rule::{Rule, RuleSet};
use crate::sys::trust::{self, Distrust, Flaw, Owner, ReadError};

/// Where rule files are looked for.
#[derive(Clone, Debug)]
pub enum Places {
    /// What `-c` named: files, and folders of files.
    Given(Vec<PathBuf>),
    /// The usual places.
    Default(DefaultPlaces),
}

/// The rule files as they were read, and everything that is wrong with them.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The path of each file that was found.
    pub paths: Vec<PathBuf>,
    /// What findings point into, file by file.
    pub sources: Vec<SourceText>,
    /// What the files say; its findings are in `findings`.
    pub parsed: Parsed,
    /// What is wrong, file by file and from top to bottom; what is about no file comes first.
    pub findings: Vec<Diagnostic>,
}

/// How far a file that others could have written is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It is refused unread: for a daemon.
    Demanded(Owner),
    /// It is read all the same, and said: for whoever only looks.
    Judged(Owner),
}

/// Reads all rule files.
///
/// # Errors
/// The same, where one finding is an error: then nothing may be armed.
pub fn load(places: &Places, owner: Owner, facts: &dyn Facts) -> Result<(Arc<RuleSet>, Loaded), Box<Loaded>> {
    let mut loaded = read(places, Trust::Demanded(owner));
    loaded.findings.extend(refusals(&loaded.parsed, &loaded.paths, facts));
    config::sort(&mut loaded.findings);
    if loaded.has_error() {
        return Err(Box::new(loaded));
    }
    let rules = Arc::new(std::mem::take(&mut loaded.parsed.rules));
    Ok((rules, loaded))
}

/// Reads all rule files and parses them; what depends on the system is not asked.
pub fn read(places: &Places, trust: Trust) -> Loaded {
    let mut reader = Reader { trust, loaded: Loaded::default(), bytes_total: 0, named: BTreeMap::new() };
    match places {
        Places::Given(paths) => paths.iter().for_each(|path| reader.given(path)),
        Places::Default(places) => reader.default_places(places),
    }
    let mut loaded = reader.loaded;
    loaded.parsed = config::parse(&loaded.sources);
    loaded.findings.append(&mut loaded.parsed.findings);
    config::sort(&mut loaded.findings);
    loaded
}

impl Loaded {
    /// The rules that are right and switched off (`enabled = false`).
    pub fn disabled(&self) -> Vec<Arc<Rule>> {
        let written = self.parsed.written.iter().filter(|written| !written.is_enabled);
        written.map(|written| Arc::clone(&written.rule)).collect()
    }

    /// Whether one finding is an error.
    pub fn has_error(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

struct Reader {
    trust: Trust,
    loaded: Loaded,
    bytes_total: usize,
    /// Each file behind its links, and how it was named.
    named: BTreeMap<PathBuf, PathBuf>,
}

impl Reader {
    /// A file or folder that a person named.
    fn given(&mut self, path: &Path) {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => self.folder(path),
            // What cannot be looked at is said by whoever tries to read it.
            Ok(_) | Err(_) => self.file(path),
        }
    }

    /// The usual places: each may be missing, but not both.
    fn default_places(&mut self, places: &DefaultPlaces) {
        let is_there = |path: &Path| !matches!(fs::symlink_metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound);
        let (has_file, has_folder) = (is_there(&places.file), is_there(&places.folder));
        if !has_file && !has_folder {
            let message = format!(
                "there is no rule file: neither {} nor {}",
                escape::path(&places.file),
                escape::path(&places.folder)
            );
            let finding = UNREADABLE.about(message);
            self.loaded.findings.push(finding.with_help("write one, or name another with `-c`"));
        }
        if has_file {
            self.file(&places.file);
        }
        if has_folder {
            self.folder(&places.folder);
        }
    }

    fn folder(&mut self, folder: &Path) {
        let names = fs::read_dir(folder).and_then(|entries| {
            entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<OsString>>>()
        });
        match names {
            Ok(names) => rule_files(names).iter().for_each(|name| self.file(&folder.join(name))),
            Err(error) => {
                let message = format!("cannot read the folder {}: {error}", escape::path(folder));
                self.loaded.findings.push(UNREADABLE.about(message));
            }
        }
    }

    fn file(&mut self, path: &Path) {
        if self.is_named_twice(path) {
            return;
        }
        let source = self.loaded.sources.len();
        let name = escape::path(path);
        let owner = match self.trust {
            Trust::Demanded(owner) => owner,
            Trust::Judged(owner) => {
                if let Err(distrusted) = trust::check_file(path, owner) {
                    self.distrust(source, &distrusted, true);
                }
                Owner::Anybody
            }
        };
        let bytes = if self.bytes_total > TOTAL_BYTES_MAX {
            // `config::parse` says that there is too much.
            Vec::new()
        } else {
            match trust::read_file(path, owner, FILE_BYTES_MAX as u64) {
                Ok(bytes) => bytes,
                Err(error) => {
                    self.unreadable(source, &error);
                    Vec::new()
                }
            }
        };
        self.bytes_total += bytes.len();
        let (text, finding) = config::decode(&name, source, bytes);
        self.loaded.sources.push(text);
        self.loaded.paths.push(path.to_owned());
        self.loaded.findings.extend(finding);
    }

    /// To read a file again would give every rule of it a second time, and a finding for each.
    fn is_named_twice(&mut self, path: &Path) -> bool {
        // What cannot be found is said by whoever tries to read it.
        let Ok(resolved) = fs::canonicalize(path) else { return false };
        let Some(first) = self.named.get(&resolved) else {
            self.named.insert(resolved, path.to_owned());
            return false;
        };
        let (name, first) = (escape::path(path), escape::path(first));
        let message = match name == first {
            true => format!("the rule file {name} is named twice"),
            false => format!("the rule file {name} is named twice: it is {first}"),
        };
        self.loaded.findings.push(DUPLICATE.about(message));
        true
    }

    fn unreadable(&mut self, source: usize, error: &ReadError) {
        match error {
            ReadError::Untrusted(distrusted) => self.distrust(source, distrusted, false),
            ReadError::TooLong { .. } => {
                self.loaded.findings.push(TOO_MUCH.at(source, 0..0, "the file is larger than 1 MiB"));
            }
            ReadError::NotRegular | ReadError::Changed | ReadError::Failed(_) => {
                self.loaded.findings.push(UNREADABLE.at(
                    source,
                    0..0,
                    format!("cannot read the file: {error}"),
                ));
            }
        }
    }

    /// One finding for each component; one that stands above several files is said once.
    fn distrust(&mut self, source: usize, distrusted: &[Distrust], is_only_judged: bool) {
        for distrust in distrusted {
            // What cannot be looked at is said by whoever tries to read the file. A folder such as /tmp is no
            // mistake of whoever wrote a file there: only a daemon that runs as root refuses it.
            if is_only_judged && (matches!(distrust.flaw, Flaw::Unreachable(_)) || is_sticky(distrust.flaw)) {
                continue;
            }
            let message = escape::line(&format!("not to be trusted: {distrust}")).into_owned();
            if self.loaded.findings.iter().any(|finding| finding.message == message) {
                continue;
            }
            let finding = UNTRUSTED.at(source, 0..0, message);
            self.loaded.findings.push(finding.with_help_if(distrust.help()));
        }
    }
}

/// Whether it is a directory that everybody may write, but where nobody can replace what belongs to another.
fn is_sticky(flaw: Flaw) -> bool {
    matches!(flaw, Flaw::WritableByOthers(mode) if mode & 0o1000 != 0)
}
