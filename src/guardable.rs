//! What may be guarded by permission events, and why the rest may not: shared by `check`, by load and by the guard.
//!
//! Whoever opens a guarded file waits for facron. So nothing may be guarded that every program opens, that facron
//! and its commands need to answer at all, or whose file system may itself never answer. Pure: what has to be
//! looked up comes as [`Facts`].

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::event::EventMask;
use crate::rule::{MarkChoice, Scope, VerdictBy, Watch};

/// The longest `timeout` of a rule whose command decides.
pub const LIMIT_MAX: Duration = Duration::from_secs(60);

/// Directories that every program needs; what is below them may be guarded. Any `lib…` in `/`, `/usr` and
/// `/usr/local` counts too.
const SYSTEM_DIRECTORIES: &[&str] = &[
    "/",
    "/usr",
    "/etc",
    "/var",
    "/bin",
    "/sbin",
    "/usr/bin",
    "/usr/sbin",
    "/usr/local",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/boot",
    "/dev",
    "/proc",
    "/run",
    "/sys",
];

/// What is known about a path that a rule would guard; what is not known is not held against it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'f> {
    /// Where the path leads, symbolic links followed.
    pub real: Option<&'f Path>,
    /// What its file system is.
    pub file_system: FileSystem<'f>,
    /// Every rule file, as it was named and with symbolic links followed.
    pub rule_files: &'f [PathBuf],
    /// Every program that facron starts, and facron itself, as named and with symbolic links followed.
    pub programs: &'f [PathBuf],
    /// The directories where facron keeps its state and its socket.
    pub own_directories: &'f [PathBuf],
}

/// Who answers for a file system; the foreign and the kernel's own by their type, as in /proc/self/mountinfo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileSystem<'f> {
    /// Not known, or the kernel alone, from a device or memory.
    #[default]
    Local,
    /// Another machine or process (NFS, FUSE and the like): it may never answer.
    Foreign(&'f str),
    /// Made up by the kernel from its own state: proc and the like.
    Kernel(&'f str),
}

/// Why something may not be guarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The command decides, and has no `timeout`.
    NoTimeout,
    /// … or one of more than a minute.
    LongTimeout,
    /// `scope = "tree"`.
    Tree,
    /// `mark = "filesystem"`.
    WholeFileSystem,
    /// The command decides, and the permission event stands in an inner array.
    InnerArray,
    /// A directory of the system itself.
    SystemDirectory(PathBuf),
    /// A directory of shared libraries, or one of these.
    Libraries(PathBuf),
    /// A rule file, or its directory.
    RuleFile(PathBuf),
    /// A program that facron needs, or its directory.
    Program(PathBuf),
    /// Where facron keeps its own files.
    OwnDirectory(PathBuf),
    /// A file system of another machine or of a program.
    ForeignFileSystem(String),
    /// A file system that stands for the kernel.
    KernelFileSystem(String),
}

/// Whether the rule asks for permission events.
pub fn wants_permission(watch: &Watch) -> bool {
    watch.on.wanted().intersects(EventMask::ALL_PERMISSION)
}

/// Why a rule that asks for permission events may not guard anything, whatever its paths are.
pub fn rule_refusals(watch: &Watch, verdict: VerdictBy, timeout: Option<Duration>) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if watch.scope == Scope::Tree {
        refusals.push(Refusal::Tree);
    }
    if watch.mark == MarkChoice::Filesystem {
        refusals.push(Refusal::WholeFileSystem);
    }
    if verdict.command {
        if watch.on.all_of.iter().any(|group| group.intersects(EventMask::ALL_PERMISSION)) {
            refusals.push(Refusal::InnerArray);
        }
        match timeout {
            None => refusals.push(Refusal::NoTimeout),
            Some(timeout) if timeout > LIMIT_MAX => refusals.push(Refusal::LongTimeout),
            Some(_) => {}
        }
    }
    refusals
}

