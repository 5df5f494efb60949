//! Whatever a rule file holds: reading, linting, mending and showing it never panics, and every place is one.

use facron::config;
use facron::diagnostic::{Diagnostic, SourceText};
use facron::lint::{System, Texts, lint};
use facron::report::{Report, github, json, sarif, short, text, with_safe_fixes};
use proptest::prelude::*;

/// A rule file with a bit of everything.
const BASE: &str = r#"[daemon]
concurrency = 3
log-level = "info"
[defaults]
timeout = "10m"
exclude = ["@temporary", "build/"]
[[rule]]
name = "é-1"
path = ["/srv/in", "/etc//x/"]
scope = "tree"
include = ["*.conf", "[a-z]*", "a/**/b"]
on = ["change", ["modify", "FAN_CLOSE_WRITE"]]
command = ["/bin/sh", "-c", 'cp "$1" {name}', "sh", "{path}", "x$$"]
env = { A = "b", "C.D" = 'é' }
limits = { nofile = 1024, as = "1GiB" }
output = { file = "/var/log/x" }
[[rule]]
name = 'two'
path = """
/srv/out"""
shell = "echo {path} > /srv/out/x"
start-limit = "10/1m"
on-failure = "/usr/bin/notify-send 'a b' {name}"
by-user = [0, "root"]
umask = 0o22
"#;

/// What edits put in.
const PIECES: &[&str] = &[
    "\"",
    "'",
    "\"\"\"",
    "'''",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "{{",
    "=",
    ",",
    ".",
    "\n",
    "\r",
    "\r\n",
    "\t",
    "#",
    "é",
    "\u{202e}",
    "\u{9b}",
    "\u{0}",
    "\u{1b}[1m",
    "\u{feff}",
    "\u{fffd}",
    "\\",
    "\\u0000",
    "$$",
    "{path}",
    "{paths}",
    "\"-c\"",
    "/..",
    "//",
    "name",
    "[[rule]]",
    "[defaults]",
    "[daemon]",
    "path = ",
    "9999999999999999999999",
    "-1",
    "0x",
    "nan",
    "true",
    "1M",
    "1h",
    "@temporary",
    "FAN_",
    "q-overflow",
    "open-perm",
    "verdict = \"command\"\n",
    "batch = true\n",
    "stdin = \"file\"\n",
    "a.b.c.d = 1\n",
];

fn edited() -> impl Strategy<Value = String> {
    let edit = (any::<prop::sample::Index>(), 0..12_usize, prop::sample::select(PIECES));
    prop::collection::vec(edit, 0..12).prop_map(|edits| {
        let mut characters: Vec<char> = BASE.chars().collect();
        for (place, cut, piece) in edits {
            let start = place.index(characters.len() + 1);
            let end = (start + cut).min(characters.len());
            characters.splice(start..end, piece.chars());
        }
        characters.into_iter().collect()
    })
}

fn look(name: &str, file: &str) -> (Vec<SourceText>, Vec<Diagnostic>) {
    let sources = vec![SourceText { name: name.into(), text: file.into() }];
    let mut parsed = config::parse(&sources);
    let mut findings = std::mem::take(&mut parsed.findings);
    let (facts, paths) = (System::new(), ["/nonexistent".into()]);
    let texts =
        Texts { parsed: &parsed, findings: &findings, sources: &sources, paths: &paths, facts: &facts };
    let found = lint(&texts);
    findings.extend(found);
    config::sort(&mut findings);
    (sources, findings)
}

/// What a terminal would obey, or what turns text around.
fn is_obeyed(character: char) -> bool {
    character != '\n' && (character.is_control() || ('\u{202a}'..='\u{202e}').contains(&character))
}

fn judge(file: &str) -> Result<(), TestCaseError> {
    let (sources, findings) = look("r.toml", file);
    for finding in &findings {
        let places =
            finding.related.iter().map(|(_, span, _)| span).chain(finding.fix.iter().map(|fix| &fix.span));
        for span in places.chain([&finding.span]) {
            prop_assert!(file.get(span.clone()).is_some(), "{span:?} in {finding:?}");
        }
    }
    let report = Report::new(&sources, &findings);
    for shown in [short(&report), json(&report), github(&report), sarif(&report)] {
        prop_assert!(!shown.contains(is_obeyed), "{shown:?}");
    }
    let shown = anstream::adapter::strip_str(&text(&report)).to_string();
    prop_assert!(!shown.contains(is_obeyed), "{shown:?}");
    let fixed = with_safe_fixes(file, 0, &findings);
    look("fixed.toml", &fixed.text);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn an_edited_rule_file_is_answered(file in edited()) {
        judge(&file)?;
    }

    #[test]
    fn any_text_is_answered(file in "\\PC{0,200}|[\\[\\]{}=,.\"'#\\\\ \n\ta-c0-9é-]{0,200}") {
        judge(&file)?;
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (source, finding) = config::decode("r.toml", 0, bytes.clone());
        prop_assert_eq!(finding.is_none(), std::str::from_utf8(&bytes).is_ok());
        judge(&source.text)?;
    }
}
