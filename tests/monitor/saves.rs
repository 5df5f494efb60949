//! The ways in which programs save a file (FANOTIFY.md 8): each is one arrival at least, whatever it does to inodes.

use std::fs;
use std::path::Path;

use facron::event::EventMask;

use crate::ground::{Ground, is_user, shell};
use crate::kit::{Watched, rule};

/// Each way to save `$1`, as a script.
const SAVES: &[(&str, &str)] = &[
    ("write in place", "echo x > \"$1\""),
    ("append", "echo x >> \"$1\""),
    ("touch", "touch \"$1\""),
    ("copy over", "echo x > \"$1.src\"; cp \"$1.src\" \"$1\""),
    ("move over", "echo x > \"$1.new\"; mv \"$1.new\" \"$1\""),
    ("move from another directory", "mkdir -p \"$1.d\"; echo x > \"$1.d/x\"; mv \"$1.d/x\" \"$1\""),
    ("sed -i", "sed -i s/x/y/ \"$1\""),
    ("perl -i", "perl -i -pe s/x/y/ \"$1\""),
    ("install", "echo x > \"$1.src\"; install \"$1.src\" \"$1\""),
    ("delete and make again", "rm \"$1\"; echo x > \"$1\""),
    ("backup and new file, as vim", "mv \"$1\" \"$1~\"; echo x > \"$1\"; rm \"$1~\""),
    ("truncate", "truncate -s 3 \"$1\""),
    ("hard link into place", "rm \"$1\"; echo x > \"$1.src\"; ln \"$1.src\" \"$1\"; rm \"$1.src\""),
    ("symbolic link into place", "echo x > \"$1.src\"; ln -s \"$1.src\" \"$1.l\"; mv -T \"$1.l\" \"$1\""),
    ("fifo", "rm \"$1\"; mkfifo \"$1\"; rm \"$1\"; echo x > \"$1\""),
];

fn every_save_arrives(keys: &str, path: impl Fn(&Ground) -> std::path::PathBuf) {
    let ground = Ground::new();
    let path = path(&ground);
    fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
    fs::write(&path, "x\n").expect("a file");
    let watch = if keys.contains("scope") { ground.path() } else { path.clone() };
    let mut watched = Watched::new(&rule(&watch, keys));
    for (name, script) in SAVES {
        watched.forget();
        shell(script, &[&path]);
        watched.until(name, |watched| watched.count(EventMask::ARRIVED, &path) > 0);
        watched.quiet();
        if path.is_symlink() {
            fs::remove_file(&path).expect("a link");
            fs::write(&path, "x\n").expect("a file");
            watched.quiet();
        }
    }
}

#[test]
fn every_save_of_a_file_by_its_name_arrives() {
    every_save_arrives("", |ground| ground.at("f"));
}

#[test]
fn every_save_below_a_tree_arrives() {
    every_save_arrives("scope = 'tree'", |ground| ground.at("a/b/f"));
}

#[test]
fn every_save_arrives_for_a_user() {
    if is_user("saves::every_save_arrives_for_a_user") {
        every_save_arrives("", |ground| ground.at("f"));
        every_save_arrives("scope = 'tree'", |ground| ground.at("a/b/f"));
    }
}

#[test]
fn one_save_in_place_is_one_event() {
    let ground = Ground::new();
    let path = ground.at("f");
    fs::write(&path, "x").expect("a file");
    let mut watched = Watched::new(&rule(&path, "on = 'arrived'"));
    for script in
        ["echo y > \"$1\"", "echo y > \"$1.new\"; mv \"$1.new\" \"$1\"", "rm \"$1\"; echo y > \"$1\""]
    {
        watched.forget();
        shell(script, &[&path]);
        watched.expect(EventMask::ARRIVED, &path);
        watched.quiet();
        assert_eq!(watched.count(EventMask::ARRIVED, &path), 1, "{script}: {:#?}", watched.summary());
    }
}

#[test]
fn a_file_arrives_only_when_its_writer_lets_go() {
    let ground = Ground::new();
    fs::create_dir(ground.at("in")).expect("a directory");
    let mut watched = Watched::new(&rule(&ground.at("in"), "on = 'arrived'"));
    let writer = fs::File::create(ground.at("x")).expect("a file");
    fs::rename(ground.at("x"), ground.at("in/x")).expect("moved while it is written");
    watched.quiet();
    assert_eq!(watched.events().count(), 0, "{:#?}", watched.summary());
    drop(writer);
    watched.expect(EventMask::ARRIVED, &ground.at("in/x"));
    watched.forget();
    let writers =
        [0, 1].map(|_| fs::OpenOptions::new().append(true).open(ground.at("in/x")).expect("a writer"));
    let [first, second] = writers;
    drop(first);
    watched.quiet();
    assert_eq!(watched.events().count(), 0, "another one still writes: {:#?}", watched.summary());
    drop(second);
    watched.expect(EventMask::ARRIVED, &ground.at("in/x"));
}

#[test]
fn a_file_without_a_name_arrives_when_it_gets_one() {
    let ground = Ground::new();
    let mut watched = Watched::new(&rule(&ground.path(), "on = 'arrived'"));
    let flags = nix::fcntl::OFlag::O_TMPFILE | nix::fcntl::OFlag::O_WRONLY;
    let mode = nix::sys::stat::Mode::S_IRWXU;
    let file = nix::fcntl::open(&ground.path(), flags, mode).expect("a file without a name");
    let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    let follow = nix::fcntl::AtFlags::AT_SYMLINK_FOLLOW;
    let cwd = nix::fcntl::AT_FDCWD;
    nix::unistd::linkat(cwd, Path::new(&link), cwd, &ground.at("f"), follow).expect("a name");
    watched.quiet();
    assert_eq!(watched.events().count(), 0, "{:#?}", watched.summary());
    drop(file);
    watched.expect(EventMask::ARRIVED, &ground.at("f"));
}