/// Why this path may not be guarded.
pub fn path_refusal(path: &Path, facts: &Facts<'_>) -> Option<Refusal> {
    let paths = || [Some(path), facts.real].into_iter().flatten();
    // A file that is needed is needed under its own name, and its directory would ask about it.
    let covered = |needed: &Path| paths().any(|path| path == needed || needed.parent() == Some(path));
    let find = |needed: &[PathBuf]| needed.iter().find(|needed| covered(needed)).cloned();
    if let Some(path) = paths().find(|path| is_system_directory(path)) {
        return Some(Refusal::SystemDirectory(path.to_owned()));
    }
    if let Some(path) = paths().find(|path| is_library_place(path)) {
        return Some(Refusal::Libraries(path.to_owned()));
    }
    if let Some(file) = find(facts.rule_files) {
        return Some(Refusal::RuleFile(file));
    }
    if let Some(program) = find(facts.programs) {
        return Some(Refusal::Program(program));
    }
    let own = facts.own_directories.iter().find(|own| paths().any(|path| path.starts_with(own)));
    if let Some(own) = own {
        return Some(Refusal::OwnDirectory(own.clone()));
    }
    match facts.file_system {
        FileSystem::Local => None,
        FileSystem::Foreign(name) => Some(Refusal::ForeignFileSystem(name.to_owned())),
        FileSystem::Kernel(name) => Some(Refusal::KernelFileSystem(name.to_owned())),
    }
}

fn is_system_directory(path: &Path) -> bool {
    SYSTEM_DIRECTORIES.iter().any(|directory| path == Path::new(directory)) || is_library_directory(path)
}

/// `/lib`, `/usr/lib64`, `/usr/local/lib` and the like.
fn is_library_directory(path: &Path) -> bool {
    let is_root = |parent: &Path| ["/", "/usr", "/usr/local"].iter().any(|root| parent == Path::new(root));
    path.parent().is_some_and(is_root) && name_of(path).starts_with(b"lib")
}

/// Where the loader finds shared libraries: directly in a library directory, or in one for an architecture.
fn is_library_place(path: &Path) -> bool {
    let is_for_architecture = |path: &Path| {
        path.parent().is_some_and(is_library_directory)
            && name_of(path).windows(7).any(|window| window == b"-linux-")
    };
    let is_library = name_of(path).starts_with(b"ld") || name_of(path).windows(3).any(|part| part == b".so");
    let holds_libraries = |path: &Path| is_library_directory(path) || is_for_architecture(path);
    is_for_architecture(path) || (is_library && path.parent().is_some_and(holds_libraries))
}

fn name_of(path: &Path) -> &[u8] {
    path.file_name().map_or(b"", std::os::unix::ffi::OsStrExt::as_bytes)
}

impl fmt::Display for Refusal {
    /// A lower-case sentence that says what is refused, and why.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoTimeout => f.write_str("`verdict = \"command\"` needs a `timeout`"),
            Refusal::LongTimeout => f.write_str("no opener waits longer than a minute"),
            Refusal::Tree => f.write_str(
                "permission events cannot guard a tree: what is in a new directory could be opened before the directory \
                 is guarded",
            ),
            Refusal::WholeFileSystem => f.write_str(
                "permission events never guard a whole file system: everything on it would wait for facron",
            ),
            Refusal::InnerArray => f.write_str(
                "a permission event in an inner array cannot be decided by a command: its opener would wait for the \
                 other events",
            ),
            Refusal::SystemDirectory(path) => {
                write!(f, "every program needs {}, and would wait for facron", shown(path))
            }
            Refusal::Libraries(path) => {
                write!(f, "every program loads libraries from {}, and would wait for facron", shown(path))
            }
            Refusal::RuleFile(path) => {
                write!(f, "{} is a rule file, which facron would have to ask itself for", shown(path))
            }
            Refusal::Program(path) => {
                write!(f, "{} is a program that facron needs to decide, and would wait for itself", shown(path))
            }
            Refusal::OwnDirectory(path) => write!(f, "facron keeps its own files in {}", shown(path)),
            Refusal::ForeignFileSystem(name) => write!(
                f,
                "another machine or program answers for {name}: when it hangs, the guard would hang with it"
            ),
            Refusal::KernelFileSystem(name) => {
                write!(f, "{name} has no permission events worth waiting for")
            }
        }
    }
}

impl Refusal {
    /// The way out, where there is one.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Refusal::NoTimeout => Some("how long may an opener wait? for example `timeout = \"5s\"`"),
            Refusal::LongTimeout => Some("`timeout` is at most `\"1m\"` where `verdict = \"command\"`"),
            Refusal::Tree => Some("name each directory in `path`, with `scope = \"children\"`"),
            Refusal::WholeFileSystem => Some("leave `mark` out, and name the directories in `path`"),
            Refusal::InnerArray => Some("write the permission event by itself"),
            Refusal::SystemDirectory(_) | Refusal::Libraries(_) => {
                Some("name the files that are meant, or a directory of their own")
            }
            Refusal::RuleFile(_) | Refusal::Program(_) | Refusal::OwnDirectory(_) => {
                Some("keep what is guarded in a directory of its own")
            }
            Refusal::ForeignFileSystem(_) | Refusal::KernelFileSystem(_) => None,
        }
    }
}

