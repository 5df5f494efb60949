//! Rule files that try to break the reader: each is answered in time, in little memory, in a short message without
//! control characters, and as it should be.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A debug build on a busy machine may take longer than the second of a release build.
const PATIENCE: Duration =
    if cfg!(debug_assertions) { Duration::from_secs(20) } else { Duration::from_secs(1) };

/// Key names and spellings of the draft that the corpus was written for, and ours.
const TRANSLATIONS: &[(&str, &str)] = &[
    ("watch = ", "path = "),
    ("events = ", "on = "),
    ("close_write", "close-write"),
    ("open_perm", "open-perm"),
    ("recursive = true", "scope = \"tree\""),
    ("on_failure", "on-failure"),
    ("output_limit", "output-limit"),
];

/// Where the contract differs from the corpus: permission events are offered, and a user's daemon is needed to refuse
/// another user.
const DIFFERENT: &[&str] = &["t-events-perm", "t-user-in-usermode"];

/// The files that the corpus only describes.
fn described(id: &str) -> Vec<u8> {
    match id {
        "t-deep-array" => format!("a={}", "[".repeat(200_000)).into_bytes(),
        "t-deep-inline" => format!("a={}", "{a=".repeat(133_333)).into_bytes(),
        "t-deep-header" => format!("[a{}]\n", ".b".repeat(100_000)).into_bytes(),
        "t-many-rules" => (0..10_000)
            .map(|number| {
                format!("[[rule]]\nname = \"r{number}\"\nwatch = [\"/srv/in\"]\nevents = [\"close_write\"]\ncommand = [\"/bin/sh\", \"{{path}}\"]\n")
            })
            .collect::<String>()
            .into_bytes(),
        "t-too-big" => vec![b'#'; 5 << 20],
        "t-long-string" => format!("[[rule]]\nname = \"{}\"\nwatch = [\"/srv/in\"]\ncommand = [\"/bin/sh\"]\n", "x".repeat(900_000)).into_bytes(),
        "t-binary" => (0..64).flat_map(|_| 0..=255).collect(),
        other => panic!("the corpus has a file that is not described here: {other}"),
    }
}

/// More of the kind, with what becomes of them.
fn further() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    vec![
        (
            "long-number",
            "REJECT",
            format!("[daemon]\nconcurrency = {}\n", "9".repeat(1_000_000)).into_bytes(),
        ),
        ("long-line", "REJECT", format!("[[rule]]\nname = 1 {}\n", "x".repeat(1_000_000)).into_bytes()),
        (
            "many-unknown-keys",
            "REJECT",
            (0..100_000).map(|n| format!("k{n}=1\n")).collect::<String>().into_bytes(),
        ),
        (
            "many-bad-values",
            "REJECT",
            (0..100_000).map(|n| format!("k{n}=x\n")).collect::<String>().into_bytes(),
        ),
        ("many-headers", "REJECT", "[[rule]]\n".repeat(110_000).into_bytes()),
        ("many-foreign-headers", "REJECT", "[[r]]\n".repeat(170_000).into_bytes()),
        ("bad-utf-8", "REJECT", b"[[rule]]\nname = \"\xff\xfe\"\n".to_vec()),
        ("crlf", "ACCEPT", b"[daemon]\r\nconcurrency = 3\r\n".to_vec()),
        (
            "escape-sequences",
            "REJECT",
            b"[[rule]]\nname = \"a\\u001b[31m\\u009b\\u202e\"\n# \x1b[31m\n".to_vec(),
        ),
        ("open-string", "REJECT", format!("a = \"{}", "x".repeat(1_000_000)).into_bytes()),
        (
            "many-globs",
            "REJECT",
            format!("[[rule]]\ninclude = [{}]\n", "\"[\",".repeat(200_000)).into_bytes(),
        ),
        ("many-events", "REJECT", format!("[[rule]]\non = [{}]\n", "\"opne\",".repeat(140_000)).into_bytes()),
        (
            "many-placeholders",
            "REJECT",
            format!("[[rule]]\ncommand = [{}]\n", "\"{pth}\",".repeat(120_000)).into_bytes(),
        ),
        (
            "many-words",
            "REJECT",
            format!("[[rule]]\ncommand = '{}'\n", "{pth} ".repeat(170_000)).into_bytes(),
        ),
        (
            "many-placeholders-in-shell",
            "REJECT",
            format!("[[rule]]\nshell = '{}'\n", "{path} ".repeat(15_000)).into_bytes(),
        ),
        ("many-paths", "REJECT", format!("[[rule]]\npath = [{}]\n", "\"x\",".repeat(250_000)).into_bytes()),
    ]
}

