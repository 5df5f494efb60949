//! Every kind of finding: a file that has it, what is said about it, and the file after it was mended, which is
//! clean. Facts about the system are made up by comments in the files. `FACRON_BLESS=1` writes what is said.

#[path = "common/made_up.rs"]
mod made_up;

use std::fs;
use std::path::{Path, PathBuf};

use facron::codes::CODES;
use facron::config;
use facron::diagnostic::{Diagnostic, Severity, SourceText};
use facron::lint::{LINTS, Texts, lint};
use facron::report::{Report, text, with_safe_fixes};
use made_up::MadeUp;

/// Findings that come from reading files, which no text can show; tests/check.rs has them.
const ABOUT_FILES: &[&str] = &["F021", "F022"];

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

#[test]
fn a_users_own_daemon_runs_commands_as_that_user_only() {
    let rule = "[[rule]]\nname = 'r'\npath = '/srv/in'\ncommand = '/usr/bin/true'\ntimeout = '1s'\nno-new-privs = true\n";
    let said = |lines: &str| {
        let (_, findings) = findings("r.toml", &format!("# own id 1000\n{rule}{lines}"));
        findings
            .into_iter()
            .map(|finding| format!("{} {}", finding.code, finding.message))
            .collect::<Vec<_>>()
    };
    // The made-up system gives every user but root the number 1000.
    assert_eq!(said("user = 'alice'"), [""; 0]);
    assert_eq!(said("user = 1000\ngroup = 1000"), [""; 0]);
    assert_eq!(
        said("user = 'root'"),
        ["F018 only root can run a command as another user than its own: `root`"]
    );
    assert_eq!(said("user = 0"), ["F018 only root can run a command as another user than its own: 0"]);
    assert_eq!(
        said("user = 1000\ngroup = 4"),
        ["F018 only root can run a command as another group than its own: 4"]
    );
}

/// What is said about a rule with more lines, in short.
fn codes_of(lines: &str) -> Vec<&'static str> {
    let rule = "[[rule]]\nname = 'r'\npath = '/srv/in'\nscope = 'tree'\non = 'open'\n";
    let (_, findings) = findings("r.toml", &format!("{rule}{lines}"));
    findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn what_a_rule_allows_is_left_out_of_that_rule() {
    let command = "command = ['/usr/bin/rm', '{name}']\n";
    assert_eq!(codes_of(command), ["F035", "F040", "F031"]);
    assert_eq!(codes_of(&format!("{command}allow = ['F031', 'F040']")), ["F035"]);
    assert_eq!(codes_of(&format!("{command}allow = 'F031'")), ["F035", "F040"]);
    // Only of that rule.
    let other =
        "\n[[rule]]\nname = 's'\npath = '/srv/s'\ntimeout = '1s'\ncommand = ['/usr/bin/rm', '{stem}']";
    assert_eq!(codes_of(&format!("{command}allow = ['F031', 'F035', 'F040']{other}")), ["F031"]);
    // [defaults] allows it everywhere.
    let (_, none) = findings("r.toml", &format!("[defaults]\nallow = 'F031'\n{other}"));
    assert_eq!(none, []);
}

#[test]
fn what_is_allowed_for_nothing_is_said_where_the_texts_alone_decide() {
    let clean = "command = '/usr/bin/true'\ntimeout = '1s'\n";
    assert_eq!(codes_of(&format!("{clean}allow = ['F040', 'F031', 'F037', 'F060']")), ["F073"]);
    assert_eq!(codes_of(&format!("{clean}allow = ['F040', 'F031', 'F073']")), [""; 0]);
    assert_eq!(codes_of(&format!("{clean}allow = ['F040', 'F046']\nenabled = false")), [""; 0]);
}

