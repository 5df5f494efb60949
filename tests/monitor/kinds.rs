//! Each kind of event, from the kernel to the rule that asks for it; who caused it; and errors of file systems.

use std::fs;
use std::path::Path;

use facron::event::EventMask;

use crate::common::{require, require_root};
use crate::ground::{Ground, can, is_user, shell};
use crate::kit::{Watched, rule};

/// What is done to `$1`, a file in the watched directory, and what a rule that asks for the event alone is told:
/// the event's name and the path below the directory.
const KINDS: &[(&str, &str, &str)] = &[
    ("access", "cat \"$1\"", "f"),
    ("modify", "echo x >> \"$1\"", "f"),
    ("attrib", "chmod 600 \"$1\"", "f"),
    ("close-write", "echo x >> \"$1\"", "f"),
    ("close-nowrite", "cat \"$1\"", "f"),
    ("open", "cat \"$1\"", "f"),
    ("open-exec", "cp /bin/true \"$1\"; chmod +x \"$1\"; \"$1\"", "f"),
    ("create", "echo x > \"$1.new\"", "f.new"),
    ("arrived", "echo x >> \"$1\"", "f"),
    ("delete", "rm \"$1\"; echo x > \"$1\"", "f"),
    ("moved-from", "mv \"$1\" \"$1.away\"; echo x > \"$1\"", "f"),
    ("moved-to", "echo x > \"$1.new\"; mv \"$1.new\" \"$1\"", "f"),
    ("rename", "echo x > \"$1.new\"; mv \"$1.new\" \"$1\"", "f"),
];

fn each_kind(scope: &str) {
    for (kind, script, below) in KINDS {
        let ground = Ground::new();
        let mask = EventMask::from_name(kind).expect("a name");
        let directory = if scope == "tree" { ground.at("deep/er") } else { ground.path() };
        fs::create_dir_all(&directory).expect("directories");
        let path = directory.join("f");
        fs::write(&path, "x").expect("a file");
        let watch = if scope == "self" { path.clone() } else { ground.path() };
        if scope == "self" && *below != "f" {
            continue;
        }
        let keys = format!("on = '{kind}'\nscope = '{scope}'");
        let mut watched = Watched::new(&rule(&watch, &keys));
        shell(&format!("exec >/dev/null; {script}"), &[&path]);
        watched.expect(mask, &directory.join(below));
        watched.quiet();
        for event in watched.events() {
            assert_eq!(event.mask, mask, "{kind}: only what was asked for: {:#?}", watched.summary());
            assert!(!event.is_dir);
        }
    }
}

#[test]
fn each_kind_of_event_reaches_a_rule_on_the_file() {
    each_kind("self");
}

#[test]
fn each_kind_of_event_reaches_a_rule_on_the_directory() {
    each_kind("children");
}

#[test]
fn each_kind_of_event_reaches_a_rule_on_the_tree() {
    each_kind("tree");
}

#[test]
fn each_kind_of_event_reaches_a_rule_of_a_user() {
    if is_user("kinds::each_kind_of_event_reaches_a_rule_of_a_user") {
        each_kind("children");
    }
}

#[test]
fn what_happens_to_the_path_itself_is_told_of_files_and_directories() {
    for (kind, script) in [
        ("delete-self", "rm -r \"$1\""),
        ("move-self", "mv \"$1\" \"$1.away\""),
        ("attrib", "chmod 700 \"$1\""),
    ] {
        for is_dir in [false, true] {
            let ground = Ground::new();
            let path = ground.at("x");
            let make = if is_dir { fs::create_dir(&path) } else { fs::write(&path, "x") };
            make.expect("it can be made");
            let keys = format!("on = '{kind}'\nscope = 'self'\ndirs = {is_dir}");
            let mut watched = Watched::new(&rule(&path, &keys));
            shell(script, &[&path]);
            watched.expect(EventMask::from_name(kind).expect("a name"), &path);
            assert!(watched.events().all(|event| event.is_dir == is_dir), "{:#?}", watched.summary());
        }
    }
}

