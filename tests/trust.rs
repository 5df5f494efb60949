//! The trust check against real owners and modes (needs root, to give files away).

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use facron::sys::clock;
use facron::sys::trust::{Flaw, Owner, ReadError, check_file, read_file};

const STRANGER: u32 = 12_345;
const USER: Owner = Owner::User(4_321);

/// A private directory below a path that root trusts: /run, since /tmp is writable by everybody.
fn place() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("facron-trust-").tempdir_in("/run").expect("/run can be written by root")
}

fn file(directory: &Path, name: &str, mode: u32) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, name).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("mode set");
    path
}

/// The components that are not trusted, below the private directory, with their flaws.
fn flaws(place: &Path, path: &Path, owner: Owner) -> Vec<(PathBuf, Flaw)> {
    let distrusted = check_file(path, owner).err().unwrap_or_default();
    let below = |component: &Path| component.strip_prefix(place).unwrap_or(component).to_owned();
    distrusted.into_iter().map(|distrust| (below(&distrust.component), distrust.flaw)).collect()
}

#[test]
fn a_file_of_root_that_nobody_else_may_write_is_trusted() {
    if !common::require_root("a_file_of_root_that_nobody_else_may_write_is_trusted") {
        return;
    }
    let place = place();
    let path = file(place.path(), "rules.toml", 0o644);
    assert_eq!(check_file(&path, Owner::Root), Ok(()));
    assert_eq!(check_file(&path, USER), Ok(()));
    assert_eq!(read_file(&path, Owner::Root, 100), Ok(b"rules.toml".to_vec()));
    assert_eq!(read_file(&path, Owner::Root, 9), Err(ReadError::TooLong { size: 10, limit: 9 }));
}

#[test]
fn each_flaw_is_named_with_its_component_and_mend() {
    if !common::require_root("each_flaw_is_named_with_its_component_and_mend") {
        return;
    }
    let place = place();
    let directory = place.path().join("conf d");
    fs::create_dir(&directory).expect("made");
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o775)).expect("mode set");
    let path = file(&directory, "rules.toml", 0o666);
    chown(&path, Some(STRANGER), None).expect("given away");
    let expected = vec![
        (PathBuf::from("conf d"), Flaw::WritableByOthers(0o775)),
        (PathBuf::from("conf d/rules.toml"), Flaw::OwnedBy(STRANGER)),
        (PathBuf::from("conf d/rules.toml"), Flaw::WritableByOthers(0o666)),
    ];
    assert_eq!(flaws(place.path(), &path, Owner::Root), expected);
    let Err(ReadError::Untrusted(distrusted)) = read_file(&path, Owner::Root, 100) else {
        panic!("an untrusted file was read")
    };
    assert_eq!(distrusted[0].mend, Some(format!("chmod go-w '{}'", directory.display())));
    assert_eq!(distrusted[1].mend, Some(format!("chown -h root '{}'", path.display())));
    assert_eq!(read_file(&path, Owner::Anybody, 100), Ok(b"rules.toml".to_vec()), "--insecure");
    // The mends, carried out, mend.
    for distrust in distrusted {
        let mend = distrust.mend.expect("there is a command");
        #[expect(clippy::disallowed_methods, reason = "a test may start a shell")]
        let status = std::process::Command::new("/bin/sh").args(["-c", &mend]).status().expect("sh runs");
        assert!(status.success());
    }
    assert_eq!(check_file(&path, Owner::Root), Ok(()));
}

#[test]
fn a_sticky_directory_is_an_excuse_for_users_only() {
    if !common::require_root("a_sticky_directory_is_an_excuse_for_users_only") {
        return;
    }
    let place = place();
    let directory = place.path().join("tmp");
    fs::create_dir(&directory).expect("made");
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o1777)).expect("mode set");
    let path = file(&directory, "f", 0o600);
    chown(&path, Some(4_321), None).expect("given away");
    assert_eq!(flaws(place.path(), &path, USER), vec![]);
    let expected = vec![
        (PathBuf::from("tmp"), Flaw::WritableByOthers(0o1777)),
        (PathBuf::from("tmp/f"), Flaw::OwnedBy(4_321)),
    ];
    assert_eq!(flaws(place.path(), &path, Owner::Root), expected);
    // What is to be writable by everybody is not mended by forbidding that.
    let mends =
        check_file(&path, Owner::Root).expect_err("not root's").into_iter().map(|distrust| distrust.mend);
    assert_eq!(mends.collect::<Vec<_>>(), vec![None, Some(format!("chown -h root {}", path.display()))]);
    // A stranger's link in it could be switched to another file of the user at any time.
    let link = directory.join("link");
    symlink(&path, &link).expect("linked");
    lchown(&link, Some(STRANGER), None).expect("given away");
    assert_eq!(flaws(place.path(), &link, USER), vec![(PathBuf::from("tmp/link"), Flaw::OwnedBy(STRANGER))]);
}

