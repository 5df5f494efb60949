//! `facron check` as a program: what it prints, how it ends, what it mends.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A rule without a flaw.
const CLEAN: &str = "[[rule]]\nname = 'r'\npath = '/'\nscope = 'self'\ndirs = true\non = 'attrib'\nshell = 'true'\ntimeout = '1s'\n";

/// Twelve mistakes, in order, with their columns.
const TWELVE: &str = r#"[daemon]
concurency = 3
[[rule]]
name = "é b"
path = "srv/in"
on = ["close_write", ["change"]]
command = ["/bin/cp", "{pth}", "é{path"]
debounce = 5
[[rule]]
name = "b"
path = ["/x", "/y/../z"]
shell = "rm {path}"
scope = "everything"
nice = 20
"#;
const TWELVE_PLACES: &[(u64, u64, &str)] = &[
    (2, 1, "F002"),
    (4, 8, "F015"),
    (5, 8, "F010"),
    (6, 7, "F006"),
    (6, 23, "F007"),
    (7, 24, "F013"),
    (7, 34, "F013"),
    (8, 12, "F008"),
    (11, 15, "F010"),
    (12, 13, "F014"),
    (13, 9, "F005"),
    (14, 8, "F009"),
];

#[expect(clippy::disallowed_methods, reason = "a test starts the program that it is about")]
fn facron() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_facron"));
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

/// A rule file of its own in a directory of its own.
struct File {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

impl File {
    fn new(text: &str) -> File {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("rules.toml");
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("chmod");
        File { _directory: directory, path }
    }

