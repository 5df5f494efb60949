//! What may be guarded by permission events, and why the rest may not: shared by `check`, by load and by the guard.
//!
//! Whoever opens a guarded file waits for facron. So nothing may be guarded that every program opens, that facron
//! and its commands need to answer at all, or whose file system may itself never answer. Pure: what has to be
//! looked up comes as [`Facts`].

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::event::EventMask;
use crate::rule::{MarkChoice, Rule, Scope};

/// The longest `timeout` of a rule whose command decides.
pub const LIMIT_MAX: Duration = Duration::from_secs(60);

/// Directories that every program needs; what is below them may be guarded. Any `lib…` in `/`, `/usr` and
/// `/usr/local` counts too.
const SYSTEM_DIRECTORIES: &[&str] = &[
    "/", "/usr", "/etc", "/var", "/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local", "/usr/local/bin",
    "/usr/local/sbin", "/boot", "/dev", "/proc", "/run", "/sys",
];

/// File systems that may keep the guard waiting, or whose events the kernel does not offer: statfs(2), `f_type`.
const FILE_SYSTEMS: &[(u32, &str, FileSystemKind)] = &[
    (0x6573_5546, "FUSE", FileSystemKind::Foreign),
    (0x6969, "NFS", FileSystemKind::Foreign),
    (0x517b, "SMB", FileSystemKind::Foreign),
    (0xfe53_4d42, "SMB2", FileSystemKind::Foreign),
    (0xff53_4d42, "CIFS", FileSystemKind::Foreign),
    (0x00c3_6400, "Ceph", FileSystemKind::Foreign),
    (0x0102_1997, "9P", FileSystemKind::Foreign),
    (0x5346_414f, "AFS", FileSystemKind::Foreign),
    (0x6b41_4653, "AFS", FileSystemKind::Foreign),
    (0x7375_7245, "Coda", FileSystemKind::Foreign),
    (0x0116_1970, "GFS2", FileSystemKind::Foreign),
    (0x7461_636f, "OCFS2", FileSystemKind::Foreign),
    (0x0bd0_0bd0, "Lustre", FileSystemKind::Foreign),
    (0x4750_4653, "GPFS", FileSystemKind::Foreign),
    (0x1983_0326, "BeeGFS", FileSystemKind::Foreign),
    (0x2030_528c, "OrangeFS", FileSystemKind::Foreign),
    (0x786f_4256, "a shared folder of VirtualBox", FileSystemKind::Foreign),
    (0xbacb_acbc, "a shared folder of VMware", FileSystemKind::Foreign),
    (0x0187, "autofs", FileSystemKind::Foreign),
    (0x9fa0, "proc", FileSystemKind::Kernel),
    (0x6265_6572, "sysfs", FileSystemKind::Kernel),
    (0x0027_e0eb, "a control group", FileSystemKind::Kernel),
    (0x6367_7270, "a control group", FileSystemKind::Kernel),
    (0x6462_6720, "debugfs", FileSystemKind::Kernel),
    (0x7472_6163, "tracefs", FileSystemKind::Kernel),
    (0x7363_6673, "securityfs", FileSystemKind::Kernel),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileSystemKind {
    Foreign,
    Kernel,
}

/// What is known about a path that a rule would guard; what is not known is not held against it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'f> {
    /// Where the path leads, symbolic links followed.
    pub real: Option<&'f Path>,
    /// `f_type` of its file system (statfs(2)), as the 32 bits that they are.
    pub file_system: Option<u32>,
    /// Every rule file, as it was named and with symbolic links followed.
    pub rule_files: &'f [PathBuf],
    /// Every program that facron starts, and facron itself, as named and with symbolic links followed.
    pub programs: &'f [PathBuf],
    /// The directories where facron keeps its state and its socket.
    pub own_directories: &'f [PathBuf],
}