#[test]
fn a_finding_about_several_rules_is_allowed_where_it_stands() {
    let rule = |name: &str, path: &str, to: &str, more: &str| {
        format!(
            "[[rule]]\nname = '{name}'\npath = '{path}'\nignore-self = false\ntimeout = '1s'\n\
             command = ['/usr/bin/cp', '{{path}}', '{to}']\n{more}"
        )
    };
    let of = |first: &str, second: &str| {
        let text = rule("a", "/srv/a", "/srv/b", first) + &rule("b", "/srv/b", "/srv/a", second);
        let (_, findings) = findings("r.toml", &text);
        findings.iter().map(|finding| finding.code).collect::<Vec<_>>()
    };
    assert_eq!(of("", ""), ["F046"]);
    assert_eq!(of("", "allow = 'F046'\n"), [""; 0]);
    // The circle is said at the second of the two.
    assert_eq!(of("allow = 'F046'\n", ""), ["F073", "F046"]);
}

#[test]
fn errors_and_what_is_no_finding_cannot_be_allowed() {
    let said = |allow: &str| {
        let text =
            format!("[[rule]]\nname = 'r'\npath = '/srv'\ntimeout = '1s'\nshell = 'x'\nallow = {allow}\n");
        let (_, findings) = findings("r.toml", &text);
        let one = findings.first().expect("a finding");
        assert_eq!((findings.len(), one.code, one.severity), (1, "F005", Severity::Error), "{findings:?}");
        let fix = one.fix.as_ref().map(|fix| (fix.replacement.clone(), fix.is_safe));
        (one.message.clone(), one.help.clone().expect("a way out"), fix)
    };
    let fixed = |to: &str, is_safe| Some((format!("\"{to}\""), is_safe));
    assert_eq!(
        said("['F014']"),
        (
            "`F014` is an error, which is mended and never allowed".to_owned(),
            "`facron check --explain F014` says what to do".to_owned(),
            None
        )
    );
    assert!(said("'F069'").0.contains("about a rule file"));
    assert_eq!(said("['f031']").2, fixed("F031", true));
    assert_eq!(said("['F31']").2, fixed("F031", false));
    assert!(said("'unknown-key'").1.contains("`facron check` shows the code"));
}

#[test]
fn a_user_that_does_not_exist_is_said_beside_the_other_mistakes_of_its_rule() {
    let text = "# unknown user nosuch\n[[rule]]\nname = 'r'\npath = 'srv'\nuser = 'nosuch'\ntimeut = '1s'\n\
                command = ['/bin/x', '{nosuch}']\n[[rule]]\ngroup = 'nosuch'\n";
    let (_, findings) = findings("r.toml", text);
    let codes: Vec<&str> = findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["F010", "F018", "F002", "F013", "F004", "F004", "F004", "F017", "F018"]);
}

#[test]
fn names_in_texts_are_found_whatever_runs_the_text() {
    let said = |command: &str| {
        let text = format!("[[rule]]\nname = 'r'\npath = '/srv/in'\ntimeout = '1s'\ncommand = {command}\n");
        let (_, findings) = findings("r.toml", &text);
        findings.iter().map(|finding| finding.code).collect::<Vec<_>>().join(" ")
    };
    for (command, codes) in [
        ("['/usr/bin/ksh93', '-c', 'x {path}']", "F014"),
        ("['/usr/bin/sg', 'staff', '-c', 'x {path}']", "F014"),
        ("['/usr/bin/su', 'alice', '--command=x {path}']", "F014"),
        ("['/usr/bin/watch', 'ls', '{path}']", "F014"),
        ("['/usr/bin/ssh', 'host', 'x {name}']", "F014"),
        ("['/usr/bin/parallel', 'x {name}']", "F014"),
        ("['/usr/bin/python3.11', '-c', 'x {path}']", "F048"),
        ("['/usr/bin/python3', '-Ic', 'x {path}']", "F048"),
        ("['/usr/bin/perl', '-lne', 'x {path}']", "F048"),
        ("['/usr/bin/mysql', '-e', 'x {path}']", "F048"),
        ("['/usr/bin/python3', '/srv/x.py', '{path}']", ""),
    ] {
        assert_eq!(said(command), codes, "{command}");
    }
}

/// What is said about a rule of these lines, in short; `facts` are made up.
fn messages(facts: &str, lines: &str) -> Vec<String> {
    let text = format!("{facts}[[rule]]\nname = 'r'\npath = '/srv/in'\ntimeout = '1s'\n{lines}");
    let (_, findings) = findings("r.toml", &text);
    let said = |finding: Diagnostic| {
        let help = finding.help.map_or_else(String::new, |help| format!(" ({help})"));
        format!("{} {:?}: {}{help}", finding.code, finding.severity, finding.message)
    };
    findings.into_iter().map(said).collect()
}

