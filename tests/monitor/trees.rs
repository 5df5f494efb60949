//! Directories that come and go below a tree, as root and as a user.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use facron::event::EventMask;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};

use crate::common::require_root;
use crate::ground::{Ground, is_user, shell};
use crate::kit::{Watched, rule};

fn fast_directories(mark: &str) {
    let ground = Ground::new();
    let keys = format!("scope = 'tree'\non = 'arrived'\nmark = '{mark}'");
    let mut watched = Watched::new(&rule(&ground.path(), &keys));
    assert_eq!(watched.standing(), mark);
    shell(
        "i=0; while [ $i -lt 300 ]; do mkdir -p \"$1/$i/a/b\"; echo x > \"$1/$i/a/b/f\"; i=$((i+1)); done",
        &[&ground.path()],
    );
    let expected: BTreeSet<PathBuf> = (0..300).map(|number| ground.at(format!("{number}/a/b/f"))).collect();
    watched.until("300 files", |watched| watched.paths(EventMask::ARRIVED) == expected);
    watched.quiet();
    let total = watched.events().count();
    assert!(total <= 310, "told {total} times, 300 files were made");
}

#[test]
fn no_file_in_a_new_directory_is_missed() {
    fast_directories("directories");
}

#[test]
fn no_file_in_a_new_directory_is_missed_by_a_mark_on_the_file_system() {
    if require_root("no_file_in_a_new_directory_is_missed_by_a_mark_on_the_file_system") {
        fast_directories("filesystem");
    }
}

#[test]
fn no_file_in_a_new_directory_is_missed_for_a_user() {
    if is_user("trees::no_file_in_a_new_directory_is_missed_for_a_user") {
        fast_directories("directories");
    }
}

fn directories_that_move(mark: &str) {
    let ground = Ground::new();
    fs::create_dir_all(ground.at("tree/a/b")).expect("directories");
    fs::create_dir_all(ground.at("out/x/y")).expect("directories");
    fs::write(ground.at("out/x/y/f"), "x").expect("a file");
    let keys = format!("scope = 'tree'\ndirs = true\nmark = '{mark}'");
    let mut watched = Watched::new(&rule(&ground.at("tree"), &keys));
    fs::rename(ground.at("tree/a"), ground.at("tree/z")).expect("renamed");
    fs::write(ground.at("tree/z/b/f"), "x").expect("a file");
    watched.expect(EventMask::ARRIVED, &ground.at("tree/z/b/f"));
    assert!(!watched.paths(EventMask::ARRIVED).contains(&ground.at("tree/a/b/f")));
    watched.expect(EventMask::MOVED_FROM, &ground.at("tree/a"));
    watched.expect(EventMask::ARRIVED, &ground.at("tree/z"));
    fs::rename(ground.at("out/x"), ground.at("tree/x")).expect("moved in");
    watched.expect(EventMask::ARRIVED, &ground.at("tree/x/y/f"));
    fs::write(ground.at("tree/x/y/g"), "x").expect("a file");
    watched.expect(EventMask::ARRIVED, &ground.at("tree/x/y/g"));
    fs::rename(ground.at("tree/x"), ground.at("out/x")).expect("moved out");
    watched.expect(EventMask::MOVED_FROM, &ground.at("tree/x"));
    watched.forget();
    fs::write(ground.at("out/x/y/h"), "x").expect("a file");
    watched.quiet();
    assert_eq!(watched.events().count(), 0, "{:#?}", watched.summary());
    fs::remove_dir_all(ground.at("tree/z")).expect("removed");
    watched.expect(EventMask::DELETE, &ground.at("tree/z"));
    watched.expect(EventMask::DELETE, &ground.at("tree/z/b/f"));
}

#[test]
fn directories_that_move_are_followed() {
    directories_that_move("directories");
}

#[test]
fn directories_that_move_are_followed_by_a_mark_on_the_file_system() {
    if require_root("directories_that_move_are_followed_by_a_mark_on_the_file_system") {
        directories_that_move("filesystem");
    }
}

#[test]
fn directories_that_move_are_followed_for_a_user() {
    if is_user("trees::directories_that_move_are_followed_for_a_user") {
        directories_that_move("directories");
    }
}