/// Why something may not be guarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The command decides, and has no `timeout`.
    NoTimeout,
    /// … or one of more than a minute.
    LongTimeout(Duration),
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
    ForeignFileSystem(&'static str),
    /// A file system that stands for the kernel.
    KernelFileSystem(&'static str),
}

/// Whether the rule asks for permission events.
pub fn wants_permission(rule: &Rule) -> bool {
    rule.watch.on.wanted().intersects(EventMask::ALL_PERMISSION)
}

/// Why a rule that asks for permission events may not guard anything, whatever its paths are.
pub fn rule_refusal(rule: &Rule) -> Option<Refusal> {
    if !wants_permission(rule) {
        return None;
    }
    if rule.watch.scope == Scope::Tree {
        return Some(Refusal::Tree);
    }
    if rule.watch.mark == MarkChoice::Filesystem {
        return Some(Refusal::WholeFileSystem);
    }
    if !rule.verdict.command {
        return None;
    }
    if rule.watch.on.all_of.iter().any(|group| group.intersects(EventMask::ALL_PERMISSION)) {
        return Some(Refusal::InnerArray);
    }
    match rule.ending.timeout {
        None => Some(Refusal::NoTimeout),
        Some(timeout) if timeout > LIMIT_MAX => Some(Refusal::LongTimeout(timeout)),
        Some(_) => None,
    }
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
    let (_, name, kind) = FILE_SYSTEMS.iter().find(|(magic, ..)| facts.file_system == Some(*magic))?;
    Some(match kind {
        FileSystemKind::Foreign => Refusal::ForeignFileSystem(name),
        FileSystemKind::Kernel => Refusal::KernelFileSystem(name),
    })
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
            Refusal::NoTimeout => f.write_str(
                "a rule whose command decides who may open needs a `timeout`: the opener waits for the command",
            ),
            Refusal::LongTimeout(timeout) => write!(
                f,
                "a `timeout` of {} is too long for a rule whose command decides: an opener waits for a minute at most",
                humantime::format_duration(*timeout)
            ),
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
                write!(f, "{} itself is never guarded: every program would wait for facron", shown(path))
            }
            Refusal::Libraries(path) => {
                write!(f, "{} is never guarded: every program loads libraries from there", shown(path))
            }
            Refusal::RuleFile(path) => {
                write!(f, "{} is a rule file: facron could not reload it while somebody waits", shown(path))
            }
            Refusal::Program(path) => {
                write!(f, "{} is a program that facron needs to decide: it would wait for itself", shown(path))
            }
            Refusal::OwnDirectory(path) => write!(f, "facron keeps its own files in {}", shown(path)),
            Refusal::ForeignFileSystem(name) => write!(
                f,
                "the path is on {name}, which another machine or program serves: when that hangs, the guard would hang \
                 with it"
            ),
            Refusal::KernelFileSystem(name) => {
                write!(f, "the path is on {name}, which has no permission events worth waiting for")
            }
        }
    }
}

impl Refusal {
    /// The way out, where there is one.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Refusal::NoTimeout | Refusal::LongTimeout(_) => {
                Some("set `timeout` to at most \"1m\"; who waits longer gets `verdict-default`")
            }
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
        let system = ["/", "/usr", "/etc", "/var", "/bin", "/lib", "/lib64", "/lib32", "/usr/bin", "/usr/lib"];
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
        for path in ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"] {
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
        assert_eq!(refused("/var/lib/facron/x", &facts), Some(Refusal::OwnDirectory("/var/lib/facron".into())));
        for path in ["/t/guarded", "/opt", "/opt/scan/in", "/var/lib"] {
            assert_eq!(refused(path, &facts), None, "{path}");
        }
    }

    #[test]
    fn file_systems_that_may_hang_are_refused() {
        let on = |magic| refused("/mnt/x", &Facts { file_system: Some(magic), ..Facts::default() });
        assert_eq!(on(0x6573_5546), Some(Refusal::ForeignFileSystem("FUSE")));
        assert_eq!(on(0x6969), Some(Refusal::ForeignFileSystem("NFS")));
        assert_eq!(on(0x9fa0), Some(Refusal::KernelFileSystem("proc")));
        assert_eq!(on(0x0102_1994), None, "tmpfs");
        assert_eq!(on(0xef53), None, "ext4");
    }

    #[test]
    fn every_refusal_says_why_in_one_line() {
        let path = PathBuf::from("/a\nb");
        let refusals = [
            Refusal::NoTimeout,
            Refusal::LongTimeout(Duration::from_secs(61)),
            Refusal::Tree,
            Refusal::WholeFileSystem,
            Refusal::InnerArray,
            Refusal::SystemDirectory(path.clone()),
            Refusal::Libraries(path.clone()),
            Refusal::RuleFile(path.clone()),
            Refusal::Program(path.clone()),
            Refusal::OwnDirectory(path),
            Refusal::ForeignFileSystem("NFS"),
            Refusal::KernelFileSystem("proc"),
        ];
        for refusal in refusals {
            let text = refusal.to_string();
            assert!(text.len() > 20 && !text.contains('\n') && !text.contains("  ") && !text.ends_with('.'), "{text}");
        }
    }
}
