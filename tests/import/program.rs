//! The binary: its exit statuses, what it reads and what it writes.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const GOOD: &str = "/srv/in FAN_MODIFY|FAN_EVENT_ON_CHILD /usr/local/bin/script fromFacron $$\n";
const CHANGED: &str = "/srv/in FAN_CLOSE|FAN_EVENT_ON_CHILD /bin/true\n";
const BAD: &str = "/srv/in FAN_NOTHING /bin/true\n";

#[expect(clippy::disallowed_methods, reason = "a test starts what it tests")]
fn import(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_facron"))
        .arg("import")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // It may end before it reads.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    child.wait_with_output().expect("the binary ends")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

fn utf8(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn the_exit_status_says_whether_every_line_was_translated_as_it_was() {
    let commented = format!("# a\n\n{GOOD}");
    for (input, status) in
        [(GOOD, 0), (&commented, 0), ("", 0), (CHANGED, 1), (BAD, 1), (&format!("{GOOD}{BAD}"), 1)]
    {
        let output = import(&["-"], input);
        assert_eq!(output.status.code(), Some(status), "{input}: {}", text(&output.stderr));
    }
}

#[test]
fn bad_usage_is_2_and_says_what_is_wrong() {
    for (arguments, message) in [
        (&["/nonexistent/table"][..], "cannot read /nonexistent/table: no such file or directory"),
        (&["--user", "root", "-"], "--user is for the tables of incron"),
        (&["--from", "incron", "--user", "no such user", "-"], "there is no user no such user"),
        (&["--from", "cron", "-"], "invalid value 'cron'"),
        (&["--debounce", "5", "-"], "needs a unit of time"),
        (&["--timeout", "5M", "-"], "would be a month"),
        (&["--timeout", "0s", "-"], "is at least 1 ms"),
        (&["--timeout", "400days", "-"], "is at most 366 days"),
        (&["--concurrency", "0", "-"], "a number from 1 to 1024, or `unlimited`"),
        (&["--force", "-"], "--output"),
        (&["-o", "/nonexistent/x.toml", "-"], "cannot write /nonexistent/x.toml"),
    ] {
        let output = import(arguments, GOOD);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(message), "{arguments:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn every_finding_names_its_file_and_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let table = directory.path().join("facron.conf");
    fs::write(&table, format!("{GOOD}{BAD}{CHANGED}")).expect("written");
    let output = import(&["--format", "short", utf8(&table)], "");
    let stderr = text(&output.stderr);
    let table = utf8(&table);
    assert!(stderr.contains(&format!("{table}:2:9: error[I021]: unknown event `FAN_NOTHING`\n")), "{stderr}");
    assert!(stderr.contains(&format!("{table}:3:9: warning[I024]: ")), "{stderr}");
    assert!(
        stderr.contains("1 translated, 1 changed (I024 set of events), 1 refused (I021 unknown event)\n"),
        "{stderr}"
    );
}

#[test]
fn a_file_is_written_as_a_whole_and_never_over_another() {
    let directory = tempfile::tempdir().expect("a directory");
    let rules = directory.path().join("facron.toml");
    let output = import(&["-o", utf8(&rules), "-"], GOOD);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0), "{}", text(&output.stderr));
    let written = fs::read_to_string(&rules).expect("it is there");
    assert!(written.contains("name = \"in-script\""), "{written}");

    let output = import(&["-o", utf8(&rules), "-"], CHANGED);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("exists already; --force replaces it"), "{}", text(&output.stderr));
    assert_eq!(fs::read_to_string(&rules).expect("it is there"), written);

    let output = import(&["-o", utf8(&rules), "--force", "-"], CHANGED);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(fs::read_to_string(&rules).expect("it is there").contains("in-true"));
    assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 1, "no temporary file is left");
}

#[test]
fn rules_are_as_private_as_the_table_they_come_from() {
    let directory = tempfile::tempdir().expect("a directory");
    for (mode, expected) in [(0o644, 0o644), (0o600, 0o600), (0o640, 0o640), (0o666, 0o644)] {
        let table = directory.path().join("table");
        let rules = directory.path().join("rules.toml");
        fs::write(&table, GOOD).expect("written");
        fs::set_permissions(&table, fs::Permissions::from_mode(mode)).expect("changed");
        let output = import(&["-o", utf8(&rules), "--force", utf8(&table)], "");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let written = fs::metadata(&rules).expect("it is there").permissions().mode() & 0o777;
        // The test's own umask may take more.
        assert_eq!(written & !expected, 0, "{mode:o} gave {written:o}");
    }
}