    fn check(&self, arguments: &[&str]) -> Output {
        check(&self.path, arguments)
    }
}

fn check(path: &Path, arguments: &[&str]) -> Output {
    facron().arg("check").args(arguments).arg("-c").arg(path).output().expect("facron starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn json_lines(output: &Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_clean_file_prints_one_line() {
    let output = File::new(CLEAN).check(&["--strict"]);
    assert_eq!(stdout(&output), "facron check: 1 rule in 1 file: no mistakes\n");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
    for format in ["short", "json", "github"] {
        assert_eq!(stdout(&File::new(CLEAN).check(&["--format", format])), "", "{format}");
    }
}

#[test]
fn rules_with_mistakes_are_counted_too() {
    let output = File::new("[[rule]]\nname = 'r'\n").check(&[]);
    assert!(stdout(&output).contains("facron check: 1 rule in 1 file: "), "{}", stdout(&output));
    let output = File::new(&format!("{CLEAN}[[rule]]\nname = 'b'\n")).check(&[]);
    assert!(stdout(&output).contains("facron check: 2 rules in 1 file: "), "{}", stdout(&output));
}

#[test]
fn a_short_line_says_where_the_other_rule_is() {
    let file = File::new(&format!("{CLEAN}{CLEAN}"));
    let output = file.check(&["--format", "short"]);
    let expected = format!("another rule is called `r`; first here: {}:2:8", file.path.display());
    assert!(stdout(&output).contains(&expected), "{}", stdout(&output));
}

#[test]
fn twelve_mistakes_are_twelve_lines_of_json_in_order() {
    let output = File::new(TWELVE).check(&["--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let lines = json_lines(&output);
    let places: Vec<(u64, u64, String)> = lines
        .iter()
        .map(|line| {
            let number = |key: &str| line[key].as_u64().expect("a number");
            (number("line"), number("column"), line["code"].as_str().expect("a code").to_owned())
        })
        .collect();
    let expected: Vec<_> =
        TWELVE_PLACES.iter().map(|(line, column, code)| (*line, *column, (*code).to_owned())).collect();
    assert_eq!(places, expected);
    for line in &lines {
        let mut keys: Vec<&str> = line.as_object().expect("an object").keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["code", "column", "file", "fix", "help", "line", "message", "severity"]);
    }
}

#[test]
fn every_format_has_every_finding() {
    let file = File::new(TWELVE);
    let name = file.path.to_str().expect("UTF-8");
    let text = stdout(&file.check(&[]));
    for (line, column, code) in TWELVE_PLACES {
        assert!(text.contains(&format!("error[{code}]")), "{code}");
        assert!(text.contains(&format!("{name}:{line}:{column}")), "{line}:{column}\n{text}");
    }
    assert!(text.ends_with("facron check: 2 rules in 1 file: 12 errors\n"), "{text}");
    let short = stdout(&file.check(&["--format", "short"]));
    assert_eq!(short.lines().count(), 12);
    assert!(short.starts_with(&format!("{name}:2:1: error[F002]: unknown key `concurency`; did you mean")));
    let github = stdout(&file.check(&["--format", "github"]));
    assert!(github.starts_with(&format!("::error file={name},line=2,col=1,title=facron F002::unknown key")));
    assert!(github.contains("%0Ahelp: did you mean"));
    let sarif: Value = serde_json::from_str(&stdout(&file.check(&["--format", "sarif"]))).expect("JSON");
    let run = &sarif["runs"][0];
    assert_eq!(sarif["version"], "2.1.0");
    assert_eq!(run["results"].as_array().expect("results").len(), 12);
    for result in run["results"].as_array().expect("results") {
        let index = usize::try_from(result["ruleIndex"].as_u64().expect("an index")).expect("small");
        assert_eq!(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
    }
    let fix = &run["results"][0]["fixes"][0]["artifactChanges"][0]["replacements"][0];
    assert_eq!(fix["insertedContent"]["text"], "concurrency");
    assert_eq!(fix["deletedRegion"]["endColumn"], 11);
}

#[test]
fn warnings_fail_only_when_asked_and_notes_never() {
    let warned = File::new(&format!("{CLEAN}max-wait = '5s'\n"));
    assert_eq!(warned.check(&[]).status.code(), Some(0));
    assert_eq!(warned.check(&["--strict"]).status.code(), Some(1));
    let noted = File::new(&CLEAN.replace("timeout = '1s'\n", ""));
    let output = noted.check(&["--strict"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("note[F035]"));
}

#[test]
fn safe_fixes_are_made_and_the_rest_is_left() {
    let text = format!("{CLEAN}max_wait = '5s'\nedgy = 'leading'\n").replace("name", "name ");
    let file = File::new(&text);
    let output = file.check(&["--fix"]);
    // `max_wait` becomes `max-wait`; `edgy` may be meant otherwise.
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&file.path).expect("the file"), text.replace("max_wait", "max-wait"));
    let mended = File::new(&format!("{CLEAN}max_wait = '5s'\n"));
    let output = mended.check(&["--fix", "--strict"]);
    // … and then it is found to have no effect, and goes.
    assert_eq!(fs::read_to_string(&mended.path).expect("the file"), CLEAN);
    assert_eq!(stdout(&output), "facron check: 1 rule in 1 file: no mistakes\n");
    assert_eq!(fs::metadata(&mended.path).expect("the file").mode() & 0o7777, 0o640);
    let names = fs::read_dir(mended.path.parent().expect("a directory")).expect("a directory").count();
    assert_eq!(names, 1, "nothing is left behind");
}

#[test]
fn what_is_allowed_is_left_out_of_every_format_and_of_every_fix() {
    let text = format!("{CLEAN}max-wait = '5s'\nallow = [\"F036\"]\n");
    let file = File::new(&text);
    for format in ["short", "json", "github"] {
        assert_eq!(stdout(&file.check(&["--strict", "--format", format])), "", "{format}");
    }
    let sarif: Value =
        serde_json::from_str(&stdout(&file.check(&["--strict", "--format", "sarif"]))).expect("JSON");
    assert_eq!(sarif["runs"][0]["results"], Value::Array(Vec::new()));
    let output = file.check(&["--strict", "--fix"]);
    assert_eq!(stdout(&output), "facron check: 1 rule in 1 file: no mistakes\n");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(fs::read_to_string(&file.path).expect("the file"), text);
}

#[test]
fn a_link_stays_a_link_when_its_file_is_mended() {
    let file = File::new(&format!("{CLEAN}on_busy = 'skip'\n"));
    let link = file.path.with_file_name("link.toml");
    std::os::unix::fs::symlink("rules.toml", &link).expect("a link");
    assert_eq!(check(&link, &["--fix"]).status.code(), Some(0));
    assert!(fs::symlink_metadata(&link).expect("the link").is_symlink());
    assert!(fs::read_to_string(&file.path).expect("the file").contains("on-busy"));
}

#[test]
fn nothing_is_touched_unasked() {
    let text = format!("{CLEAN}on_busy = 'skip'\n");
    let file = File::new(&text);
    file.check(&[]);
    assert_eq!(fs::read_to_string(&file.path).expect("the file"), text);
}

#[test]
fn codes_and_keys_are_explained() {
    let explain = |word: &str| facron().args(["check", "--explain", word]).output().expect("facron starts");
    assert!(stdout(&explain("F014")).starts_with("F014 (error): a placeholder inside shell text\n"));
    assert!(stdout(&explain("on-busy")).contains("coalesce"));
    assert_eq!(explain("F999").status.code(), Some(2));
}

#[test]
fn colour_is_for_terminals_and_whoever_asks() {
    let file = File::new(TWELVE);
    let has_colour = |output: Output| output.stdout.contains(&0x1b);
    assert!(!has_colour(file.check(&[])), "a pipe");
    assert!(has_colour(file.check(&["--color", "always"])));
    assert!(!has_colour(file.check(&["--color", "never"])));
    let output = facron().args(["check", "-c"]).arg(&file.path).env("NO_COLOR", "1").output();
    assert!(!has_colour(output.expect("facron starts")));
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let file = File::new(&"x = y\n".repeat(300));
    for format in ["text", "short", "json", "github", "sarif"] {
        let mut child = facron()
            .args(["check", "--format", format, "-c"])
            .arg(&file.path)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("facron starts");
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("UTF-8");
        assert_eq!(child.wait().expect("facron ends").code(), Some(1), "{format}: {said}");
        assert_eq!(said, "", "{format}");
    }
}

#[test]
fn a_full_disk_is_no_success() {
    let file = File::new(CLEAN);
    let path = file.path.to_str().expect("UTF-8");
    for arguments in [
        &["schema"][..],
        &["completions", "bash"],
        &["check", "-c", path],
        &["check", "--format", "json", "-c", "/nonexistent/facron.toml"],
        &["check", "--explain", "F012"],
        &["explain", "/", "-c", path],
    ] {
        let full = fs::File::options().write(true).open("/dev/full").expect("a kernel has it");
        let output = facron().args(arguments).stdout(full).output().expect("facron starts");
        let said = String::from_utf8_lossy(&output.stderr);
        let expected = "facron: cannot write to standard output: no space left on device\n";
        assert!(said.ends_with(expected), "{arguments:?}: {said}");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test carries out what it is told")]
fn a_file_that_others_may_write_is_said_with_what_mends_it() {
    let file = File::new(CLEAN);
    fs::set_permissions(&file.path, fs::Permissions::from_mode(0o666)).expect("chmod");
    let output = file.check(&["--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let lines = json_lines(&output);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["code"], "F022");
    let help = lines[0]["help"].as_str().expect("a way out");
    assert_eq!(help, format!("chmod go-w {}", file.path.display()));
    let mended = Command::new("/bin/sh").args(["-c", help]).status().expect("a shell");
    assert!(mended.success());
    assert_eq!(stdout(&file.check(&["--strict"])), "facron check: 1 rule in 1 file: no mistakes\n");
}

#[test]
fn a_file_that_is_not_there_is_said() {
    let output = check(Path::new("/nonexistent/rules.toml"), &["--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let lines = json_lines(&output);
    assert_eq!((&lines[0]["code"], &lines[0]["file"]), (&"F021".into(), &"/nonexistent/rules.toml".into()));
}

#[test]
fn a_file_with_two_names_is_said() {
    let file = File::new(CLEAN);
    fs::hard_link(&file.path, file.path.with_file_name("other")).expect("a link");
    let output = file.check(&["--format", "short"]);
    assert!(stdout(&output).contains("warning[F070]"), "{}", stdout(&output));
}

#[test]
fn folders_are_read_in_order_and_without_leftovers() {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, key) in [("b.toml", "bb"), ("a.toml", "aa"), (".c.toml", "cc"), ("d.toml~", "dd")] {
        fs::write(directory.path().join(name), format!("{key} = 1\n")).expect("a file");
    }
    let output = check(directory.path(), &["--format", "json"]);
    let files: Vec<String> = json_lines(&output)
        .iter()
        .map(|line| {
            Path::new(line["file"].as_str().expect("a file"))
                .file_name()
                .expect("a name")
                .to_str()
                .expect("UTF-8")
                .to_owned()
        })
        .collect();
    assert_eq!(files, ["a.toml", "b.toml"]);
}

#[test]
fn the_sample_is_clean() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/facron.toml");
    let file = File::new(&fs::read_to_string(sample).expect("the sample"));
    let output = file.check(&["--strict"]);
    assert_eq!(stdout(&output), "facron check: 1 rule in 1 file: no mistakes\n");
}

/// How fast it is, is measured by `cargo bench --bench check`; here it ends, and in the memory that it may take.
#[test]
#[expect(clippy::disallowed_methods, reason = "it is about time")]
fn ten_thousand_rules_are_checked_in_little_memory() {
    let directory = tempfile::tempdir().expect("a directory");
    let rule = |number: usize| {
        format!(
            "[[rule]]\nname = \"rule-{number}\"\npath = [\"{}\"]\non = [\"close-write\", \"moved-to\"]\ncommand = [\"/bin/sh\", \"{{path}}\"]\nexclude = [\"@temporary\"]\ntimeout = \"10m\"\ndebounce = \"{}ms\"\n",
            directory.path().display(),
            number + 1,
        )
    };
    for part in 0..2 {
        let text: String = (part * 5000..(part + 1) * 5000).map(rule).collect();
        fs::write(directory.path().join(format!("{part}.toml")), text).expect("a file");
    }
    let start = Instant::now();
    let mut child = facron()
        .args(["check", "--strict", "--format", "short", "-c"])
        .arg(directory.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("facron starts");
    let status = child.wait().expect("facron ends");
    let took = start.elapsed();
    assert_eq!(status.code(), Some(0));
    let usage =
        nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN).expect("getrusage");
    assert!(took < Duration::from_secs(60), "{took:?}");
    // The largest of all children of this test so far, KiB.
    assert!(usage.max_rss() < 64 << 10, "{} KiB", usage.max_rss());
}

#[test]
fn a_mend_that_cannot_be_written_fails() {
    let file = File::new("");
    // The temporary file beside it would have a longer name than there can be.
    let path = file.path.with_file_name(format!("{}.toml", "x".repeat(250)));
    fs::write(&path, format!("{CLEAN}max-wait = '5s'\n")).expect("written");
    let output = check(&path, &["--fix"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("cannot mend"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn errors_that_keep_a_file_from_being_mended_are_told() {
    let output = File::new(&format!("{CLEAN}max-wait = '5s'\nuser = 5000000000\n")).check(&["--fix"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("errors are left"), "{said}");
}