/// That a directory means nothing, or something, is remembered by its handle: a rename of it, or of one above it, makes
/// that untrue.
#[test]
fn what_a_directory_means_is_looked_up_again_when_it_or_one_above_it_is_renamed() {
    if !require_root("what_a_directory_means_is_looked_up_again_when_it_or_one_above_it_is_renamed") {
        return;
    }
    let ground = Ground::new();
    fs::create_dir_all(ground.at("tree")).expect("directories");
    fs::create_dir_all(ground.at("out/x/y/z")).expect("directories");
    let keys = "scope = 'tree'\non = 'arrived'\nexclude = ['shut/']\nmark = 'filesystem'";
    let mut watched = Watched::new(&rule(&ground.at("tree"), keys));
    assert_eq!(watched.standing(), "filesystem");
    let mut write = |path: &str, is_told: bool| {
        watched.forget();
        fs::write(ground.at(path), "x").expect("a file");
        if is_told {
            watched.expect(EventMask::ARRIVED, &ground.at(path));
        }
        watched.quiet();
        assert_eq!(watched.events().count() > 0, is_told, "{path}: {:#?}", watched.summary());
    };
    let rename = |from: &str, to: &str| fs::rename(ground.at(from), ground.at(to)).expect("renamed");
    for directory in ["out/x", "out/x/y", "out/x/y/z"] {
        write(&format!("{directory}/f"), false);
    }
    rename("out/x/y", "tree/y");
    write("tree/y/g", true);
    write("tree/y/z/g", true);
    rename("tree/y", "tree/shut");
    write("tree/shut/z/g", false);
    rename("tree/shut", "tree/open");
    write("tree/open/z/g", true);
    rename("tree/open/z", "out/x/z");
    write("out/x/z/g", false);
    // The tree itself, with what was known of it.
    rename("tree", "elsewhere");
    write("elsewhere/open/h", false);
    rename("out", "tree");
    write("tree/x/z/h", true);
}

#[test]
fn a_path_that_comes_goes_and_comes_again_is_watched_each_time() {
    let ground = Ground::new();
    let path = ground.at("a/b/in");
    let mut watched = Watched::new(&rule(&path, "scope = 'tree'"));
    assert_eq!(watched.standing(), "waiting");
    for round in 0..3 {
        watched.forget();
        shell("mkdir -p \"$1/sub\"; echo x > \"$1/sub/f\"", &[&path]);
        watched.expect(EventMask::ARRIVED, &path.join("sub/f"));
        watched.until("armed", |watched| !watched.standing().is_empty());
        fs::write(path.join("g"), "x").expect("a file");
        watched.expect(EventMask::ARRIVED, &path.join("g"));
        if round < 2 {
            watched.forget();
            fs::remove_dir_all(ground.at("a")).expect("removed");
            watched.until("waiting", |watched| watched.standing() == "waiting");
        }
    }
}

#[test]
fn a_file_that_comes_later_is_seen() {
    let ground = Ground::new();
    let path = ground.at("a/f");
    let mut watched = Watched::new(&rule(&path, ""));
    shell("mkdir \"${1%/f}\"; echo x > \"$1\"", &[&path]);
    watched.expect(EventMask::ARRIVED, &path);
    fs::remove_file(&path).expect("removed");
    watched.expect(EventMask::DELETE, &path);
}

/// The event and the look at what the path leads to now both find it.
#[test]
fn a_file_that_comes_back_is_told_once_each_time() {
    let ground = Ground::new();
    let (path, directory) = (ground.at("a/f"), ground.at("a"));
    fs::create_dir(&directory).expect("a directory");
    let mut watched = Watched::new(&rule(&path, "on = ['arrived', 'delete']"));
    for script in [
        "echo x > \"$1\"",
        "echo x > \"$1.new\"; mv \"$1.new\" \"$1\"",
        "mkdir \"${1%/f}.new\"; echo x > \"${1%/f}.new/f\"; rmdir \"${1%/f}\"; mv \"${1%/f}.new\" \"${1%/f}\"",
    ] {
        watched.quiet();
        watched.forget();
        shell(script, &[&path]);
        watched.expect(EventMask::ARRIVED, &path);
        watched.quiet();
        assert_eq!(watched.count(EventMask::ARRIVED, &path), 1, "{script}: {:#?}", watched.summary());
        fs::remove_file(&path).expect("removed");
        watched.expect(EventMask::DELETE, &path);
        watched.quiet();
        assert_eq!(watched.count(EventMask::DELETE, &path), 1, "{script}: {:#?}", watched.summary());
    }
}

#[test]
fn a_user_who_asks_for_a_mark_on_the_file_system_gets_the_next_best() {
    if is_user("trees::a_user_who_asks_for_a_mark_on_the_file_system_gets_the_next_best") {
        let ground = Ground::new();
        let watched = Watched::new(&rule(&ground.path(), "scope = 'tree'\nmark = 'filesystem'"));
        assert_eq!(watched.standing(), "directories");
    }
}