#[test]
fn a_number_without_a_user_needs_a_group() {
    let command = "command = '/usr/bin/true'\nuser = 4711\n";
    assert_eq!(
        messages("# unknown user 4711\n", command),
        ["F018 Error: there is no user 4711 (a user without a name needs a `group` too: `group = 4711`)"]
    );
    assert_eq!(messages("# unknown user 4711\n", &format!("{command}group = 4711\n")), [""; 0]);
    assert_eq!(messages("", command), [""; 0]);
}

#[test]
fn a_file_on_standard_input_is_asked_for_where_there_is_one() {
    let command = "command = '/usr/bin/true'\nstdin = 'file'\n";
    assert_eq!(
        messages("", command),
        ["F036 Note: after `delete,moved-from` there is no file that `stdin = \"file\"` could give (write \
          `on = [\"arrived\"]`)"]
    );
    assert_eq!(
        messages("", &format!("{command}on = ['delete', 'moved-from']")),
        [
            "F036 Warning: after `delete,moved-from` there is no file that `stdin = \"file\"` could give (ask for events \
          that leave a file, such as `on = \"arrived\"`)"
        ]
    );
    assert_eq!(messages("", &format!("{command}on = 'close-write'")), [""; 0]);
}

#[test]
fn to_a_user_the_kernel_names_no_process() {
    let command = "command = '/usr/bin/true'\nby-user = 'alice'\n";
    assert_eq!(
        messages("# own id 1000\n", command),
        ["F037 Note: to a user's own daemon the kernel names no process, so `by-user` never matches"]
    );
    assert_eq!(messages("", command), [""; 0]);
}

#[test]
fn a_leading_edge_has_no_use_for_a_longest_wait() {
    let lines = "command = '/usr/bin/true'\nedge = 'leading'\ndebounce = '10s'\nmax-wait = '5s'\n";
    assert_eq!(
        messages("", lines),
        ["F036 Warning: `max-wait` has no effect: `edge = \"leading\"` waits for nothing (take it out)"]
    );
}

#[test]
fn flags_and_unknown_events_lead_somewhere() {
    for (on, help) in [
        ("FAN_ONDIR", "`dirs = true`"),
        ("FAN_EVENT_ON_CHILD", "`scope` says how deep"),
        ("zzz", "facron.toml(5)"),
    ] {
        let said = messages("", &format!("command = '/usr/bin/true'\non = '{on}'"));
        assert!(said[0].starts_with("F006") && said[0].contains(help), "{said:?}");
    }
}

#[test]
fn events_of_a_directory_itself_mean_that_directory() {
    let said = messages("", "command = '/usr/bin/true'\non = 'delete-self'\n");
    assert!(said[0].contains("these events mean a directory here"), "{said:?}");
}

#[test]
fn what_stands_for_temporary_names_is_said_by_its_name() {
    let said = messages("", "command = '/usr/bin/true'\ninclude = '4913'\nexclude = '@temporary'\n");
    assert!(said[0].contains("`exclude` has `@temporary`"), "{said:?}");
    let said = messages("", "command = '/usr/bin/true'\ninclude = ['4913', 'x']\nexclude = '@temporary'\n");
    assert!(said[0].contains("`exclude` has `@temporary`, which wins"), "{said:?}");
}

#[test]
fn only_a_file_has_names_and_of_several_files_none_is_empty() {
    let sources: Vec<SourceText> =
        ["a.toml", "b.toml"].map(|name| SourceText { name: name.into(), text: "# x\n".into() }).into();
    let paths = [PathBuf::from("a.toml"), PathBuf::from("/srv")];
    let parsed = config::parse(&sources);
    let facts = MadeUp::new("# links 2\n");
    let texts = Texts { parsed: &parsed, findings: &[], sources: &sources, paths: &paths, facts: &facts };
    let found: Vec<_> = lint(&texts).into_iter().map(|finding| (finding.code, finding.source)).collect();
    assert_eq!(found, [("F069", None), ("F070", Some(0))]);
}