#[test]
fn links_are_followed_by_the_same_rule() {
    if !common::require_root("links_are_followed_by_the_same_rule") {
        return;
    }
    let place = place();
    let (open, closed) = (place.path().join("open"), place.path().join("closed"));
    fs::create_dir(&open).expect("made");
    fs::create_dir(&closed).expect("made");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("mode set");
    let target = file(&open, "f", 0o644);
    let link = closed.join("link");
    symlink("../open/f", &link).expect("linked");
    let expected = vec![(PathBuf::from("open"), Flaw::WritableByOthers(0o777))];
    assert_eq!(flaws(place.path(), &link, Owner::Root), expected);
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).expect("mode set");
    assert_eq!(read_file(&link, Owner::Root, 100), Ok(b"f".to_vec()));
    fs::remove_file(&target).expect("removed");
    assert_eq!(
        flaws(place.path(), &link, Owner::Root),
        vec![(PathBuf::from("open/f"), Flaw::Unreachable(nix::errno::Errno::ENOENT))]
    );
    symlink("f", &target).expect("linked");
    assert_eq!(read_file(&link, Owner::Root, 100), Err(ReadError::Failed(nix::errno::Errno::ELOOP)));
}

#[test]
fn what_is_no_regular_file_is_not_read_and_not_waited_for() {
    if !common::require_root("what_is_no_regular_file_is_not_read_and_not_waited_for") {
        return;
    }
    let place = place();
    let fifo = place.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).expect("made");
    assert_eq!(read_file(&fifo, Owner::Root, 100), Err(ReadError::NotRegular));
    assert_eq!(read_file(place.path(), Owner::Root, 100), Err(ReadError::NotRegular));
    assert_eq!(read_file(Path::new("/"), Owner::Root, 100), Err(ReadError::NotRegular));
    let missing = place.path().join("missing/f");
    assert_eq!(read_file(&missing, Owner::Root, 100), Err(ReadError::Failed(nix::errno::Errno::ENOENT)));
}

#[test]
fn a_relative_path_is_meant_from_the_working_directory() {
    // cargo test runs in the directory of Cargo.toml.
    let bytes = read_file(Path::new("Cargo.toml"), Owner::Anybody, 1 << 20).expect("it can be read");
    assert!(bytes.starts_with(b"[package]"));
}

#[test]
fn a_file_that_is_written_while_it_is_read_is_one_text_or_none() {
    // One that has more than it says.
    let growing = Path::new("/proc/self/status");
    assert_eq!(read_file(growing, Owner::Anybody, 1 << 20), Err(ReadError::Changed));
    let place = tempfile::tempdir().expect("a directory");
    let path = file(place.path(), "rules.toml", 0o644);
    let texts = [b"a".repeat(1 << 20), b"b".repeat((1 << 20) - 1)];
    fs::write(&path, &texts[0]).expect("written");
    let (is_over, end) = (AtomicBool::new(false), clock::monotonic() + Duration::from_secs(60));
    let (mut whole, mut changed, mut mixed) = (0, 0, 0);
    std::thread::scope(|scope| {
        let write = || {
            for text in texts.iter().cycle().take_while(|_| !is_over.load(Ordering::Relaxed)) {
                fs::write(&path, text).expect("written");
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        std::thread::Builder::new().spawn_scoped(scope, write).expect("a thread");
        while (whole < 100 || changed < 10) && mixed == 0 && clock::monotonic() < end {
            match read_file(&path, Owner::Anybody, 1 << 20) {
                Ok(bytes) if bytes.contains(&b'a') && bytes.contains(&b'b') => mixed += 1,
                Ok(bytes) => whole += usize::from(!bytes.is_empty()),
                Err(error) => changed += usize::from(error == ReadError::Changed),
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(mixed, 0, "half of one text and half of the other");
    assert!(whole >= 100 && changed >= 10, "{whole} whole, {changed} refused: this tests nothing");
}
