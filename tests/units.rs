//! The units: as systemd reads them, and free of what would break events or commands.
#![expect(clippy::disallowed_methods, reason = "systemd-analyze is a process")]

#[expect(dead_code, reason = "this test needs only a part of it")]
mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const SYSTEM: &str = include_str!("../config/facron.service");
const USER: &str = include_str!("../config/facron-user.service");
const HARDENING: &str = include_str!("../config/hardening.conf");

/// Settings that give the service a mount namespace of its own (systemd.exec(5)).
const NAMESPACES: &[&str] = &[
    "ProtectSystem",
    "ProtectHome",
    "PrivateTmp",
    "PrivateDevices",
    "PrivateMounts",
    "PrivateUsers",
    "ProtectKernelTunables",
    "ProtectKernelModules",
    "ProtectKernelLogs",
    "ProtectControlGroups",
    "ProtectProc",
    "ProcSubset",
    "ReadWritePaths",
    "ReadOnlyPaths",
    "InaccessiblePaths",
    "ExecPaths",
    "NoExecPaths",
    "BindPaths",
    "BindReadOnlyPaths",
    "TemporaryFileSystem",
    "RootDirectory",
    "RootImage",
    "MountImages",
    "DynamicUser",
    "MountFlags",
    "LogNamespace",
];

/// Settings that commands inherit to their harm.
const INHERITED: &[&str] = &[
    "NoNewPrivileges",
    "MemoryDenyWriteExecute",
    "SystemCallFilter",
    "SystemCallArchitectures",
    "RestrictNamespaces",
    "RestrictSUIDSGID",
    "RestrictRealtime",
    "RestrictAddressFamilies",
    "CapabilityBoundingSet",
    "LockPersonality",
    "ProtectClock",
    "ProtectHostname",
    "PrivateNetwork",
    "User",
    "Group",
    "Nice",
    "CPUSchedulingPolicy",
];

fn settings(unit: &str) -> Vec<(&str, &str)> {
    unit.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('=')).collect()
}

fn value<'u>(unit: &'u str, key: &str) -> &'u str {
    settings(unit).iter().find(|(name, _)| *name == key).unwrap_or_else(|| panic!("no {key}=")).1
}

/// Unit files in a directory, with the binary under test in place of the installed one.
fn install(directory: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().expect("below the directory")).expect("made");
        fs::write(path, text.replace("/usr/bin/facron", env!("CARGO_BIN_EXE_facron"))).expect("written");
    }
}

/// What `systemd-analyze verify` has to say; none: it is not here.
fn verify(test: &str, arguments: &[&str], directory: &Path) -> Option<String> {
    let version = Command::new("systemd-analyze").arg("--version").stdout(Stdio::null()).status();
    if !common::require(test, "systemd-analyze", version.is_ok_and(|status| status.success())) {
        return None;
    }
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .args(arguments)
        .env("SYSTEMD_UNIT_PATH", directory)
        .env("SYSTEMD_LOG_LEVEL", "warning")
        .env("XDG_RUNTIME_DIR", directory)
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("facron")).collect();
    Some(ours.join("\n"))
}

#[test]
fn systemd_understands_the_system_unit_and_its_hardening() {
    for files in [
        &[("facron.service", SYSTEM)][..],
        &[("facron.service", SYSTEM), ("facron.service.d/hardening.conf", HARDENING)],
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        install(dir.path(), files);
        let unit = dir.path().join("facron.service");
        let path = unit.to_str().expect("UTF-8");
        if let Some(said) = verify("systemd_understands_the_system_unit", &[path], dir.path()) {
            assert_eq!(said, "");
        }
    }
}

#[test]
fn systemd_would_say_what_is_wrong() {
    let dir = tempfile::tempdir().expect("a directory");
    install(dir.path(), &[("facron.service", &SYSTEM.replace("Delegate=yes", "Delegate=yes\nRubbish=1"))]);
    let unit = dir.path().join("facron.service");
    let path = unit.to_str().expect("UTF-8");
    if let Some(said) = verify("systemd_would_say_what_is_wrong", &[path], dir.path()) {
        assert!(said.contains("Rubbish"), "{said}");
    }
}

#[test]
fn systemd_understands_the_user_unit() {
    let dir = tempfile::tempdir().expect("a directory");
    install(dir.path(), &[("facron.service", USER)]);
    let unit = dir.path().join("facron.service");
    let path = unit.to_str().expect("UTF-8");
    if let Some(said) = verify("systemd_understands_the_user_unit", &["--user", path], dir.path()) {
        assert_eq!(said, "");
    }
}

#[test]
fn nothing_breaks_events_or_commands() {
    for unit in [SYSTEM, USER] {
        for (key, _) in settings(unit) {
            assert!(!NAMESPACES.contains(&key) && !INHERITED.contains(&key), "{key}");
        }
        assert_eq!(value(unit, "Type"), "notify");
        assert_eq!(value(unit, "Delegate"), "yes");
        assert_eq!(value(unit, "KillMode"), "mixed");
        assert_eq!(value(unit, "RestartPreventExitStatus"), "2 3 77 78");
        assert!(value(unit, "WatchdogSec").ends_with('s'));
        assert!(value(unit, "FileDescriptorStoreMax").parse::<u32>().expect("a number") >= 4);
        assert_eq!(value(unit, "RuntimeDirectoryMode"), "0700");
    }
    for (key, _) in settings(HARDENING) {
        assert!(!NAMESPACES.contains(&key), "{key}");
    }
    let never = HARDENING.split("# Never").nth(1).expect("what is never to be set");
    for key in ["ProtectSystem", "PrivateTmp", "DynamicUser"] {
        assert!(never.contains(&format!("{key}=")), "{key}");
    }
}
