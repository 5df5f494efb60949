//! Every rule file that README, manual and samples show passes `check --strict`, where its paths and programs exist.

#[path = "common/made_up.rs"]
mod made_up;

use std::fs;
use std::path::{Path, PathBuf};

use facron::config;
use facron::diagnostic::{Severity, SourceText};
use facron::lint::{Texts, lint};
use facron::report::{Report, short};
use made_up::MadeUp;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The parts of a text between lines.
fn blocks<'t>(text: &'t str, begin: &str, end: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<Vec<&'t str>> = None;
    for line in text.lines() {
        match &mut block {
            None if line.trim() == begin => block = Some(Vec::new()),
            None => {}
            Some(_) if line.trim() == end => blocks.extend(block.take().map(|lines| lines.join("\n"))),
            Some(lines) => lines.push(line),
        }
    }
    blocks
}

fn check(name: &str, text: &str) {
    let sources = vec![SourceText { name: name.into(), text: text.into() }];
    let mut parsed = config::parse(&sources);
    let mut findings = std::mem::take(&mut parsed.findings);
    let (facts, paths) = (MadeUp::new(""), [PathBuf::from(name)]);
    let texts =
        Texts { parsed: &parsed, findings: &findings, sources: &sources, paths: &paths, facts: &facts };
    let found = lint(&texts);
    findings.extend(found);
    findings.retain(|finding| finding.severity >= Severity::Warning);
    assert!(findings.is_empty(), "{text}\n{}", short(&Report::new(&sources, &findings)));
}

#[test]
fn every_rule_file_of_the_readme_is_clean() {
    let examples = blocks(&read("README.md"), "```toml", "```");
    assert!(!examples.is_empty());
    for example in examples {
        check("README.md", &example);
    }
}

#[test]
fn every_rule_file_of_the_manual_is_clean() {
    let mut examples = 0;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("man")).expect("man/") {
        let path = entry.expect("man/").path();
        let page = fs::read_to_string(&path).expect("a page");
        for block in blocks(&page, ".Bd -literal -offset indent", ".Ed") {
            let text = block.replace("\\-", "-").replace("\\&", "").replace("\\e", "\\");
            if text.contains("[[rule]]") {
                check(&path.display().to_string(), &text);
                examples += 1;
            }
        }
    }
    assert!(examples >= 2, "the manual has examples");
}

#[test]
fn every_sample_is_clean() {
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("config")).expect("config/") {
        let path = entry.expect("config/").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            // `facron run --demo` puts its own folder in.
            let text = fs::read_to_string(&path).expect("a sample").replace("@FOLDER@", "/srv/demo");
            check(&path.display().to_string(), &text);
        }
    }
}
