//! What the importer wants to know of the machine: asked through a trait, so that translating stays a function.

use std::path::{Path, PathBuf};

/// The machine on which the classic daemon ran.
pub trait Surroundings {
    /// What stands at an absolute path.
    fn place(&self, path: &Path) -> Place;

    /// Whether this is a program: a regular file that somebody may execute.
    fn is_program(&self, path: &Path) -> bool;

    /// The home directory of a user.
    fn home(&self, user: &str) -> Option<String>;
}

/// What stands at a path, links followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// What it is.
    pub kind: PlaceKind,
    /// Where the path leads, if a component of it is a symbolic link.
    pub behind_links: Option<PathBuf>,
    /// What it is on, or would be on.
    pub file_system: FileSystem,
    /// Whether everybody may write to it.
    pub is_world_writable: bool,
}

/// What something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlaceKind {
    /// It may not be looked at.
    #[default]
    Unknown,
    /// Nothing is there.
    Missing,
    /// A directory.
    Directory,
    /// Anything else.
    File,
}

/// Who answers for a file system; by its type, as in /proc/self/mountinfo.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FileSystem {
    /// Not known, or the kernel alone, from a device or memory.
    #[default]
    Local,
    /// Another machine or process.
    Foreign(String),
    /// Made up by the kernel from its own state.
    Kernel(String),
}
