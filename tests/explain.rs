//! `facron explain`: for every rule, whether it fires and which setting decides.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const RULES: &str = r#"
[[rule]]
name = "conf"
path = "/srv/conf"
scope = "tree"
include = ["*.conf"]
exclude = ["old/", "x.conf"]
command = ["/bin/true"]

[[rule]]
name = "off"
enabled = false
path = "/srv/conf"
command = ["/bin/true"]

[[rule]]
name = "itself"
path = ["/srv/conf/a.conf", "/srv/conf"]
scope = "self"
on = ["modify", ["open", "close-write"]]
by-exe = ["/usr/bin/vim"]
not-by-user = ["root"]
command = ["/bin/true"]

[[rule]]
name = "children"
path = "/srv/conf"
on = "all"
dirs = true
command = ["/bin/true"]
"#;

struct Rules {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

impl Rules {
    fn new(text: &str) -> Rules {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("rules.toml");
        fs::write(&path, text).expect("a file");
        Rules { _directory: directory, path }
    }

    #[expect(clippy::disallowed_methods, reason = "a test starts the program that it is about")]
    fn explain(&self, path: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_facron"));
        command.arg("explain").arg(path).args(arguments).arg("-c").arg(&self.path);
        command.output().expect("facron starts")
    }

    /// What is said about each rule, and how it ends.
    fn check(&self, path: &str, arguments: &[&str], expected: &[&str], status: i32) {
        let output = self.explain(Path::new(path), arguments);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!(text.lines().collect::<Vec<_>>(), expected, "{path} {arguments:?}");
        assert_eq!(output.status.code(), Some(status), "{path} {arguments:?}");
    }
}

#[test]
fn the_first_setting_that_decides_is_named() {
    let rules = Rules::new(RULES);
    rules.check(
        "/srv/conf/a.conf",
        &[],
        &[
            "conf: fires: `on` asks for arrived",
            "off: does not fire: `enabled = false`",
            "itself: does not fire: `scope = \"self\"` means /srv/conf itself, and nothing below it",
            "children: does not fire: `on` asks for access,modify,attrib,close-write,close-nowrite,open,open-exec,create,delete,moved-from,moved-to,rename,delete-self,move-self,fs-error, not for arrived",
        ],
        0,
    );
    rules.check(
        "/srv/conf/old/b/a.conf",
        &["--on", "delete"],
        &[
            "conf: does not fire: `exclude` has `old/`, which matches the directory old above it",
            "off: does not fire: `enabled = false`",
            "itself: does not fire: `scope = \"self\"` means /srv/conf itself, and nothing below it",
            "children: does not fire: `scope = \"children\"` ends at the direct entries of /srv/conf",
        ],
        1,
    );
    rules.check(
        "/srv/conf/sub",
        &["--on", "create", "--dir"],
        &[
            "conf: does not fire: `dirs = false`, and sub is a directory",
            "off: does not fire: `enabled = false`",
            "itself: does not fire: `scope = \"self\"` means /srv/conf itself, and nothing below it",
            "children: fires: `on` asks for create",
        ],
        0,
    );
    rules.check(
        "/srv/other",
        &[],
        &[
            "conf: does not fire: `path`: /srv/other is neither /srv/conf nor below",
            "off: does not fire: `enabled = false`",
            "itself: does not fire: `path`: /srv/other is neither /srv/conf/a.conf or /srv/conf nor below",
            "children: does not fire: `path`: /srv/other is neither /srv/conf nor below",
        ],
        1,
    );
}

#[test]
fn inner_arrays_and_causes_are_said() {
    let rules = Rules::new(RULES);
    let line = |on: &str| {
        let output = rules.explain(Path::new("/srv/conf/a.conf"), &["--on", on]);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.lines().find(|line| line.starts_with("itself")).expect("a line").to_owned()
    };
    assert_eq!(
        line("modify"),
        "itself: fires: `on` asks for modify, if it is caused by /usr/bin/vim and not caused by user root"
    );
    assert_eq!(
        line("close-write"),
        "itself: does not fire: `scope = \"self\"` means /srv/conf itself, and nothing below it"
    );
    assert_eq!(
        line("open,close-write"),
        "itself: fires: `on` asks for close-write,open, if it is caused by /usr/bin/vim and not caused by user root"
    );
}

#[test]
fn names_are_shown_escaped() {
    let rules = Rules::new(RULES);
    let output = rules.explain(Path::new("/srv/conf/a\n\u{1b}[1m.txt"), &[]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(
        text.starts_with(
            "conf: does not fire: `include` has `*.conf`, and none of it matches a\\x0a\\x1b[1m.txt\n"
        ),
        "{text:?}"
    );
}

#[test]
fn a_path_behind_a_link_is_found() {
    let directory = tempfile::tempdir().expect("a directory");
    let real = directory.path().join("real");
    fs::create_dir(&real).expect("a directory");
    let link = directory.path().join("link");
    std::os::unix::fs::symlink("real", &link).expect("a link");
    let text = format!("[[rule]]\nname = 'r'\npath = '{}'\ncommand = '/bin/true'\n", link.display());
    let rules = Rules::new(&text);
    assert_eq!(rules.explain(&real.join("new"), &[]).status.code(), Some(0));
    assert_eq!(rules.explain(&link.join("new"), &[]).status.code(), Some(0));
}

#[test]
fn what_is_asked_wrongly_is_said() {
    let rules = Rules::new(RULES);
    for arguments in [&["--on", "close_write"][..], &["--on", ""]] {
        let output = rules.explain(Path::new("/srv"), arguments);
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(said.starts_with("facron explain: unknown event"), "{said}");
    }
    assert_eq!(rules.explain(Path::new("/srv/../x"), &[]).status.code(), Some(2));
    let broken = Rules::new("[[rule]]\nname = 1\n");
    let output = broken.explain(Path::new("/srv"), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).expect("UTF-8").contains("error[F003]"));
}

#[test]
fn where_the_file_cannot_be_read_nobody_says_that_there_is_no_rule() {
    let said = |rules: &Rules| {
        let output = rules.explain(Path::new("/srv"), &[]);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    let broken = Rules::new("[[rule\n");
    let mut missing = Rules::new("");
    assert_eq!(said(&missing), "facron explain: there is no rule\n");
    missing.path.set_file_name("missing.toml");
    for rules in [&broken, &missing] {
        let said = said(rules);
        assert!(said.starts_with("error[F0") && !said.contains("there is no rule"), "{said}");
    }
}

#[test]
fn what_an_opener_gets_is_told() {
    let rule = |name: &str, keys: &str| {
        format!(
            "[[rule]]\nname = \"{name}\"\npath = \"/srv/in\"\non = \"open-perm\"\ninclude = [\"*.exe\"]\n\
             command = [\"/bin/true\"]\n{keys}\n"
        )
    };
    let decides = rule("decides", "verdict = \"command\"\ntimeout = \"5s\"\nverdict-default = \"deny\"");
    let rules = Rules::new(&(decides + &rule("told", "")));
    rules.check(
        "/srv/in/a.exe",
        &["--on", "open-perm"],
        &[
            "decides: fires: `on` asks for open-perm; the opener waits for the command's exit status, and gets deny after 5s",
            "told: fires: `on` asks for open-perm; the opener is let through at once",
        ],
        0,
    );
    let left_out = "does not fire: `include` has `*.exe`, and none of it matches a.txt";
    rules.check(
        "/srv/in/a.txt",
        &["--on", "open-perm"],
        &[&format!("decides: {left_out}"), &format!("told: {left_out}")],
        1,
    );
}
