//! The floors of the house: a module uses only modules above it in `lib.rs`; `unsafe` lives in `sys` only;
//! no file is too long to be read.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file without its tests; STYLE 1 says: look for a seam at 300, never pass 500.
const LINES_MAX: usize = 500;

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("src can be read") {
        let path = entry.expect("src can be read").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn all_sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    found.sort();
    let read = |path: &PathBuf| fs::read_to_string(path).expect("a source is UTF-8");
    found.iter().map(|path| (path.strip_prefix(&root).expect("below src").to_owned(), read(path))).collect()
}

/// Without comments and without what stands behind `#[cfg(test)]`.
fn code(text: &str) -> Vec<&str> {
    let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text);
    text.lines().map(|line| line.split("//").next().unwrap_or(line)).collect()
}

#[test]
fn a_module_uses_only_modules_above_it() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).expect("lib.rs");
    let order: Vec<&str> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let mut faults = Vec::new();
    for (path, text) in all_sources() {
        let first =
            path.components().next().expect("a path has components").as_os_str().to_str().expect("UTF-8");
        let module = first.strip_suffix(".rs").unwrap_or(first);
        let Some(floor) = order.iter().position(|name| *name == module) else { continue };
        for line in code(&text) {
            for used in line.split("crate::").skip(1) {
                let used =
                    used.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or(used);
                if order.iter().position(|name| *name == used).is_some_and(|other| other > floor) {
                    faults.push(format!("{}: {module} uses {used}, which is above it", path.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn unsafe_code_lives_in_sys_only() {
    for (path, text) in all_sources() {
        let has_unsafe = code(&text).iter().any(|line| {
            line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == "unsafe")
        });
        assert!(!has_unsafe || path.starts_with("sys"), "{} has unsafe code", path.display());
    }
}

#[test]
fn no_file_is_too_long_to_be_read() {
    for (path, text) in all_sources() {
        let lines = code(&text).len();
        assert!(lines <= LINES_MAX, "{} has {lines} lines without its tests", path.display());
    }
}

#[test]
fn signals_go_to_nobody_by_a_number_that_could_be_another_s() {
    // Everybody else goes through descriptors (pidfd_send_signal(2), cgroup.kill): the number of a process that was
    // reaped may be anybody's.
    let unreaped_children = ["cli/run/demo.rs", "sys/process/wait.rs"];
    let is_call =
        |line: &&str| ["libc::kill", "kill(Pid", "killpg(", "tgkill"].iter().any(|call| line.contains(call));
    let callers: Vec<PathBuf> = all_sources()
        .into_iter()
        .filter(|(_, text)| code(text).iter().any(is_call))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(callers, unreaped_children.map(PathBuf::from));
}
