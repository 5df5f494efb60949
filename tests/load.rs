//! Rule files from disk: what is found, what is refused, and that nothing hangs.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use facron::config::files::DefaultPlaces;
use facron::daemon::load::{Loaded, Places, Trust, load, read};
use facron::lint::System;
use facron::sys::trust::Owner;

const RULE: &str = "[[rule]]\nname = 'r'\npath = '/srv'\ncommand = '/bin/true'\n";

/// A directory that this test's user alone may write; /tmp above it is sticky, which is enough for a user's daemon.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
        path
    }
}

fn owner() -> Owner {
    Owner::User(nix::unistd::geteuid().as_raw())
}

fn codes(loaded: &Loaded) -> Vec<&'static str> {
    loaded.findings.iter().map(|finding| finding.code).collect()
}

fn read_given(path: &Path) -> Loaded {
    read(&Places::Given(vec![path.to_owned()]), Trust::Demanded(owner()))
}

#[test]
fn files_and_folders_are_read_together() {
    let folder = Folder::new();
    let main = folder.file("main.toml", RULE);
    fs::create_dir(folder.path("more")).expect("a directory");
    folder.file("more/b.toml", &RULE.replace("'r'", "'b'"));
    folder.file("more/a.toml", &RULE.replace("'r'", "'a'"));
    let places = Places::Given(vec![main, folder.path("more")]);
    let (rules, loaded) = load(&places, owner(), &System::new()).expect("the rules are right");
    let names: Vec<&str> = rules.rules.iter().map(|rule| &*rule.name).collect();
    assert_eq!(names, ["r", "a", "b"]);
    assert_eq!(loaded.paths.len(), 3);
}

#[test]
fn one_mistake_anywhere_refuses_everything() {
    let folder = Folder::new();
    folder.file("a.toml", RULE);
    folder.file("b.toml", "x = 1");
    let places = Places::Given(vec![folder.0.path().to_owned()]);
    let refused = load(&places, owner(), &System::new()).expect_err("b.toml is wrong");
    assert_eq!(codes(&refused), ["F002"]);
    assert_eq!(refused.findings[0].source, Some(1));
}

#[test]
fn a_user_that_does_not_exist_refuses_everything() {
    let folder = Folder::new();
    let file = folder.file("a.toml", &format!("{RULE}user = 'facron-no-such-user'\n"));
    let refused =
        load(&Places::Given(vec![file]), owner(), &System::new()).expect_err("there is no such user");
    assert_eq!(codes(&refused), ["F018"]);
}

#[test]
fn what_others_may_write_is_not_even_read() {
    let folder = Folder::new();
    let file = folder.file("a.toml", "nonsense");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).expect("chmod");
    let loaded = read_given(&file);
    assert_eq!(codes(&loaded), ["F022"]);
    assert_eq!(&*loaded.sources[0].text, "");
    assert_eq!(loaded.findings[0].help.as_deref(), Some(format!("chmod go-w {}", file.display()).as_str()));
    // --insecure.
    let loaded = read(&Places::Given(vec![file]), Trust::Demanded(Owner::Anybody));
    assert_eq!(codes(&loaded), ["F001"]);
}

#[test]
fn a_file_below_tmp_is_to_be_kept_elsewhere() {
    let folder = tempfile::tempdir_in("/tmp").expect("a directory");
    let file = folder.path().join("a.toml");
    fs::write(&file, RULE).expect("a file");
    let loaded = read(&Places::Given(vec![file]), Trust::Demanded(Owner::Root));
    let finding =
        loaded.findings.iter().find(|finding| finding.message.contains("/tmp is writable by others"));
    let help = finding.expect("it is said").help.as_deref();
    assert_eq!(help, Some("keep it where only root may write"));
}

#[test]
fn a_file_that_is_named_twice_is_read_once_and_said() {
    let folder = Folder::new();
    let file = folder.file("a.toml", RULE);
    let loaded =
        read(&Places::Given(vec![folder.0.path().to_owned(), file.clone()]), Trust::Demanded(Owner::Anybody));
    let messages: Vec<&str> = loaded.findings.iter().map(|finding| &*finding.message).collect();
    assert_eq!(messages, [format!("the rule file {} is named twice", file.display())]);
    assert_eq!((codes(&loaded), loaded.has_error()), (vec!["F016"], true));
    // A link is another name of it.
    let link = folder.path("b.toml");
    std::os::unix::fs::symlink(&file, &link).expect("a link");
    let loaded = read(&Places::Given(vec![file.clone(), link]), Trust::Demanded(Owner::Anybody));
    assert!(
        loaded.findings[0].message.ends_with(&format!("b.toml is named twice: it is {}", file.display()))
    );
}

#[test]
fn a_directory_that_others_may_write_is_said_once() {
    let folder = Folder::new();
    fs::create_dir(folder.path("open")).expect("a directory");
    fs::set_permissions(folder.path("open"), fs::Permissions::from_mode(0o777)).expect("chmod");
    folder.file("open/a.toml", RULE);
    folder.file("open/b.toml", RULE);
    let loaded = read_given(&folder.path("open"));
    assert_eq!(codes(&loaded), ["F022"]);
}

#[test]
fn nothing_that_is_no_file_hangs() {
    let folder = Folder::new();
    let fifo = folder.path("fifo.toml");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).expect("a FIFO");
    assert_eq!(codes(&read_given(&fifo)), ["F021"]);
    assert_eq!(codes(&read_given(Path::new("/dev/zero"))).len(), 1);
    symlink("loop.toml", folder.path("loop.toml")).expect("a link");
    assert_eq!(codes(&read_given(&folder.path("loop.toml"))).len(), 1);
}

#[test]
fn what_is_not_there_is_said_by_name() {
    let folder = Folder::new();
    assert_eq!(codes(&read_given(&folder.path("gone.toml"))).len(), 1);
    let places = DefaultPlaces { file: folder.path("facron.toml"), folder: folder.path("rules.d") };
    let loaded = read(&Places::Default(places.clone()), Trust::Demanded(owner()));
    assert_eq!(codes(&loaded), ["F021"]);
    assert!(
        loaded.findings[0].message.contains("facron.toml") && loaded.findings[0].message.contains("rules.d")
    );
    // One of them is enough.
    fs::create_dir(&places.folder).expect("a directory");
    assert_eq!(codes(&read(&Places::Default(places.clone()), Trust::Demanded(owner()))), [""; 0]);
    fs::remove_dir(&places.folder).expect("the directory");
    folder.file("facron.toml", RULE);
    assert_eq!(codes(&read(&Places::Default(places), Trust::Demanded(owner()))), [""; 0]);
}

#[test]
fn too_much_is_said_before_it_is_read() {
    let folder = Folder::new();
    let file = folder.file("big.toml", "");
    fs::File::options().write(true).open(&file).and_then(|file| file.set_len(5 << 20)).expect("a large file");
    assert_eq!(codes(&read_given(&file)), ["F020"]);
}
