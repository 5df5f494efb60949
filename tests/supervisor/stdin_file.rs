//! `stdin = "file"`: the command reads the very file of the event, with its own rights, whatever happens to names.

use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use facron::engine::StartFailure;
use facron::event::{Event, ObjectId};
use facron::rule::Rule;
use facron::sys::{handle, place};

use crate::common;
use crate::supervised::*;

/// A rule that reads the file of its event in this directory.
fn reader(directory: &Path, keys: &str) -> Rule {
    let mut rule = script("cat", &format!("stdin = 'file'\n{keys}"));
    rule.watch.paths = vec![directory.to_owned()];
    rule
}

/// An event on a file, with what the kernel would report of it.
fn event_on(path: &Path) -> Event {
    let file = place::touch(place::ANYWHERE, path).expect("it is there");
    let fsid = place::fsid(file.as_fd()).expect("it has one");
    let key = handle::of_opened(file.as_fd()).expect("it has one").on(fsid);
    let object = ObjectId { fsid, kind: key.kind(), handle: key.handle().into() };
    Event { object: Some(object), ..event(path) }
}

fn read(rule: Rule, event: Event) -> Result<String, String> {
    let mut supervised = Supervised::new();
    let refused = |failure: StartFailure| {
        assert_eq!(failure.class.as_str(), "input", "{failure:?}");
        failure.message
    };
    let run = supervised.start_for(rule, vec![event]).map_err(refused)?;
    match supervised.late_refusal(run) {
        Some(failure) => Err(refused(failure)),
        None => Ok(supervised.end_of(run).out),
    }
}

#[test]
fn the_file_is_read_under_whatever_name_it_has() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a");
    fs::write(&path, "right\n").expect("written");
    assert_eq!(
        read(reader(directory.path(), ""), event(&path)),
        Ok("right\n".to_owned()),
        "by its name alone"
    );
    assert_eq!(read(reader(directory.path(), ""), event_on(&path)), Ok("right\n".to_owned()));
    if !common::require_root("the_file_is_read_under_whatever_name_it_has") {
        return;
    }
    let event = event_on(&path);
    fs::rename(&path, directory.path().join("b")).expect("renamed");
    fs::write(&path, "wrong\n").expect("written");
    assert_eq!(read(reader(directory.path(), ""), event), Ok("right\n".to_owned()));
}

#[test]
fn what_is_no_regular_file_below_the_rule_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let (inside, outside) = (directory.path().join("in"), directory.path().join("out"));
    fs::create_dir(&inside).expect("made");
    fs::write(&outside, "secret\n").expect("written");
    symlink(&outside, inside.join("link")).expect("linked");
    symlink(directory.path(), inside.join("up")).expect("linked");
    nix::unistd::mkfifo(&inside.join("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("made");
    for (name, reason) in [
        ("link", "not a regular file"),
        ("up/out", "symbolic link"),
        ("../out", "symbolic link"),
        ("fifo", "not a regular file"),
        (".", "not a regular file"),
        ("missing", "gone"),
    ] {
        let message = read(reader(&inside, ""), event(inside.join(name))).expect_err(name);
        assert!(message.contains(reason), "{name}: {message}");
    }
}

#[test]
fn nobody_reads_by_way_of_facron_what_he_may_not_read_himself() {
    if !common::require_root("nobody_reads_by_way_of_facron_what_he_may_not_read_himself") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("mode set");
    let path = directory.path().join("secret");
    fs::write(&path, "secret\n").expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("mode set");
    let as_nobody = || reader(directory.path(), "user = 'nobody'");
    let message = read(as_nobody(), event_on(&path)).expect_err("root's alone");
    assert!(message.contains("as user nobody: permission denied"), "{message}");
    chown(&path, Some(65_534), None).expect("given away");
    assert_eq!(read(as_nobody(), event_on(&path)), Ok("secret\n".to_owned()));
}

#[test]
fn no_swap_of_names_leads_a_privileged_command_to_another_file() {
    const TEST: &str = "no_swap_of_names_leads_a_privileged_command_to_another_file";
    if !common::require_root(TEST) {
        return;
    }
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    for name in ["in", "in/d", "elsewhere"] {
        fs::create_dir(at(name)).expect("made");
    }
    fs::write(at("secret"), "secret").expect("written");
    fs::write(at("elsewhere/f"), "secret").expect("written");
    fs::write(at("in/d/f"), "right").expect("written");
    symlink(at("secret"), at("in/d/link")).expect("linked");
    symlink(at("elsewhere"), at("in/other")).expect("linked");
    let event = event_on(&at("in/d/f"));
    let (is_over, swaps) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let attack = {
        let (is_over, swaps, place) = (is_over.clone(), swaps.clone(), place.path().to_owned());
        move || {
            let at = |name: &str| place.join(name);
            let swap = |one: &str, other: &str| {
                let flags = nix::fcntl::RenameFlags::RENAME_EXCHANGE;
                let current = nix::fcntl::AT_FDCWD;
                nix::fcntl::renameat2(current, &at(one), current, &at(other), flags).expect("swapped");
                swaps.fetch_add(1, Ordering::Relaxed);
            };
            while !is_over.load(Ordering::Relaxed) {
                // The file with a link to the secret, then the directory with a link to another one.
                swap("in/d/f", "in/d/link");
                swap("in/d/f", "in/d/link");
                swap("in/d", "in/other");
                swap("in/d", "in/other");
            }
        }
    };
    let attacker = std::thread::Builder::new().spawn(attack).expect("a thread");
    let (mut supervised, mut count) = (Supervised::new(), 0);
    while swaps.load(Ordering::Relaxed) < 100_000 || count < 200 {
        let run =
            supervised.start_for(reader(&at("in"), ""), vec![event.clone()]).expect("found by its handle");
        assert_eq!(supervised.end_of(run).out, "right\n", "after {} swaps", swaps.load(Ordering::Relaxed));
        count += 1;
        supervised.notices.clear();
    }
    is_over.store(true, Ordering::Relaxed);
    attacker.join().expect("swapped to the end");
}