#[test]
fn a_small_tree_is_marked_by_directories_and_a_large_one_by_its_file_system() {
    if !require_root("a_small_tree_is_marked_by_directories_and_a_large_one_by_its_file_system") {
        return;
    }
    let ground = Ground::new();
    fs::create_dir_all(ground.at("small/a")).expect("directories");
    for number in 0..4200 {
        fs::create_dir_all(ground.at(format!("large/{}/{number}", number % 50))).expect("directories");
    }
    let mut watched = Watched::new(&rule(&ground.at("small"), "scope = 'tree'"));
    assert_eq!(watched.standing(), "directories");
    watched.set_rules(&rule(&ground.at("large"), "scope = 'tree'"));
    assert_eq!(watched.standing(), "filesystem");
    fs::write(ground.at("large/3/3/f"), "x").expect("a file");
    watched.expect(EventMask::ARRIVED, &ground.at("large/3/3/f"));
    fs::write(ground.at("small/a/f"), "x").expect("a file");
    watched.quiet();
    assert_eq!(watched.events().count(), 1, "{:#?}", watched.summary());
}

#[test]
fn what_is_excluded_is_neither_marked_nor_told() {
    let ground = Ground::new();
    fs::create_dir_all(ground.at("build/x")).expect("directories");
    let mut watched = Watched::new(&rule(&ground.path(), "scope = 'tree'\nexclude = ['build/', '*.tmp']"));
    fs::write(ground.at("build/x/f"), "x").expect("a file");
    fs::create_dir_all(ground.at("build/y/z")).expect("directories");
    fs::write(ground.at("build/y/z/f"), "x").expect("a file");
    fs::write(ground.at("a.tmp"), "x").expect("a file");
    fs::write(ground.at("a"), "x").expect("a file");
    watched.expect(EventMask::ARRIVED, &ground.at("a"));
    watched.quiet();
    assert_eq!(watched.events().count(), 1, "{:#?}", watched.summary());
    let marks = fs::read_dir("/proc/self/fdinfo").expect("proc").flatten();
    let inodes: BTreeSet<String> = marks
        .filter_map(|entry| fs::read_to_string(entry.path()).ok())
        .flat_map(|text| {
            text.lines()
                .filter(|line| line.starts_with("fanotify ino"))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    let inode =
        std::os::unix::fs::MetadataExt::ino(&fs::metadata(ground.at("build/x")).expect("a directory"));
    let device =
        std::os::unix::fs::MetadataExt::dev(&fs::metadata(ground.at("build/x")).expect("a directory"));
    let minor = nix::libc::minor(device);
    let is_it = |line: &String| {
        line.contains(&format!("ino:{inode:x} ")) && line.contains(&format!("sdev:{minor:x} "))
    };
    assert!(!inodes.iter().any(is_it), "{inodes:#?}");
}

/// More events than two reads take, so that what happens before is read in one turn and what happens after in another.
fn noise(directory: &Path) {
    let tail = "n".repeat(240);
    for number in 0..6000 {
        File::create(directory.join(format!("{number}{tail}"))).expect("a file");
    }
}

/// The first events that wait are read, and what the surveyor finds then is heard before the rest is read.
fn read_in_two(watched: &mut Watched) {
    watched.turn(Duration::ZERO);
    std::thread::sleep(Duration::from_millis(300));
}

#[test]
fn a_directory_that_a_walk_found_where_it_is_now_is_not_lost_when_its_leaving_is_read() {
    let ground = Ground::new();
    for directory in ["noise", "tree/x"] {
        fs::create_dir_all(ground.at(directory)).expect("directories");
    }
    let rules = format!(
        "{}{}",
        rule(&ground.at("tree"), "scope = 'tree'\nmark = 'directories'"),
        rule(&ground.at("noise"), "on = 'close-write'").replace("'r'", "'noise'")
    );
    let mut watched = Watched::new(&rules);
    fs::create_dir(ground.at("tree/q")).expect("a directory");
    noise(&ground.at("noise"));
    fs::rename(ground.at("tree/x"), ground.at("tree/q/n")).expect("moved");
    read_in_two(&mut watched);
    watched.quiet();
    fs::write(ground.at("tree/q/n/f"), "x").expect("a file");
    watched.expect(EventMask::ARRIVED, &ground.at("tree/q/n/f"));
}

/// What the parent's own walk made of it is nothing that goes.
#[test]
fn a_directory_that_comes_again_is_not_lost() {
    let ground = Ground::new();
    for directory in ["noise", "w"] {
        fs::create_dir_all(ground.at(directory)).expect("directories");
    }
    let rules = format!(
        "{}{}{}",
        rule(&ground.at("w/b/c"), ""),
        rule(&ground.at("noise"), "on = 'close-write'").replace("'r'", "'noise'"),
        rule(&ground.at("w/b/file"), "").replace("'r'", "'file'"),
    );
    let mut watched = Watched::new(&rules);
    fs::create_dir(ground.at("w/b")).expect("a directory");
    fs::remove_dir(ground.at("w/b")).expect("removed");
    noise(&ground.at("noise"));
    fs::create_dir(ground.at("w/b")).expect("a directory");
    read_in_two(&mut watched);
    watched.quiet();
    fs::write(ground.at("w/b/file"), "x").expect("a file");
    watched.expect(EventMask::ARRIVED, &ground.at("w/b/file"));
    fs::create_dir(ground.at("w/b/c")).expect("a directory");
    fs::write(ground.at("w/b/c/f"), "x").expect("a file");
    watched.expect(EventMask::ARRIVED, &ground.at("w/b/c/f"));
}

#[test]
fn a_directory_that_came_and_went_before_that_was_read_is_not_there() {
    let ground = Ground::new();
    for directory in ["tree", "out/x"] {
        fs::create_dir_all(ground.at(directory)).expect("directories");
    }
    let keys = "scope = 'tree'\ndirs = true\nmark = 'directories'";
    let mut watched = Watched::new(&rule(&ground.at("tree"), keys));
    fs::rename(ground.at("out/x"), ground.at("tree/x")).expect("moved in");
    watched.expect(EventMask::ARRIVED, &ground.at("tree/x"));
    fs::rename(ground.at("tree/x"), ground.at("out/x")).expect("moved out");
    fs::rename(ground.at("out/x"), ground.at("tree/x")).expect("moved in");
    watched.quiet();
    fs::write(ground.at("tree/x/f"), "x").expect("a file");
    watched.expect(EventMask::ARRIVED, &ground.at("tree/x/f"));
    fs::rename(ground.at("tree/x"), ground.at("out/x")).expect("moved out");
    fs::rename(ground.at("out/x"), ground.at("tree/x")).expect("moved in");
    fs::rename(ground.at("tree/x"), ground.at("out/x")).expect("moved out");
    watched.quiet();
    watched.forget();
    fs::write(ground.at("out/x/g"), "x").expect("a file");
    watched.quiet();
    assert_eq!(watched.events().count(), 0, "{:#?}", watched.summary());
}

#[test]
fn a_directory_that_moves_on_within_a_tree_is_found_by_its_handle() {
    if !require_root("a_directory_that_moves_on_within_a_tree_is_found_by_its_handle") {
        return;
    }
    let ground = Ground::new();
    for directory in ["tree/in", "out/x", "out/y"] {
        fs::create_dir_all(ground.at(directory)).expect("directories");
    }
    let mut watched = Watched::new(&rule(&ground.at("tree"), "scope = 'tree'\nmark = 'filesystem'"));
    for (name, is_slow) in [("x", false), ("y", true)] {
        fs::rename(ground.at(format!("out/{name}")), ground.at("tree/p")).expect("moved in");
        if is_slow {
            watched.quiet();
        }
        let path = ground.at(format!("tree/in/{name}"));
        fs::rename(ground.at("tree/p"), &path).expect("moved on");
        watched.quiet();
        fs::write(path.join("f"), "x").expect("a file");
        watched.expect(EventMask::ARRIVED, &path.join("f"));
    }
}

/// Directories in each other whose path is twice as long as the kernel takes one; the last of them, open.
fn chain(base: &Path) -> File {
    let name = "d".repeat(200);
    let mut at = File::open(base).expect("it is there");
    for _ in 0..40 {
        mkdirat(&at, name.as_str(), Mode::S_IRWXU).expect("a directory");
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        at = openat(&at, name.as_str(), flags, Mode::empty()).expect("it is there").into();
    }
    at
}

#[test]
fn directories_too_deep_for_a_path_are_watched_too() {
    let ground = Ground::new();
    for directory in ["tree/old", "tree/new"] {
        fs::create_dir_all(ground.at(directory)).expect("directories");
    }
    let old = chain(&ground.at("tree/old"));
    let mut watched = Watched::new(&rule(&ground.at("tree"), "scope = 'tree'"));
    for (number, deep) in [(0, old), (1, chain(&ground.at("tree/new")))] {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_CLOEXEC;
        let name = format!("f{number}");
        openat(&deep, name.as_str(), flags, Mode::S_IRWXU).expect("a file that no path leads to");
        fs::write(ground.at(format!("tree/{number}")), "x").expect("a file");
        watched.expect(EventMask::ARRIVED, &ground.at(format!("tree/{number}")));
        watched.until("the deep file", |watched| {
            watched.paths(EventMask::ARRIVED).iter().any(|path| path.ends_with(&name))
        });
    }
}
