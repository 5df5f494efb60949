//! The ways in which programs save a file: the table of FANOTIFY.md 8, row by row, as root and as a user.
//!
//! One directory with a file `f` in it is watched three ways: by itself, as part of a tree, and `f` alone. What arrives
//! is exact; what else is told are the essential events of the row.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use facron::event::EventMask;
use facron::sys::clock;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, RenameFlags, open, renameat2};
use nix::sys::stat::Mode;

use crate::calls;
use crate::common::require;
use crate::ground::{Ground, can, is_user, shell};
use crate::kit::{LIMIT, Watched, rule};

/// One way to save, or nearly so.
struct Save {
    /// What programs do.
    pattern: &'static str,
    how: How,
    /// The names that arrive, and no others.
    arrives: &'static [&'static str],
    /// What else is told of which name.
    told: &'static [(&'static str, &'static str)],
}

/// How it is done, in the directory.
enum How {
    /// By a shell, with `$OUT`, another directory on the same file system, and `$FAR`, one on another. At `hold` it
    /// stops until it was looked that nothing has arrived so far.
    Shell(&'static str),
    /// By a shell, where the machine has this program.
    With(&'static str, &'static str),
    /// By system calls that no program of every machine makes.
    Calls(fn(&Path)),
}

use How::{Calls, Shell, With};

/// Nothing more than what arrives.
const NO_MORE: &[(&str, &str)] = &[];
const WRITTEN: &[(&str, &str)] = &[("modify", "f"), ("close-write", "f")];
const REPLACED: &[(&str, &str)] = &[("moved-to", "f"), ("rename", "f")];
const REMADE: &[(&str, &str)] = &[("delete", "f"), ("create", "f"), ("modify", "f"), ("close-write", "f")];
const BY_VIM: &[(&str, &str)] =
    &[("moved-from", "f"), ("create", "f"), ("modify", "f"), ("close-write", "f")];

const SAVES: &[Save] = &[
    save("write in place", Shell("echo x > f"), &["f"], WRITTEN),
    save("append", Shell("echo x >> f"), &["f"], WRITTEN),
    save("cp over", Shell("echo x > \"$OUT/x\"; cp \"$OUT/x\" f"), &["f"], WRITTEN),
    save("tee", Shell("echo x | tee f > /dev/null"), &["f"], WRITTEN),
    save("dd", Shell("dd if=/dev/zero of=f bs=1 count=3 status=none"), &["f"], WRITTEN),
    save("a program's own write", With("perl", "perl -e 'open F, \">f\"; print F 1'"), &["f"], WRITTEN),
    save("touch: no change", Shell("touch f"), &["f"], &[("attrib", "f"), ("close-write", "f")]),
    save("new file by >", Shell("echo x > n"), &["n"], &[("create", "n"), ("close-write", "n")]),
    save("new file by cp", Shell("cp f n"), &["n"], &[("create", "n"), ("close-write", "n")]),
    save("new file by touch", Shell("touch n"), &["n"], &[("create", "n"), ("close-write", "n")]),
    save("mv in the directory", Shell("echo x > t~; mv t~ f"), &["f"], REPLACED),
    save("mv from another directory", Shell("echo x > \"$OUT/x\"; mv \"$OUT/x\" f"), &["f"], REPLACED),
    save("mv from another file system", Shell("echo x > \"$FAR/x\"; mv \"$FAR/x\" f"), &["f"], REMADE),
    save("install", Shell("echo x > \"$OUT/x\"; install \"$OUT/x\" f"), &["f"], REMADE),
    save(
        "tar x over",
        Shell("cp f \"$OUT/f\"; tar c -C \"$OUT\" f > \"$OUT/tar\"; tar x < \"$OUT/tar\""),
        &["f"],
        REMADE,
    ),
    save("mv out", Shell("mv f \"$OUT/f\""), &[], &[("moved-from", "f"), ("rename", "f")]),
    save("vim without a backup, nano", With("vim", VIM_IN_PLACE), &["f"], WRITTEN),
    save(
        "rsync --inplace",
        With("rsync", "echo xy > \"$OUT/f\"; rsync --inplace \"$OUT/f\" f"),
        &["f"],
        WRITTEN,
    ),
    save("vim as it comes", With("vim", VIM), &["f"], BY_VIM),
    save("vim backupcopy=no, backup", With("vim", VIM_BACKUP), &["f"], BY_VIM),
    save("vim backupcopy=yes", With("vim", VIM_COPY), &["f"], WRITTEN),
    save("sed -i", Shell("sed -i s/x/y/ f"), &["f"], REPLACED),
    save("perl -i", With("perl", "perl -i -pe s/x/y/ f"), &["f"], REPLACED),
    save("rsync", With("rsync", "echo xyz > \"$OUT/f\"; rsync \"$OUT/f\" f"), &["f"], REPLACED),
    save("a browser's .part", Shell("echo x > f.part; mv f.part f"), &["f"], REPLACED),
    save("git checkout", With("git", GIT), &["f"], REMADE),
    save("truncate -s", Shell("truncate -s 3 f"), &["f"], WRITTEN),
    save("O_TRUNC only", Shell(": > f"), &["f"], WRITTEN),
    save("fallocate", With("fallocate", "fallocate -l 99 f"), &["f"], WRITTEN),
    save("truncate(2)", Calls(calls::truncate), &[], &[("modify", "f")]),
    save("open for writing, no write", Shell("exec 3<> f; exec 3<&-"), &["f"], &[("close-write", "f")]),
    save("mmap, store, msync", Calls(calls::map_and_store), &["f"], &[("close-write", "f")]),
    save("sendfile", Calls(calls::send_file), &["f"], WRITTEN),
    save("splice", Calls(calls::splice), &["f"], WRITTEN),
    save("copy_file_range", Calls(calls::copy_range), &["f"], WRITTEN),
    save("io_uring", Calls(calls::uring), &["f"], WRITTEN),
    save("O_TMPFILE and linkat", Calls(temporary), &["n"], &[("create", "n")]),
    save("append, kept open", Shell("exec 3>> f; echo x >&3; hold; exec 3>&-"), &["f"], WRITTEN),
    save("the writer is killed", Shell("sh -c 'exec 3>> f; echo x >&3; kill -9 $$' || :"), &["f"], WRITTEN),
    save("a forked descriptor", Shell(FORKED), &["f"], WRITTEN),
    save(
        "rename while open, then close",
        Shell("exec 3>> f; echo x >&3; mv f g; hold; exec 3>&-"),
        &["g"],
        &[("moved-from", "f"), ("moved-to", "g"), ("close-write", "g")],
    ),
    save("unlink while open", Shell("exec 3> n; rm n; echo x >&3; exec 3>&-"), &[], &[("delete", "n")]),
    save("RENAME_EXCHANGE", Calls(exchange), &["f", "n"], &[("rename", "f"), ("rename", "n")]),
    save("hard link in", Shell("echo x > \"$OUT/l\"; ln \"$OUT/l\" l"), &["l"], &[("create", "l")]),
    // The directory is told of nothing: only a rescan finds it.
    save("write by a hard link elsewhere", Shell("ln f \"$OUT/l\"; echo x > \"$OUT/l\""), &[], NO_MORE),
    save("a symbolic link is made", Shell("ln -s f sl"), &["sl"], &[("create", "sl")]),
    save(
        "write through a symbolic link",
        Shell("ln -s \"$PWD/f\" \"$OUT/sl\"; echo x > \"$OUT/sl\""),
        &["f"],
        WRITTEN,
    ),
    save("ln -sfn", Shell("ln -s f sl; ln -sfn n sl"), &["sl"], &[("moved-to", "sl")]),
    save(
        "hard link into place",
        Shell("rm f; echo x > \"$OUT/l\"; ln \"$OUT/l\" f"),
        &["f"],
        &[("create", "f")],
    ),
    save("rm", Shell("rm f"), &[], &[("delete", "f")]),
    save("rm while it is read", Shell("exec 3< f; rm f; hold; exec 3<&-"), &[], &[("delete", "f")]),
    save("chmod, chown", Shell("chmod 600 f; chown \"$(id -u)\" f"), &[], &[("attrib", "f")]),
    save("setxattr", Calls(calls::set_attribute), &[], &[("attrib", "f")]),
    save("mkfifo", Shell("mkfifo n"), &["n"], &[("create", "n")]),
    save("a socket", Calls(socket), &["n"], &[("create", "n")]),
    save("mkdir -p and touch", Shell("mkdir -p a/b/c; touch a/b/c/x"), &["a/b/c/x"], NO_MORE),
    save(
        "mv a directory in",
        Shell("mkdir -p \"$OUT/d/e\"; echo x > \"$OUT/d/e/x\"; mv \"$OUT/d\" d"),
        &["d/e/x"],
        NO_MORE,
    ),
];

const VIM_IN_PLACE: &str = "vim -u NONE -i NONE -n -es -c 'set nobackup nowritebackup' -c 's/x/y/' -c wq f";
const VIM: &str = "vim -u NONE -i NONE -es -c 'set writebackup backupcopy=auto' -c 's/x/y/' -c wq f";
const VIM_BACKUP: &str = "vim -u NONE -i NONE -es -c 'set backup backupcopy=no' -c 's/x/y/' -c wq f";
const VIM_COPY: &str = "vim -u NONE -i NONE -es -c 'set backup backupcopy=yes' -c 's/x/y/' -c wq f";
const GIT: &str = "export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null; \
    git init -q --separate-git-dir=\"$OUT/git\" .; git add f; echo changed > \"$OUT/x\"; cat \"$OUT/x\" > f; \
    git checkout -q f";
const FORKED: &str = "exec 4<&0; exec 3>> f; echo x >&3; sh -c 'echo held; read go' <&4 & exec 3>&-; wait $!";

const fn save(
    pattern: &'static str,
    how: How,
    arrives: &'static [&'static str],
    told: &'static [(&'static str, &'static str)],
) -> Save {
    Save { pattern, how, arrives, told }
}

