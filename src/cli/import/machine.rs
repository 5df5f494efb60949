//! What the importer asks about the machine it runs on.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::import::{FileSystem, Place, PlaceKind, Surroundings};
use crate::lint::System;
use crate::lint::facts::{self, Facts as _};

/// This machine.
#[derive(Default)]
pub struct Machine {
    system: System,
}

impl Surroundings for Machine {
    fn place(&self, path: &Path) -> Place {
        let file_system = match self.system.file_system(path) {
            facts::FileSystem::Local => FileSystem::Local,
            facts::FileSystem::Foreign(kind) => FileSystem::Foreign(kind),
            facts::FileSystem::Pseudo(kind) => FileSystem::Kernel(kind),
        };
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => {
                let is_missing = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
                let kind = if is_missing { PlaceKind::Missing } else { PlaceKind::Unknown };
                return Place { kind, file_system, ..Place::default() };
            }
        };
        Place {
            kind: if metadata.is_dir() { PlaceKind::Directory } else { PlaceKind::File },
            behind_links: fs::canonicalize(path).ok().filter(|real| real != path),
            file_system,
            is_world_writable: metadata.permissions().mode() & 0o002 != 0,
        }
    }

    fn is_program(&self, path: &Path) -> bool {
        fs::metadata(path)
            .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    }

    fn home(&self, user: &str) -> Option<String> {
        nix::unistd::User::from_name(user).ok().flatten()?.dir.into_os_string().into_string().ok()
    }
}
