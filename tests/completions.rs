//! The completions in the shells themselves.
#![expect(clippy::disallowed_methods, reason = "shells are processes")]

#[expect(dead_code, reason = "this test needs only a part of it")]
mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

/// A directory with a `facron` that knows two rules, and the completion script.
fn stage(shell: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let facron = dir.path().join("facron");
    fs::write(&facron, "#!/bin/sh\n[ \"$*\" = __rules ] && printf 'deploy\\nbackup\\n'\n").expect("written");
    fs::set_permissions(&facron, fs::Permissions::from_mode(0o755)).expect("ours");
    let script =
        Command::new(env!("CARGO_BIN_EXE_facron")).args(["completions", shell]).output().expect("it starts");
    assert!(script.status.success());
    fs::write(dir.path().join("script"), script.stdout).expect("written");
    dir
}

fn is_there(test: &str, shell: &str) -> bool {
    let status = Command::new(shell).args(["-c", "true"]).stderr(Stdio::null()).status();
    common::require(test, shell, status.is_ok_and(|status| status.success()))
}

fn run(dir: &tempfile::TempDir, shell: &str, text: &str) -> String {
    let path = format!("{}:/usr/bin:/bin", dir.path().display());
    let output = Command::new(shell)
        .args(["-c", text])
        .current_dir(dir.path())
        .env("PATH", path)
        .env("HOME", dir.path())
        .output()
        .expect("the shell starts");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn bash_completes_subcommands_and_rules() {
    if !is_there("bash_completes_subcommands_and_rules", "bash") {
        return;
    }
    let dir = stage("bash");
    let complete = |words: &[&str]| {
        let last = words.last().expect("a word");
        let before = words[words.len() - 2];
        run(
            &dir,
            "bash",
            &format!(
                "source ./script; COMP_WORDS=({}); COMP_CWORD={}; _facron_with_rules facron '{last}' '{before}'; \
                 echo \"${{COMPREPLY[@]}}\"; complete -p facron >/dev/null",
                words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
                words.len() - 1,
            ),
        )
    };
    assert_eq!(complete(&["facron", "stat"]), "status");
    assert_eq!(complete(&["facron", "status", ""]), "deploy backup");
    assert_eq!(complete(&["facron", "trigger", "ba"]), "backup");
    assert_eq!(complete(&["facron", "pause", "-c", "x.toml", "d"]), "deploy");
    assert!(!complete(&["facron", "trigger", "deploy", ""]).contains("backup"), "then come paths");
    assert!(!complete(&["facron", "check", ""]).contains("backup"));
    assert!(complete(&["facron", "status", "--f"]).contains("--follow"));
}

#[test]
fn fish_completes_subcommands_and_rules() {
    if !is_there("fish_completes_subcommands_and_rules", "fish") {
        return;
    }
    let dir = stage("fish");
    let complete = |line: &str| run(&dir, "fish", &format!("source ./script; complete -C '{line}'"));
    assert!(complete("facron stat").starts_with("status"));
    assert!(complete("facron status ").contains("deploy"));
    assert!(!complete("facron check ").contains("deploy"));
}

#[test]
fn zsh_reads_the_script_and_completes_rules() {
    if !is_there("zsh_reads_the_script_and_completes_rules", "zsh") {
        return;
    }
    let dir = stage("zsh");
    // compadd works only within a completion; what it is given can be seen all the same.
    let text =
        "autoload -U compinit; compinit -u -D; source ./script; compadd() { print -- $@ }; _facron_rules";
    assert_eq!(run(&dir, "zsh", text), "-- deploy backup");
}