fn temporary(directory: &Path) {
    drop(nameless(directory));
}

/// A file that is open for writing, and has got its name after it was made.
fn nameless(directory: &Path) -> OwnedFd {
    let flags = OFlag::O_TMPFILE | OFlag::O_WRONLY;
    let file = open(directory, flags, Mode::S_IRWXU).expect("a file without a name");
    let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    nix::unistd::linkat(
        AT_FDCWD,
        Path::new(&link),
        AT_FDCWD,
        &directory.join("n"),
        AtFlags::AT_SYMLINK_FOLLOW,
    )
    .expect("a name");
    file
}

fn exchange(directory: &Path) {
    let (f, n) = (directory.join("f"), directory.join("n"));
    fs::copy(&f, &n).expect("another file");
    renameat2(AT_FDCWD, &f, AT_FDCWD, &n, RenameFlags::RENAME_EXCHANGE).expect("exchanged");
}

fn socket(directory: &Path) {
    std::os::unix::net::UnixListener::bind(directory.join("n")).expect("a socket");
}

/// The three rules: what each is told.
const DIRECTORY: u32 = 0;
const TREE: u32 = 1;
const FILE: u32 = 2;
/// Writers at once, and files of each.
const WRITERS: u32 = 4;
const FILES: u32 = 500;
/// What is written last, so that all before it has been told.
const SENTINEL: &str = "sentinel";