fn shown(path: &Path) -> std::borrow::Cow<'_, str> {
    crate::escape::path(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &str, facts: &Facts<'_>) -> Option<Refusal> {
        path_refusal(Path::new(path), facts)
    }

    #[test]
    fn directories_of_the_system_are_refused_and_what_is_below_them_is_not() {
        let system =
            ["/", "/usr", "/etc", "/var", "/bin", "/lib", "/lib64", "/lib32", "/usr/bin", "/usr/lib"];
        for path in system {
            let refusal = refused(path, &Facts::default());
            assert_eq!(refusal, Some(Refusal::SystemDirectory(path.into())));
        }
        for path in ["/srv", "/etc/ssl", "/var/spool/in", "/usr/lib/app", "/usr/share", "/library", "/home"] {
            let expected = (path == "/library").then(|| Refusal::SystemDirectory(path.into()));
            assert_eq!(refused(path, &Facts::default()), expected, "{path}");
        }
    }

    #[test]
    fn a_link_to_what_is_refused_is_refused() {
        let facts = Facts { real: Some(Path::new("/usr/lib")), ..Facts::default() };
        assert_eq!(refused("/srv/link", &facts), Some(Refusal::SystemDirectory("/usr/lib".into())));
    }

    #[test]
    fn libraries_are_refused_wherever_the_loader_finds_them() {
        for path in
            ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]
        {
            let refusal = refused(path, &Facts::default());
            assert_eq!(refusal, Some(Refusal::Libraries(path.into())), "{path}");
        }
        assert_eq!(refused("/usr/lib/app/plugin.so", &Facts::default()), None);
    }

    #[test]
    fn what_facron_needs_is_refused_with_its_directory_and_nothing_else_of_it() {
        let (rules, programs) = (["/t/facron.toml".into()], ["/opt/scan/decide".into()]);
        let own = ["/var/lib/facron".into()];
        let facts =
            Facts { rule_files: &rules, programs: &programs, own_directories: &own, ..Facts::default() };
        for path in ["/t", "/t/facron.toml"] {
            assert_eq!(refused(path, &facts), Some(Refusal::RuleFile("/t/facron.toml".into())));
        }
        for path in ["/opt/scan", "/opt/scan/decide"] {
            assert_eq!(refused(path, &facts), Some(Refusal::Program("/opt/scan/decide".into())));
        }
        assert_eq!(
            refused("/var/lib/facron/x", &facts),
            Some(Refusal::OwnDirectory("/var/lib/facron".into()))
        );
        for path in ["/t/guarded", "/opt", "/opt/scan/in", "/var/lib"] {
            assert_eq!(refused(path, &facts), None, "{path}");
        }
    }

    #[test]
    fn file_systems_that_may_hang_are_refused() {
        let on = |file_system| refused("/mnt/x", &Facts { file_system, ..Facts::default() });
        assert_eq!(on(FileSystem::Foreign("fuse")), Some(Refusal::ForeignFileSystem("fuse".into())));
        assert_eq!(on(FileSystem::Kernel("proc")), Some(Refusal::KernelFileSystem("proc".into())));
        assert_eq!(on(FileSystem::Local), None);
    }

    #[test]
    fn every_refusal_says_why_in_one_line() {
        let path = PathBuf::from("/a\nb");
        let refusals = [
            Refusal::NoTimeout,
            Refusal::LongTimeout,
            Refusal::Tree,
            Refusal::WholeFileSystem,
            Refusal::InnerArray,
            Refusal::SystemDirectory(path.clone()),
            Refusal::Libraries(path.clone()),
            Refusal::RuleFile(path.clone()),
            Refusal::Program(path.clone()),
            Refusal::OwnDirectory(path),
            Refusal::ForeignFileSystem("nfs4".into()),
            Refusal::KernelFileSystem("proc".into()),
        ];
        for refusal in refusals {
            let text = refusal.to_string();
            assert!(
                text.len() > 20 && !text.contains('\n') && !text.contains("  ") && !text.ends_with('.'),
                "{text}"
            );
        }
    }
}
