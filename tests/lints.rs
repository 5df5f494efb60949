//! Every kind of finding: a file that has it, what is said about it, and the file after it was mended, which is
//! clean. Facts about the system are made up by comments in the files. `FACRON_BLESS=1` writes what is said.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use facron::codes::CODES;
use facron::config;
use facron::diagnostic::{Diagnostic, Severity, SourceText};
use facron::lint::facts::{Account, Facts, FileKind, FileSystem, Seen};
use facron::lint::{LINTS, Texts, lint};
use facron::report::{Report, text, with_safe_fixes};
use facron::rule::Identity;
use facron::sys::trust::{Distrust, Flaw};

/// Findings that come from reading files, which no text can show; tests/check.rs has them.
const ABOUT_FILES: &[&str] = &["F021", "F022"];

/// A system where every program, directory and user exists, but for what the comments of a file say.
#[derive(Default)]
struct MadeUp {
    seen: BTreeMap<PathBuf, Seen>,
    heads: BTreeMap<PathBuf, Vec<u8>>,
    links: BTreeMap<PathBuf, PathBuf>,
    file_systems: BTreeMap<PathBuf, FileSystem>,
    distrusted: BTreeMap<PathBuf, u32>,
    unknown_users: Vec<String>,
    file_links: u64,
}

impl MadeUp {
    fn new(text: &str) -> MadeUp {
        let mut facts = MadeUp { file_links: 1, ..MadeUp::default() };
        for line in text.lines().filter_map(|line| line.strip_prefix("# ")) {
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
        (0, 0)
    }

    fn user(&self, user: &Identity) -> Account {
        match user {
            Identity::Name(name) if self.unknown_users.contains(name) => Account::Unknown,
            Identity::Name(name) if name == "root" => Account::Known(0),
            Identity::Name(_) => Account::Known(1000),
            Identity::Id(id) => Account::Known(*id),
        }
    }

    fn group(&self, group: &Identity) -> Account {
        self.user(group)
    }

    fn seen(&self, path: &Path) -> Seen {
        let is_program = path.parent().is_some_and(|parent| parent.ends_with("bin"));
        let kind = if is_program { FileKind::Regular } else { FileKind::Directory };
        let links =
            if path.extension().is_some_and(|extension| extension == "toml") { self.file_links } else { 1 };
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

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lints")
}

/// All findings of one file.
fn findings(name: &str, text: &str) -> (Vec<SourceText>, Vec<Diagnostic>) {
    let sources = vec![SourceText { name: name.into(), text: text.into() }];
    let mut parsed = config::parse(&sources);
    let mut findings = std::mem::take(&mut parsed.findings);
    let (facts, paths) = (MadeUp::new(text), [PathBuf::from(name)]);
    let texts =
        Texts { parsed: &parsed, findings: &findings, sources: &sources, paths: &paths, facts: &facts };
    let found = lint(&texts);
    findings.extend(found);
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        findings.retain(|finding| finding.severity > Severity::Note);
    }
    config::sort(&mut findings);
    (sources, findings)
}

fn said(name: &str, text_of_file: &str) -> String {
    let (sources, findings) = findings(name, text_of_file);
    anstream::adapter::strip_str(&text(&Report::new(&sources, &findings))).to_string()
}

#[expect(clippy::disallowed_methods, reason = "the environment is the test's own border")]
fn is_blessed() -> bool {
    std::env::var("FACRON_BLESS").is_ok_and(|value| value == "1")
}

#[test]
fn every_code_is_found_said_and_mended() {
    for code in CODES.iter().filter(|code| !ABOUT_FILES.contains(&code.name)) {
        let name = format!("{}.toml", code.name);
        let path = folder().join(&name);
        let bad = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (_, found) = findings(&name, &bad);
        assert!(found.iter().any(|finding| finding.code == code.name), "{name}: {found:#?}");
        let others: Vec<_> = found.iter().filter(|finding| finding.code != code.name).collect();
        assert!(others.is_empty(), "{name} is about one code only: {others:#?}");

        let (golden, said) = (folder().join(format!("{}.txt", code.name)), said(&name, &bad));
        if is_blessed() {
            fs::write(&golden, &said).expect("the golden file can be written");
        }
        assert_eq!(fs::read_to_string(&golden).expect("a golden file"), said, "{name}");

        let fixed =
            fs::read_to_string(folder().join(format!("{}.fixed.toml", code.name))).expect("a mended file");
        let (_, left) = findings(&name, &fixed);
        assert_eq!(left, [], "{name} mended");
        let has_safe_fixes = found.iter().all(|finding| finding.fix.as_ref().is_some_and(|fix| fix.is_safe));
        if has_safe_fixes {
            assert_eq!(with_safe_fixes(&bad, 0, &found).text, fixed, "{name} mended by its own fixes");
        }
    }
}

#[test]
fn every_lint_has_a_row_and_every_row_a_code() {
    let first_lint = "F030";
    for code in CODES.iter().filter(|code| code.name >= first_lint) {
        assert!(LINTS.iter().any(|lint| lint.code.name == code.name), "{} has no row", code.name);
    }
    assert!(LINTS.iter().all(|lint| lint.code.name >= first_lint));
}

#[test]
fn no_file_is_about_a_code_that_is_no_more() {
    for entry in fs::read_dir(folder()).expect("the folder") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        assert!(CODES.iter().any(|code| name.starts_with(code.name)), "{name}");
    }
}