/// The directory, its surroundings, and the monitor.
struct Scene {
    ground: Ground,
    far: tempfile::TempDir,
    watched: Watched,
}

impl Scene {
    fn new() -> Scene {
        let ground = Ground::new();
        fs::create_dir_all(ground.at("tree/d")).expect("directories");
        fs::create_dir(ground.at("out")).expect("a directory");
        fs::write(ground.at("tree/d/f"), "x\n").expect("a file");
        let directory = ground.at("tree/d");
        let keys = "exclude = ['@temporary', '.git']\non = ['arrived', 'modify', 'attrib', 'close-write', 'create', \
                    'delete', 'moved-from', 'moved-to', 'rename']";
        let rules = [
            rule(&directory, keys).replace("'r'", "'directory'"),
            rule(&ground.at("tree"), &format!("scope = 'tree'\n{keys}")).replace("'r'", "'tree'"),
            rule(&directory.join("f"), "on = 'arrived'").replace("'r'", "'file'"),
        ];
        let watched = Watched::new(&rules.concat());
        Scene { ground, far: tempfile::tempdir().expect("a directory"), watched }
    }

    fn directory(&self) -> PathBuf {
        self.ground.at("tree/d")
    }

    /// What a rule was told of, below the directory.
    fn names(&self, rule: u32, mask: EventMask) -> BTreeSet<String> {
        let directory = self.directory();
        let told = self.watched.told(rule).filter(|event| event.mask.contains(mask));
        let below = told.filter_map(|event| event.path.strip_prefix(&directory).ok());
        below.map(|below| below.display().to_string()).filter(|name| name != SENTINEL).collect()
    }