#[test]
fn a_change_of_the_number_of_links_is_an_attribute_of_the_file() {
    let ground = Ground::new();
    let path = ground.at("f");
    fs::write(&path, "x").expect("a file");
    let mut watched = Watched::new(&rule(&path, "on = 'attrib'"));
    fs::create_dir(ground.at("elsewhere")).expect("a directory");
    fs::hard_link(&path, ground.at("elsewhere/g")).expect("a link");
    watched.expect(EventMask::ATTRIB, &path);
}

#[test]
fn a_rename_has_both_paths_as_far_as_the_rule_reaches() {
    let ground = Ground::new();
    for directory in ["in/a", "in/b", "out"] {
        fs::create_dir_all(ground.at(directory)).expect("directories");
    }
    fs::write(ground.at("in/a/f"), "x").expect("a file");
    let root = ground.at("in");
    let mut watched = Watched::new(&rule(&root, "scope = 'tree'\non = 'rename'"));
    let mut renamed = |from: &str, to: &str, path: &str, old: Option<&str>| {
        watched.forget();
        fs::rename(ground.at(from), ground.at(to)).expect("renamed");
        watched.expect(EventMask::RENAME, &ground.at(path));
        let event = watched.events().next().expect("an event");
        assert_eq!(event.old_path, old.map(|old| ground.at(old)), "{from} -> {to}");
        watched.quiet();
        assert_eq!(watched.events().count(), 1, "{:#?}", watched.summary());
    };
    renamed("in/a/f", "in/b/g", "in/b/g", Some("in/a/f"));
    renamed("in/b/g", "out/g", "in/b/g", Some("in/b/g"));
    renamed("out/g", "in/g", "in/g", None);
}

#[test]
fn directories_count_only_where_they_are_asked_for() {
    for dirs in [false, true] {
        let ground = Ground::new();
        let keys = format!("on = ['create', 'delete', 'open', 'attrib', 'moved-to']\ndirs = {dirs}");
        let mut watched = Watched::new(&rule(&ground.path(), &keys));
        let directory = ground.at("d");
        fs::create_dir(&directory).expect("a directory");
        if dirs {
            watched.expect(EventMask::CREATE, &directory);
        }
        watched.quiet();
        // Known by its handle: what happens to it is reported as its own.
        shell(
            "ls \"$1\" > /dev/null; chmod 700 \"$1\"; ls \"$2\" > /dev/null",
            &[&directory, &ground.path()],
        );
        if dirs {
            watched.expect(EventMask::OPEN, &directory);
            watched.expect(EventMask::ATTRIB, &directory);
            watched.expect(EventMask::OPEN, &ground.path());
        }
        fs::remove_dir(&directory).expect("removed");
        if dirs {
            watched.expect(EventMask::DELETE, &directory);
        }
        watched.quiet();
        assert_eq!(watched.events().count() > 0, dirs, "{:#?}", watched.summary());
    }
}

#[test]
fn overlapping_paths_of_one_rule_tell_it_once() {
    let ground = Ground::new();
    fs::create_dir_all(ground.at("a/b")).expect("directories");
    let both = format!("'{}', '{}'", ground.at("a").display(), ground.at("a/b").display());
    let rules = rule(&ground.at("a"), "scope = 'tree'\non = 'arrived'");
    let rules = rules.replace(&format!("'{}'", ground.at("a").display()), &format!("[{both}]"));
    let mut watched = Watched::new(&rules);
    fs::write(ground.at("a/b/f"), "x").expect("a file");
    watched.expect(EventMask::ARRIVED, &ground.at("a/b/f"));
    watched.quiet();
    assert_eq!(watched.events().count(), 1, "{:#?}", watched.summary());
}

