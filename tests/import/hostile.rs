//! Tables that were made to be misread, and any bytes at all.

use crate::corpus;
use crate::roundtrip::expanded;
use facron::diagnostic::Severity;
use facron::import::{Dialect, Fate, Owner, explain, summary};
use proptest::prelude::*;

/// Cases whose expectation SPEC overrules, with the reason: what becomes of them here.
const OVERRULED: &[(&str, &str, &str)] = &[
    ("i-plain", "ACCEPT", "a remark on every line that needs no shell would drown the others"),
    ("i-hash-lead-space", "ACCEPT", "an indented `#` is a comment"),
];

#[test]
fn every_hostile_table_meets_its_fate() {
    for case in include_str!("../classic/tables.jsonl").lines() {
        let case: serde_json::Value = serde_json::from_str(case).expect("a case is JSON");
        let text = |key: &str| case[key].as_str().expect("a string");
        let dialect = if text("kind") == "classic" { Dialect::Facron } else { Dialect::Incron };
        let bytes = facron::escape::base64_decode(text("content_base64")).expect("base64");
        let import = corpus::import(&bytes, dialect, Owner::System);
        let is_refused = import.lines.iter().any(|line| line.fate == Fate::Refused);
        let outcome = match (is_refused, import.findings.is_empty()) {
            (true, _) => "REJECT",
            (false, false) => "WARN",
            (false, true) => "ACCEPT",
        };
        let overruled = OVERRULED.iter().find(|(id, ..)| *id == text("id"));
        let expected = overruled.map_or(text("expect"), |(_, expected, _)| expected);
        // A directory without FAN_EVENT_ON_CHILD is worth a word, and so is a missing newline.
        let is_softer = expected == "ACCEPT" && outcome == "WARN" && text("id") == "f-no-newline";
        assert!(
            outcome == expected || is_softer,
            "{}: {outcome}, not {expected}\n{}",
            text("id"),
            import.toml
        );
    }
}

/// Nothing that is shown or written can deceive a terminal or leave its line.
fn check_harmless(bytes: &[u8], dialect: Dialect) {
    let import = corpus::import(bytes, dialect, Owner::System);
    corpus::rules(&import);
    let is_harmless =
        |text: &str| !text.chars().any(|c| (c.is_control() && !matches!(c, '\n' | '\t')) || c == '\u{202e}');
    assert!(is_harmless(&import.toml), "{:?}", import.toml);
    assert!(is_harmless(&explain(&import)));
    assert!(is_harmless(&summary(&import, None)));
    for finding in &import.findings {
        let message = facron::escape::line(&finding.message);
        assert!(message.len() < 4096, "{message}");
        assert!(finding.span.start <= finding.span.end, "{finding:?}");
        let source = &import.sources[0].text;
        assert!(source.get(finding.span.clone()).is_some(), "{finding:?} in {source:?}");
    }
    for line in &import.lines {
        let has_error = import.findings_of(line).iter().any(|finding| finding.severity == Severity::Error);
        assert_eq!(line.fate == Fate::Refused, has_error, "{line:?}");
    }
    // Every line is accounted for.
    assert_eq!(
        import.lines.len(),
        bytes.split_inclusive(|byte| *byte == b'\n').count() - usize::from(bytes == b"\xef\xbb\xbf")
    );
}

/// Words and pieces of both languages.
const PIECES: &[&[u8]] = &[
    b"/srv/f ",
    b"/srv/d ",
    b"FAN_OPEN",
    b"FAN_CLOSE",
    b"FAN_ONDIR",
    b"FAN_EVENT_ON_CHILD",
    b"FAN_OPEN_PERM",
    b"IN_CREATE",
    b"IN_ALL_EVENTS",
    b"recursive=false",
    b"|",
    b",",
    b" ",
    b"\t",
    b"\n",
    b"\r",
    b"\\",
    b"'",
    b"\"",
    b"$",
    b"$$",
    b"$@/$#",
    b"$#",
    b"{path}",
    b"{",
    b"#",
    b";",
    b"`",
    b"(",
    b" /bin/sh -c ",
    b" /bin/echo ",
    b"*",
    b"~",
    b"..",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xae",
    b"\x1b[2J",
];

