//! Where the rule files are: which files of a folder count, and where to look by default. Words only; whoever
//! reads the folders hands their names in.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The rule file that everybody looks for first, below the configuration directory.
const MAIN_FILE: &str = "facron.toml";

/// The folder with further rule files, below the configuration directory.
const FOLDER: &str = "rules.d";

/// Where the rule files are if nobody says so: the main file and the folder, either of which may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultPlaces {
    /// `facron.toml`.
    pub file: PathBuf,
    /// `rules.d`.
    pub folder: PathBuf,
}

impl DefaultPlaces {
    /// For root `/etc/facron`; for another user `$XDG_CONFIG_HOME/facron`, which is `~/.config/facron` where it is
    /// not set. None: the user has neither variable.
    pub fn new(is_root: bool, config_home: Option<&OsStr>, home: Option<&OsStr>) -> Option<DefaultPlaces> {
        let is_absolute = |path: &&OsStr| Path::new(path).is_absolute();
        let directory = if is_root {
            PathBuf::from("/etc/facron")
        } else if let Some(config_home) = config_home.filter(is_absolute) {
            Path::new(config_home).join("facron")
        } else {
            Path::new(home.filter(is_absolute)?).join(".config/facron")
        };
        Some(DefaultPlaces { file: directory.join(MAIN_FILE), folder: directory.join(FOLDER) })
    }
}

/// The names of a folder that are rule files, in bytewise order: `*.toml`, but no dot files; an editor's
/// `x.toml~` and the like end otherwise.
pub fn rule_files(names: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let is_rule_file = |name: &OsString| {
        let name = name.as_bytes();
        name.len() > b".toml".len() && name.ends_with(b".toml") && !name.starts_with(b".")
    };
    let mut files: Vec<OsString> = names.into_iter().filter(is_rule_file).collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_in_bytewise_order_without_leftovers() {
        let names =
            ["b.toml", "a.toml", "B.toml", ".x.toml", "a.toml~", "a.toml.swp", ".toml", "README", "é.toml"];
        let files = rule_files(names.map(OsString::from));
        assert_eq!(files, ["B.toml", "a.toml", "b.toml", "é.toml"].map(OsString::from));
    }

    #[test]
    fn the_default_place_depends_on_who_asks() {
        let places = |is_root, config, home| {
            DefaultPlaces::new(is_root, config, home).map(|places| places.file.to_string_lossy().into_owned())
        };
        let (config, home) = (OsStr::new("/c"), OsStr::new("/home/a"));
        assert_eq!(places(true, Some(config), Some(home)).as_deref(), Some("/etc/facron/facron.toml"));
        assert_eq!(places(false, Some(config), Some(home)).as_deref(), Some("/c/facron/facron.toml"));
        assert_eq!(
            places(false, Some(OsStr::new("")), Some(home)).as_deref(),
            Some("/home/a/.config/facron/facron.toml")
        );
        assert_eq!(places(false, None, None), None);
    }
}