    /// Does it, and waits until all has been told.
    fn play(&mut self, save: &Save) {
        match save.how {
            Shell(script) | With(_, script) => self.run(save.pattern, script),
            Calls(calls) => calls(&self.directory()),
        }
        let is_told = |scene: &Scene, rule| {
            let has = |event, name: &str| scene.names(rule, event).contains(name);
            let told = |(event, name): &(&str, &str)| has(EventMask::from_name(event).expect("a name"), name);
            save.told.iter().all(told) && save.arrives.iter().all(|name| has(EventMask::ARRIVED, name))
        };
        self.until(save.pattern, |scene| {
            is_told(scene, TREE) && (save.is_deep() || is_told(scene, DIRECTORY))
        });
        self.pass();
        assert_eq!(
            self.names(DIRECTORY, EventMask::ARRIVED),
            save.arrivals(|name| !name.contains('/')),
            "{}",
            save.pattern
        );
        assert_eq!(
            self.names(TREE, EventMask::ARRIVED),
            save.arrivals(|_| true),
            "{}: {:#?}",
            save.pattern,
            self.watched.summary()
        );
        assert_eq!(
            self.names(FILE, EventMask::ARRIVED),
            save.arrivals(|name| name == "f"),
            "{}",
            save.pattern
        );
    }

    /// Runs a script, and looks that nothing has arrived where it holds.
    #[expect(clippy::disallowed_methods, reason = "a test is nobody's daemon")]
    fn run(&mut self, pattern: &str, script: &str) {
        let script = format!("hold() {{ echo held; read go; }}; {script}");
        let mut command = Command::new("/bin/sh");
        command.args(["-ec", &script]).current_dir(self.directory());
        command.env("OUT", self.ground.at("out")).env("FAR", self.far.path());
        let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
        for line in BufReader::new(shell.stdout.take().expect("a pipe")).lines() {
            assert_eq!(line.expect("UTF-8"), "held", "{pattern}");
            self.pass();
            assert_eq!(self.names(TREE, EventMask::ARRIVED), BTreeSet::new(), "{pattern}");
            shell.stdin.take().expect("a pipe").write_all(b"go\n").expect("it reads");
        }
        assert!(shell.wait().expect("it ends").success(), "{pattern}");
    }

    /// Waits until all that happened has been told, and what was to come.
    fn pass(&mut self) {
        self.mark_time();
        self.watched.quiet();
    }