#[test]
fn options_hold_for_every_rule() {
    let output = import(&["--debounce", "500ms", "--timeout", "10m", "--concurrency", "2", "-"], GOOD);
    let rules: toml::Table = text(&output.stdout).parse().expect("TOML");
    let defaults = rules["defaults"].as_table().expect("a table");
    assert_eq!(defaults["concurrency"].as_integer(), Some(2));
    assert_eq!(defaults["debounce"].as_str(), Some("500ms"));
    assert_eq!(defaults["timeout"].as_str(), Some("10m"));
    assert!(!defaults.contains_key("on-busy"), "a limit brings facron's own way with it");
}

#[test]
fn explain_tells_what_every_line_said_did_and_does() {
    let output = import(&["--explain", "-"], &format!("# hello\n{CHANGED}{BAD}"));
    let expected = "\
-:1
  said  # hello
  did   nothing
  now   a comment

-:2
  said  /srv/in FAN_CLOSE|FAN_EVENT_ON_CHILD /bin/true
  did   A path that was missing at start was passed over until the next reload. (I012)
        FAN_CLOSE and its like were bits that had to come in one event, which never happens: the command never ran. (I024)
  now   rule in-true: close-write or close-nowrite in /srv/in: /bin/true
        The rule waits for the path and fires once it is there, be it a file or a directory (for a tree, `allow` says so). (I012)
        Any event of the set fires the rule. (I024)

-:3
  said  /srv/in FAN_NOTHING /bin/true
  did   The line was refused, on standard error, without its number. (I021)
  now   refused
        The line never ran anything, and what was meant is not sure: it is left out. (I021)

";
    assert_eq!(text(&output.stdout), expected);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_folder_of_incron_is_its_tables_without_leftovers() {
    let directory = tempfile::tempdir().expect("a directory");
    let folder = directory.path().join("incron.d");
    fs::create_dir(&folder).expect("made");
    for name in ["b", "a", ".hidden", "a~", "a.swp", "a.dpkg-old", "a.rpmsave", "#a#"] {
        fs::write(
            folder.join(name),
            format!("/srv/{} IN_CREATE,recursive=false /bin/x\n", name.trim_matches('.')),
        )
        .expect("written");
    }
    std::os::unix::fs::symlink("a", folder.join("link")).expect("made");
    let output = import(&["--from", "incron", "--format", "short", utf8(&folder)], "");
    let rules: toml::Table = text(&output.stdout).parse().expect("TOML");
    let paths: Vec<&str> =
        rules["rule"].as_array().expect("rules").iter().filter_map(|rule| rule["path"].as_str()).collect();
    assert_eq!(paths, ["/srv/a", "/srv/b"]);
    let stderr = text(&output.stderr);
    assert_eq!(stderr.matches("passed over ").count(), 6, "{stderr}");
    assert_eq!(output.status.code(), Some(0), "{stderr}");
}

#[test]
fn a_table_in_the_spool_directory_is_its_users() {
    let directory = tempfile::tempdir().expect("a directory");
    let spool = directory.path().join("var/spool/incron");
    fs::create_dir_all(&spool).expect("made");
    for name in ["daemon", "no-such-user-here"] {
        fs::write(spool.join(name), "/srv/in IN_CREATE /bin/x\n").expect("written");
    }
    let output = import(&["--from", "incron", utf8(&spool)], "");
    let stderr = text(&output.stderr);
    assert!(stderr.contains("no-such-user-here: there is no user of this name"), "{stderr}");
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let rules: toml::Table = text(&output.stdout).parse().expect("TOML");
    assert_eq!(rules["rule"][0]["user"].as_str(), Some("daemon"));

    let output = import(&["--from", "incron", "--user", "root", utf8(&spool.join("daemon"))], "");
    let rules: toml::Table = text(&output.stdout).parse().expect("TOML");
    assert!(rules["rule"][0].get("user").is_none());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn a_reader_that_went_away_is_no_mistake() {
    let long = GOOD.repeat(2_000);
    let directory = tempfile::tempdir().expect("a directory");
    let table = directory.path().join("table");
    fs::write(&table, long).expect("written");
    #[expect(clippy::disallowed_methods, reason = "a test starts what it tests")]
    let output = Command::new("sh")
        .args([
            "-c",
            "{ \"$0\" import \"$1\" 2>&3; echo $? >&3; } 3>&2 | head -c 1",
            env!("CARGO_BIN_EXE_facron"),
            utf8(&table),
        ])
        .output()
        .expect("a shell");
    let stderr = text(&output.stderr);
    assert!(stderr.ends_with("\n0\n") && !stderr.contains("panicked"), "{}", &stderr[stderr.len() - 300..]);
}

/// Rows that are lines with `DIR` for a directory of the test, and what their rules allow.
const STRICT: &[(&str, &str, &str)] = &[
    ("incron", "DIR/in IN_CLOSE_WRITE /usr/bin/rm -f $#.bak", "F031"),
    ("incron", "DIR/in/*.txt IN_DELETE_SELF /usr/bin/logger $@", ""),
    ("incron", "DIR/in IN_CREATE /usr/bin/logger $# && /usr/bin/true", ""),
    ("incron", "DIR/later IN_CLOSE_WRITE /usr/bin/logger $@/$#", "F071"),
    ("incron", "/ IN_CREATE /usr/bin/logger $@/$#", "F045"),
    ("incron", "/proc/sys IN_MODIFY,recursive=false /usr/bin/logger $@/$#", "F062"),
    ("facron", "'DIR/tab\tbed' FAN_CLOSE_WRITE /usr/bin/rm $#", "F044"),
    ("facron", "DIR/in FAN_OPEN_PERM|FAN_EVENT_ON_CHILD,FAN_CLOSE /usr/bin/logger $$", ""),
    ("facron", "DIR/file FAN_MODIFY|FAN_CLOSE_WRITE,FAN_Q_OVERFLOW /usr/bin/logger $$", ""),
    ("facron", "/ FAN_OPEN|FAN_EVENT_ON_CHILD /usr/bin/logger $$", ""),
];

#[test]
#[expect(clippy::disallowed_methods, reason = "a test starts what it tests")]
fn what_is_imported_passes_check_strict_where_its_paths_exist() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("in")).expect("made");
    for name in ["file", "tab\tbed"] {
        fs::write(at(name), "").expect("written");
    }
    for (dialect, row, allowed) in STRICT {
        let rules = at("rules.toml");
        let line = row.replace("DIR", utf8(directory.path()));
        let output =
            import(&["--from", dialect, "--force", "-o", utf8(&rules), "-"], &format!("# kept\n{line}\n"));
        let written = fs::read_to_string(&rules).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
        assert_eq!(written.matches("allow = ").count() > 0, !allowed.is_empty(), "{written}");
        assert!(written.contains(allowed) && !written.contains("Refused"), "{written}");
        // What was missing when the table was read may become a file.
        fs::write(at("later"), "").expect("written");
        let check = Command::new(env!("CARGO_BIN_EXE_facron"))
            .args(["check", "--strict", "--format", "short", "-c", utf8(&rules)])
            .output()
            .expect("the binary starts");
        assert_eq!(check.status.code(), Some(0), "{line}\n{}\n{written}", text(&check.stdout));
        assert!(!text(&check.stdout).contains("F073"), "{}", text(&check.stdout));
        fs::remove_file(at("later")).expect("removed");
    }
}

#[test]
fn a_directory_is_no_program() {
    for (dialect, line) in [("facron", "/srv/in FAN_OPEN /etc"), ("incron", "/srv/in IN_OPEN /etc")] {
        let output = import(&["--from", dialect, "-"], &format!("{line}\n"));
        let stderr = text(&output.stderr);
        assert!(stderr.contains("0 translated, 0 changed, 1 refused"), "{stderr}");
        assert!(stderr.contains("help: there is no rule to run"), "{stderr}");
        assert!(!stderr.contains("stop the classic daemon"), "{stderr}");
    }
}

#[test]
fn a_dash_is_standard_output() {
    let output = import(&["-o", "-", "-"], GOOD);
    assert!(text(&output.stdout).contains("[[rule]]"), "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(0));
}