/// They, in any order.
pub fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = (0..PIECES.len()).prop_map(|index| PIECES[index]);
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        check_harmless(&bytes, Dialect::Facron);
        check_harmless(&bytes, Dialect::Incron);
    }

    #[test]
    fn any_pieces_are_answered(bytes in pieces()) {
        check_harmless(&bytes, Dialect::Facron);
        check_harmless(&bytes, Dialect::Incron);
    }

    /// A shell gets names by its parameters and variables alone: its text is the same for every name.
    #[test]
    fn no_name_gets_into_shell_text(bytes in pieces()) {
        for dialect in [Dialect::Facron, Dialect::Incron] {
            let import = corpus::import(&bytes, dialect, Owner::System);
            for rule in corpus::rules(&import).iter().filter(|rule| rule.contains_key("command")) {
                let command = expanded(&corpus::strings(rule, "command"), "/srv/d/MARK");
                let is_shell = command.iter().any(|word| word.ends_with("sh"));
                let text = command.iter().position(|word| word == "-c").and_then(|option| command.get(option + 1));
                prop_assert!(!is_shell || text.is_none_or(|text| !text.contains("MARK")), "{command:?}");
            }
        }
    }
}

/// Names that would do something if a shell read them.
const NAMES: &[&str] = &[
    "a b",
    "x;touch PWNED",
    "$(touch PWNED)",
    "`touch PWNED`",
    "q'uote",
    "d\"quote",
    "new\nline; touch PWNED",
    "$HOME",
    "back\\slash",
    "-rf",
    "*",
    "~",
    "# x",
    "a|touch PWNED",
    "&",
    "<x",
    "é",
];

#[test]
fn a_shell_is_given_every_name_as_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    for (command, wanted) in [
        ("printf '%s\\n' $@/$#; :", "PATH\n"),
        ("printf '%s\\n' $#; :", "NAME\n"),
        ("printf '%s\\n' $@ \"<$#>\" x$#y; :", "DIR\n<NAME>\nxNAMEy\n"),
        ("f=$@/$#; printf '%s\\n' \"$$f\" \"$@\"", "PATH\nDIR\n"),
        ("printf '%s\\n' `printf %s $#.x`X || :", ""),
        ("for f in $#; do printf '%s\\n' \"$$f\"; done", "NAME\n"),
        ("case $# in *) printf '%s\\n' $#;; esac", "NAME\n"),
        ("printf '%s\\n' $# &> /dev/stdout", "NAME\n"),
    ] {
        let import =
            corpus::import(format!("/srv/d IN_CREATE {command}").as_bytes(), Dialect::Incron, Owner::System);
        let rules = corpus::rules(&import);
        let rule = rules.first().unwrap_or_else(|| panic!("{command}: {:?}", import.findings));
        for name in NAMES {
            let path = format!("/srv/d/{name}");
            let argv = match rule.get("shell") {
                Some(text) => ["/bin/sh", "-c", text.as_str().expect("a string"), "facron", &path]
                    .map(str::to_owned)
                    .into(),
                None => expanded(&corpus::strings(rule, "command"), &path),
            };
            #[expect(clippy::disallowed_methods, reason = "a test starts what it tests")]
            let output = std::process::Command::new(&argv[0])
                .args(&argv[1..])
                .current_dir(directory.path())
                .output()
                .expect("a shell");
            let wanted = wanted.replace("PATH", &path).replace("NAME", name).replace("DIR", "/srv/d");
            let is_split = wanted.is_empty();
            assert!(
                is_split || output.stdout == wanted.as_bytes(),
                "{argv:?}: {}",
                String::from_utf8_lossy(&output.stdout)
            );
            assert!(!directory.path().join("PWNED").exists(), "{argv:?}");
        }
    }
}

#[test]
fn a_large_table_is_answered() {
    let line = "/srv/d FAN_CLOSE|FAN_EVENT_ON_CHILD /bin/echo $$\n";
    let bytes = line.repeat(256 * 1024 / line.len()).into_bytes();
    let import = corpus::import(&bytes, Dialect::Facron, Owner::System);
    assert_eq!(import.lines.len(), bytes.len() / line.len());
    assert_eq!(
        import.findings.last().map(|finding| finding.code),
        Some("I009"),
        "one rule file cannot hold it"
    );
    for dialect in [Dialect::Facron, Dialect::Incron] {
        let one_line = b"/srv/f FAN_OPEN ".repeat(65_535);
        assert_eq!(corpus::codes(&corpus::import(&one_line, dialect, Owner::System)), ["I008"]);
        let words = [&b"/srv/f FAN_OPEN /bin/x"[..], &b" 'a'{$$".repeat(9000)].concat();
        corpus::rules(&corpus::import(&words, dialect, Owner::System));
    }
}