#[test]
fn the_cause_is_known_to_root_and_can_be_asked_for() {
    if !require_root("the_cause_is_known_to_root_and_can_be_asked_for") {
        return;
    }
    let ground = Ground::new();
    let shell_path = fs::canonicalize("/bin/sh").expect("a shell");
    let shell_path = shell_path.display();
    let by = |name: &str, keys: &str| rule(&ground.path(), keys).replace("'r'", &format!("'{name}'"));
    let rules = [
        by("by-shell", &format!("by-exe = ['{shell_path}']")),
        by("not-by-shell", &format!("not-by-exe = ['{shell_path}']")),
        by("by-root", "by-user = ['root']"),
        by("not-by-root", "not-by-user = [0]"),
        by("by-nobody", "by-user = ['nobody']"),
    ];
    let mut watched = Watched::new(&rules.concat());
    // The shell lives until it has been looked at.
    shell("echo x > \"$1\"; sleep 1", &[&ground.at("f")]);
    watched.quiet();
    let told = [0, 1, 2, 3, 4].map(|id| watched.count_of(id) > 0);
    // It is gone by now, so what did it is not known: that matches `not-` and never `by-`.
    assert_eq!(told, [false, true, false, true, false], "{:#?}", watched.summary());
    watched.forget();
    let path = ground.at("g");
    std::thread::scope(|scope| {
        scope.spawn(|| shell("echo x > \"$1\"; sleep 2", &[&path]));
        watched.until("told", |watched| watched.count_of(0) > 0);
    });
    watched.quiet();
    let told = [0, 1, 2, 3, 4].map(|id| watched.count_of(id) > 0);
    assert_eq!(told, [true, false, true, false, false], "{:#?}", watched.summary());
    let event = watched.events().next().expect("an event");
    assert!(event.cause.pid > 0 && event.cause.exe.is_some(), "{event:?}");
}

#[test]
fn an_error_of_the_file_system_is_told() {
    let name = "an_error_of_the_file_system_is_told";
    if !require_root(name) || !require(name, "mkfs.ext4", can("mkfs.ext4")) {
        return;
    }
    let mut ground = Ground::new();
    let point = ground.at("point");
    fs::create_dir(&point).expect("a directory");
    ground.mounted(&point);
    let script =
        "truncate -s 16M \"$1/image\"; mkfs.ext4 -qF \"$1/image\"; mount -o loop \"$1/image\" \"$1/point\"";
    shell(script, &[&ground.path()]);
    let mut watched = Watched::new(&rule(&point, "on = 'fs-error'"));
    shell(
        "echo test > \"/sys/fs/ext4/$(basename \"$(findmnt -no SOURCE \"$1\")\")/trigger_fs_error\"",
        &[&point],
    );
    watched.expect(EventMask::FS_ERROR, &point);
}

#[test]
fn a_user_who_asks_for_errors_of_file_systems_is_told_which_right_is_missing() {
    if is_user("kinds::a_user_who_asks_for_errors_of_file_systems_is_told_which_right_is_missing") {
        let ground = Ground::new();
        let watched = Watched::new(&rule(&ground.path(), "on = ['fs-error', 'arrived']"));
        assert!(watched.standing().contains("CAP_SYS_ADMIN"), "{}", watched.standing());
    }
}

#[test]
fn names_of_all_bytes_are_told_as_they_are() {
    let ground = Ground::new();
    let mut watched = Watched::new(&rule(&ground.path(), ""));
    let hostile = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/names.tsv"));
    let hostile = hostile.expect("hostile names");
    let names: Vec<Vec<u8>> = hostile
        .lines()
        .skip(1)
        .filter_map(|line| line.split('\t').nth(2))
        .filter_map(|hex| {
            let byte = |index: usize| u8::from_str_radix(hex.get(index..index + 2)?, 16).ok();
            (0..hex.len()).step_by(2).map(byte).collect()
        })
        .filter(|name: &Vec<u8>| !name.is_empty() && !name.contains(&b'/') && !name.contains(&0))
        .filter(|name: &Vec<u8>| name.len() <= 255 && name != b"." && name != b"..")
        .collect();
    assert!(names.len() > 80, "{} names", names.len());
    let path = |name: &[u8]| ground.at(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name));
    names.iter().for_each(|name| fs::write(path(name), "x").expect("a file"));
    watched.until("all names", |watched| {
        let told = watched.paths(EventMask::ARRIVED);
        names.iter().all(|name| told.contains(&path(name)))
    });
}
