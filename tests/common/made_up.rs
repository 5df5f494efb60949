//! Facts about a system that tests make up.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use facron::lint::facts::{Account, Facts, FileKind, FileSystem, Seen};
use facron::rule::Identity;
use facron::sys::trust::{Distrust, Flaw};

/// A system where every program, directory and user exists, but for what the comments of a file say.
#[derive(Default)]
pub struct MadeUp {
    seen: BTreeMap<PathBuf, Seen>,
    heads: BTreeMap<PathBuf, Vec<u8>>,
    links: BTreeMap<PathBuf, PathBuf>,
    file_systems: BTreeMap<PathBuf, FileSystem>,
    distrusted: BTreeMap<PathBuf, u32>,
    unknown_users: Vec<String>,
    names: Vec<String>,
    file_links: u64,
    own_id: u32,
}

impl MadeUp {
    /// The system that the comments at the beginning of a rule file tell of.
    pub fn new(text: &str) -> MadeUp {
        let mut facts = MadeUp { file_links: 1, ..MadeUp::default() };
        for line in text.lines().map_while(|line| line.strip_prefix("# ")) {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["seen", path, "missing"] => facts.put(path, Seen::Missing),
                ["seen", path, "file", mode] => {
                    let mode = u32::from_str_radix(mode, 8).expect("octal");
                    facts.put(path, Seen::Present { kind: FileKind::Regular, mode, links: 1 });
                }
                ["head", path, head] => {
                    facts.heads.insert(path.into(), head.replace("\\r", "\r").into_bytes());
                }
                ["link", path, link] => drop(facts.links.insert(path.into(), link.into())),
                ["file", "system", path, "foreign", kind] => {
                    facts.file_systems.insert(path.into(), FileSystem::Foreign(kind.into()));
                }
                ["file", "system", path, "pseudo", kind] => {
                    facts.file_systems.insert(path.into(), FileSystem::Pseudo(kind.into()));
                }
                ["distrusted", path, mode] => {
                    facts.distrusted.insert(path.into(), u32::from_str_radix(mode, 8).expect("octal"));
                }
                ["unknown", "user", name] => facts.unknown_users.push(name.into()),
                ["names", ref names @ ..] => facts.names = names.iter().map(|&name| name.into()).collect(),
                ["own", "id", id] => facts.own_id = id.parse().expect("a number"),
                ["links", count] => facts.file_links = count.parse().expect("a number"),
                _ => panic!("no fact: {line}"),
            }
        }
        facts
    }

    fn put(&mut self, path: &str, seen: Seen) {
        self.seen.insert(path.into(), seen);
    }
}

impl Facts for MadeUp {
    fn own_ids(&self) -> (u32, u32) {
        (self.own_id, self.own_id)
    }

    fn user(&self, user: &Identity) -> Account {
        match user {
            Identity::Name(name) if self.unknown_users.contains(name) => Account::Unknown,
            Identity::Name(name) if name == "root" => Account::Known(0),
            Identity::Name(_) => Account::Known(1000),
            Identity::Id(id) if self.unknown_users.contains(&id.to_string()) => Account::Unknown,
            Identity::Id(id) => Account::Known(*id),
        }
    }

    fn group(&self, group: &Identity) -> Account {
        self.user(group)
    }

    fn user_names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn group_names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn seen(&self, path: &Path) -> Seen {
        let is_in_bin = |directory: &Path| directory.as_os_str().as_encoded_bytes().ends_with(b"bin");
        let is_program = path.parent().is_some_and(is_in_bin);
        let is_rule_file = path.extension().is_some_and(|extension| extension == "toml");
        let kind = if is_program || is_rule_file { FileKind::Regular } else { FileKind::Directory };
        let links = if is_rule_file { self.file_links } else { 1 };
        self.seen.get(path).copied().unwrap_or(Seen::Present { kind, mode: 0o755, links })
    }

    fn head(&self, program: &Path) -> Option<Vec<u8>> {
        Some(self.heads.get(program).cloned().unwrap_or_else(|| b"\x7fELF".to_vec()))
    }

    fn distrusted(&self, path: &Path) -> Vec<Distrust> {
        let mode = self.distrusted.get(path).copied();
        let distrust = |mode| Distrust {
            component: path.to_owned(),
            flaw: Flaw::WritableByOthers(mode),
            mend: Some(format!("chmod go-w {}", path.display())),
        };
        mode.map(distrust).into_iter().collect()
    }

    fn foreign_link(&self, path: &Path) -> Option<PathBuf> {
        self.links.get(path).cloned()
    }

    fn resolved(&self, path: &Path) -> Option<PathBuf> {
        Some(path.to_owned())
    }

    fn file_system(&self, path: &Path) -> FileSystem {
        self.file_systems.get(path).cloned().unwrap_or(FileSystem::Local)
    }
}