    /// Waits until all that happened has been told.
    fn mark_time(&mut self) {
        let path = self.directory().join(SENTINEL);
        let before = self.watched.count(EventMask::ARRIVED, &path);
        fs::write(&path, "x").expect("a file");
        // Told to the directory and to the tree.
        self.until(SENTINEL, |scene| scene.watched.count(EventMask::ARRIVED, &path) >= before + 2);
    }

    fn until(&mut self, what: &str, is_so: impl Fn(&Scene) -> bool) {
        let end = clock::monotonic() + LIMIT;
        while !is_so(self) {
            assert!(clock::monotonic() < end, "never {what}: {:#?}", self.watched.summary());
            self.watched.turn(Duration::from_millis(20));
        }
    }

    /// Makes everything as it was.
    fn reset(&mut self) {
        let again = "rm -rf \"$1\"/* \"$1\"/.[!.]* \"$2\"; mkdir \"$2\"; echo x > \"$1/f\"";
        self.watched.forget();
        shell(again, &[&self.directory(), &self.ground.at("out")]);
        let is_made = |scene: &Scene| {
            [DIRECTORY, TREE, FILE].iter().all(|rule| scene.names(*rule, EventMask::ARRIVED).contains("f"))
        };
        self.until("made again", is_made);
        self.mark_time();
        self.watched.forget();
    }
}

impl Save {
    fn is_deep(&self) -> bool {
        self.arrives.iter().any(|name| name.contains('/'))
    }

    fn arrivals(&self, is_told: impl Fn(&str) -> bool) -> BTreeSet<String> {
        self.arrives.iter().filter(|name| is_told(name)).map(|name| (*name).to_owned()).collect()
    }
}

fn every_save(name: &str) {
    let mut scene = Scene::new();
    for save in SAVES {
        if let With(program, _) = save.how
            && !require(name, program, can(program))
        {
            continue;
        }
        scene.reset();
        scene.play(save);
    }
}

#[test]
fn every_save_arrives() {
    every_save("every_save_arrives");
}

#[test]
fn every_save_arrives_for_a_user() {
    if is_user("saves::every_save_arrives_for_a_user") {
        every_save("every_save_arrives_for_a_user");
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

/// Files that are looked at just when they are closed: a look and the event must not both tell of it.
#[test]
fn a_file_that_is_closed_while_it_is_looked_at_arrives_once() {
    let ground = Ground::new();
    let mut watched = Watched::new(&rule(&ground.path(), "on = 'arrived'"));
    let name = |writer: u32, number: u32| ground.at(format!("{writer}-{number}"));
    let write = |writer| {
        for number in 0..FILES {
            let file = fs::File::create(name(writer, number)).expect("a file");
            // About as long as it takes until it is looked at first.
            std::thread::sleep(Duration::from_micros(u64::from(number)));
            drop(file);
        }
    };
    std::thread::scope(|scope| {
        let writers = (0..WRITERS).map(|writer| {
            scope.spawn({
                let write = &write;
                move || write(writer)
            })
        });
        let writers: Vec<_> = writers.collect();
        let all = (WRITERS * FILES) as usize;
        watched.until("all files", |watched| watched.events().count() >= all);
        writers.into_iter().for_each(|writer| writer.join().expect("written"));
    });
    watched.quiet();
    let counts = (0..WRITERS).flat_map(|writer| (0..FILES).map(move |number| (writer, number)));
    let twice: Vec<_> = counts
        .map(|(writer, number)| watched.count(EventMask::ARRIVED, &name(writer, number)))
        .filter(|count| *count != 1)
        .collect();
    assert_eq!(twice, Vec::<usize>::new());
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
fn a_file_without_a_name_arrives_when_it_has_one_and_nobody_writes_it() {
    let ground = Ground::new();
    let mut watched = Watched::new(&rule(&ground.path(), "on = 'arrived'"));
    let file = nameless(&ground.path());
    watched.quiet();
    assert_eq!(watched.events().count(), 0, "{:#?}", watched.summary());
    drop(file);
    watched.expect(EventMask::ARRIVED, &ground.at("n"));
}
