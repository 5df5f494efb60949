//! What the importer wants to know of the machine: asked through a trait, so that translating stays a function.

use std::path::Path;

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// What it is.
    pub kind: PlaceKind,
    /// Whether a component of the path is a symbolic link.
    pub is_through_link: bool,
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