#[expect(clippy::disallowed_methods, reason = "a test starts the program that it is about")]
fn check(path: &Path, format: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_facron"));
    command.args(["check", "--format", format, "-c"]).arg(path).output().expect("facron starts")
}

#[test]
fn hostile_rule_files_are_answered_as_they_should() {
    let corpus = include_str!("hostile/configs.jsonl");
    let mut files: Vec<(String, String, Vec<u8>)> = Vec::new();
    for line in corpus.lines() {
        let case: Value = serde_json::from_str(line).expect("JSON");
        let text = |key: &str| case[key].as_str().map(str::to_owned);
        let (id, expect) = (text("id").expect("an id"), text("expect").expect("an outcome"));
        if case["kind"] != "toml" || DIFFERENT.contains(&id.as_str()) {
            continue;
        }
        let bytes = match text("content_base64") {
            Some(content) => facron::escape::base64_decode(&content).expect("base64"),
            None => described(&id),
        };
        files.push((id, expect, bytes));
    }
    assert!(files.len() > 35, "the corpus is there");
    files.extend(further().into_iter().map(|(id, expect, bytes)| (id.to_owned(), expect.to_owned(), bytes)));
    let directory = tempfile::tempdir().expect("a directory");
    for (id, expect, bytes) in files {
        judge(directory.path(), &id, &expect, &translated(bytes));
    }
}

fn translated(bytes: Vec<u8>) -> Vec<u8> {
    let Ok(mut text) = String::from_utf8(bytes.clone()) else { return bytes };
    for (theirs, ours) in TRANSLATIONS {
        text = text.replace(theirs, ours);
    }
    text.into_bytes()
}

#[expect(clippy::disallowed_methods, reason = "it is about time")]
fn judge(directory: &Path, id: &str, expect: &str, bytes: &[u8]) {
    let path = directory.join("rules.toml");
    fs::write(&path, bytes).expect("a file");
    let start = Instant::now();
    let output = check(&path, "json");
    assert!(start.elapsed() < PATIENCE, "{id} took {:?}", start.elapsed());
    let lines: Vec<&str> = std::str::from_utf8(&output.stdout).expect("UTF-8").lines().collect();
    for line in &lines {
        assert!(line.len() <= 4096, "{id}: {} bytes", line.len());
    }
    let parsed: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let has = |severity: &str| parsed.iter().any(|finding| finding["severity"] == severity);
    match expect {
        "REJECT" => {
            assert_eq!(output.status.code(), Some(1), "{id}: {lines:?}");
            assert!(has("error"), "{id}");
            assert!(
                parsed.iter().all(|finding| finding["line"].is_u64() && finding["column"].is_u64()),
                "{id}"
            );
        }
        "WARN" => assert!(
            output.status.code() == Some(0) && (has("warning") || id == "t-watch-symlink"),
            "{id}: {lines:?}"
        ),
        "ACCEPT" => assert!(output.status.code() == Some(0) && !has("warning"), "{id}: {lines:?}"),
        other => panic!("{id}: {other}"),
    }
    // What a format makes of a finding does not depend on the size of the file.
    let formats: &[&str] = if bytes.len() > 100_000 { &["text"] } else { &["text", "short", "github"] };
    for format in formats {
        let output = check(&path, format);
        let text = std::str::from_utf8(&output.stdout).expect("UTF-8");
        let is_control = |c: char| c != '\n' && (c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c));
        assert!(!text.contains(is_control), "{id} in {format}: {text:?}");
        assert!(output.stderr.is_empty(), "{id}: {}", String::from_utf8_lossy(&output.stderr));
        let longest = text.split("\n\n").map(str::len).max().unwrap_or(0);
        assert!(longest <= 4096 || *format != "text", "{id}: a message of {longest} bytes");
    }
    // The largest of all children so far, KiB.
    let usage =
        nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN).expect("getrusage");
    assert!(usage.max_rss() < 64 << 10, "{id}: {} KiB", usage.max_rss());
}
