//! Every test that SECURITY.md names is there: a table of promises with a stale name would promise nothing.

use std::fs;
use std::path::Path;

/// Tests that the table has at least: fewer, and it is read wrongly.
const TESTS_MIN: usize = 100;

fn text(path: &str) -> Option<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).ok()
}

/// The names in a cell, each with the file that stands behind it in parentheses: `` `a`, `b` (FILE), `c` (FILE)``.
fn named(cell: &str) -> Vec<(&str, &str)> {
    let (mut found, mut rest) = (Vec::new(), cell);
    while let Some((names, behind)) = rest.split_once(" (") {
        let (file, behind) = behind.split_once(')').unwrap_or((behind, ""));
        found.extend(names.split('`').skip(1).step_by(2).map(|name| (name, file)));
        rest = behind;
    }
    found.extend(rest.split('`').skip(1).step_by(2).map(|name| (name, "no file")));
    found
}

/// Whether a file has a test of this name; one that is no source has to have the word.
fn has(file: &str, name: &str) -> bool {
    let Some(text) = text(file) else { return false };
    if !file.ends_with(".rs") {
        return text.contains(&format!("\"{name}\""));
    }
    let above = text.split_once(&format!("fn {name}(")).map(|(above, _)| above);
    above.and_then(|above| above.rsplit("\n\n").next()).is_some_and(|above| above.contains("#[test]"))
}

#[test]
fn every_test_that_is_named_is_there() {
    let page = text("SECURITY.md").expect("SECURITY.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows: Vec<Vec<&str>> = rows.map(|row| row.split(" | ").collect()).collect();
    // The last column of the tables that have one for tests; the rows of the other have who, may and must not.
    let of_tests = rows.iter().skip_while(|row| row[0] != "what happened elsewhere");
    let cells = of_tests.filter(|row| row[2] != "test" && row[2] != "---");
    let mut count = 0;
    for cell in cells.map(|row| row[2]) {
        let tests = named(cell);
        assert!(!tests.is_empty() || cell.starts_with("not here: "), "no test: {cell}");
        for (name, file) in tests {
            assert!(has(file, name), "there is no `{name}` in {file}");
            count += 1;
        }
    }
    assert!(count >= TESTS_MIN, "{count} tests");
    assert!(rows.iter().all(|row| row.len() == 3), "a row has three cells: {rows:?}");
}
