//! Every file system that facron promises to watch, on an image of its own: made, mounted, changed, unmounted while it
//! is watched, and mounted again. What the machine lacks is SKIPPED by name.

use std::fs;
use std::path::{Path, PathBuf};

use facron::event::EventMask;

use crate::common::{require, require_root};
use crate::ground::{Ground, can, shell, unmount};
use crate::kit::{Watched, rule};

/// A file system under test.
struct Subject {
    /// What is looked for in /proc/filesystems.
    kernel: &'static str,
    /// Programs that are needed.
    programs: &'static [&'static str],
    /// Makes it: `$1` is a directory to work in.
    make: &'static str,
    /// Mounts it on `$1/point`.
    mount: &'static str,
    /// How a tree is watched there when a mark on the file system is asked for.
    by: &'static str,
}

const EXT4: Subject = Subject {
    kernel: "ext4",
    programs: &["mkfs.ext4"],
    make: "truncate -s 32M \"$1/image\"; mkfs.ext4 -qF \"$1/image\"",
    mount: "mount -o loop \"$1/image\" \"$1/point\"",
    by: "filesystem",
};
const XFS: Subject = Subject {
    kernel: "xfs",
    programs: &["mkfs.xfs"],
    make: "truncate -s 320M \"$1/image\"; mkfs.xfs -qf \"$1/image\"",
    mount: "mount -o loop \"$1/image\" \"$1/point\"",
    by: "filesystem",
};
const BTRFS: Subject = Subject {
    kernel: "btrfs",
    programs: &["mkfs.btrfs"],
    make: "truncate -s 160M \"$1/image\"; mkfs.btrfs -qf \"$1/image\"",
    mount: "mount -o loop \"$1/image\" \"$1/point\"",
    by: "filesystem",
};
const BTRFS_SUBVOLUME: Subject = Subject {
    kernel: "btrfs",
    programs: &["mkfs.btrfs", "btrfs"],
    make: "truncate -s 160M \"$1/image\"; mkfs.btrfs -qf \"$1/image\"; mount -o loop \"$1/image\" \"$1/point\"; \
           btrfs -q subvolume create \"$1/point/volume\"; umount \"$1/point\"",
    mount: "mount -o loop,subvol=volume \"$1/image\" \"$1/point\"",
    by: "directories",
};
const VFAT: Subject = Subject {
    kernel: "vfat",
    programs: &["mkfs.vfat"],
    make: "truncate -s 32M \"$1/image\"; mkfs.vfat \"$1/image\"",
    mount: "mount -o loop \"$1/image\" \"$1/point\"",
    by: "filesystem",
};
const TMPFS: Subject = Subject {
    kernel: "tmpfs",
    programs: &[],
    make: ":",
    mount: "mount -t tmpfs test \"$1/point\"; mkdir -p \"$1/point/in\"",
    by: "filesystem",
};
const OVERLAY: Subject = Subject {
    kernel: "overlay",
    programs: &[],
    make: "mkdir \"$1/lower\" \"$1/upper\" \"$1/work\"",
    mount: "mount -t overlay -o \"lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work\" test \"$1/point\"",
    by: "directories",
};
const OVERLAY_EXPORTED: Subject = Subject {
    kernel: "overlay",
    programs: &["mkfs.ext4"],
    make: "mkdir \"$1/base\"; truncate -s 32M \"$1/image\"; mkfs.ext4 -qF \"$1/image\"; \
           mount -o loop \"$1/image\" \"$1/base\"; mkdir \"$1/base/lower\" \"$1/base/upper\" \"$1/base/work\"",
    mount: "b=\"$1/base\"; mount -t overlay \
            -o \"index=on,nfs_export=on,lowerdir=$b/lower,upperdir=$b/upper,workdir=$b/work\" test \"$1/point\"",
    by: "filesystem",
};
const BIND: Subject = Subject {
    kernel: "ext4",
    programs: &["mkfs.ext4"],
    make: "mkdir \"$1/base\"; truncate -s 32M \"$1/image\"; mkfs.ext4 -qF \"$1/image\"; \
           mount -o loop \"$1/image\" \"$1/base\"; mkdir \"$1/base/part\"",
    mount: "mount --bind \"$1/base/part\" \"$1/point\"",
    by: "filesystem",
};
const BINDFS: Subject = Subject {
    kernel: "fuse",
    programs: &["bindfs"],
    make: "mkdir \"$1/base\"",
    mount: "bindfs \"$1/base\" \"$1/point\"",
    by: "directories",
};
const FUSE2FS: Subject = Subject {
    kernel: "fuse",
    programs: &["mkfs.ext4", "fuse2fs"],
    make: "truncate -s 32M \"$1/image\"; mkfs.ext4 -qF \"$1/image\"",
    mount: "fuse2fs -o fakeroot \"$1/image\" \"$1/point\" >/dev/null 2>&1",
    by: "directories",
};

fn is_there(name: &str, subject: &Subject) -> bool {
    // It may be a module that nobody has asked for yet.
    shell(&format!("modprobe {} 2>/dev/null || true", subject.kernel), &[]);
    let known = fs::read_to_string("/proc/filesystems").expect("proc");
    let has = known.lines().any(|line| line.split_whitespace().last() == Some(subject.kernel));
    require_root(name)
        && (has || skip(name, &format!("a kernel with {}", subject.kernel)))
        && subject.programs.iter().all(|program| require(name, program, can(program)))
}

/// All that a tree and a file are to be told, through one mount.
fn changes(watched: &mut Watched, path: &Path) {
    fs::create_dir_all(path.join("made/deep")).expect("directories");
    fs::write(path.join("made/deep/f"), "x").expect("a file");
    watched.expect(EventMask::ARRIVED, &path.join("made/deep/f"));
    shell("echo y >> \"$1\"", &[&path.join("made/deep/f")]);
    fs::rename(path.join("made/deep/f"), path.join("g")).expect("moved");
    watched.expect(EventMask::ARRIVED, &path.join("g"));
    watched.expect(EventMask::MOVED_FROM, &path.join("made/deep/f"));
    fs::rename(path.join("made"), path.join("named")).expect("renamed");
    fs::write(path.join("named/deep/h"), "x").expect("a file");
    watched.expect(EventMask::ARRIVED, &path.join("named/deep/h"));
    fs::remove_file(path.join("g")).expect("removed");
    watched.expect(EventMask::DELETE, &path.join("g"));
    fs::remove_dir_all(path.join("named")).expect("removed");
    watched.expect(EventMask::DELETE, &path.join("named/deep/h"));
}

fn is_watched(name: &str, subject: &Subject) {
    if !is_there(name, subject) {
        return;
    }
    let mut ground = Ground::new();
    let point = ground.at("point");
    fs::create_dir(&point).expect("a directory");
    ground.mounted(&ground.at("base"));
    ground.mounted(&point);
    shell(subject.make, &[&ground.path()]);
    shell(subject.mount, &[&ground.path()]);
    let path = point.join("in");
    fs::create_dir_all(&path).expect("a directory");
    for mark in ["filesystem", "auto"] {
        let rules = format!(
            "{}{}",
            rule(&path, &format!("scope = 'tree'\nmark = '{mark}'")),
            rule(&path.join("file"), "").replace("'r'", "'file'")
        );
        let mut watched = Watched::new(&rules);
        let by = if mark == "auto" { "directories" } else { subject.by };
        assert_eq!(watched.standing_of(0), by, "{name} {mark}: {:#?}", watched.summary());
        changes(&mut watched, &path);
        shell("echo x > \"$1\"", &[&path.join("file")]);
        watched.until("the file's own rule", |watched| watched.count_of(1) > 0);
        watched.quiet();
        watched.forget();
        unmount(&point);
        watched.until("waiting", |watched| watched.standing_of(0) == "waiting");
        watched.forget();
        shell(subject.mount, &[&ground.path()]);
        watched.until("mounted again", |watched| watched.standing_of(0) == by);
        changes(&mut watched, &path);
    }
}

macro_rules! subjects {
    ($($test:ident $subject:ident)*) => {
        $(#[test]
        fn $test() {
            is_watched(stringify!($test), &$subject);
        })*
    };
}

subjects! {
    ext4_is_watched EXT4
    xfs_is_watched XFS
    btrfs_is_watched BTRFS
    a_subvolume_of_btrfs_is_watched BTRFS_SUBVOLUME
    vfat_is_watched VFAT
    tmpfs_is_watched TMPFS
    overlay_is_watched OVERLAY
    overlay_with_file_handles_is_watched OVERLAY_EXPORTED
    a_bind_mount_is_watched BIND
    bindfs_is_watched BINDFS
    fuse2fs_is_watched FUSE2FS
}

fn a_read_only_one_is_watched(
    name: &str,
    kernel: &'static str,
    programs: &'static [&'static str],
    mount: &str,
) {
    let subject = Subject { kernel, programs, make: "", mount: "", by: "" };
    if !is_there(name, &subject) || !require(name, "mksquashfs", can("mksquashfs")) {
        return;
    }
    let mut ground = Ground::new();
    let point = ground.at("point");
    fs::create_dir_all(ground.at("source/in/deep")).expect("directories");
    fs::create_dir(&point).expect("a directory");
    fs::write(ground.at("source/in/deep/f"), "x").expect("a file");
    shell("mksquashfs \"$1/source\" \"$1/image\" -quiet -no-progress >/dev/null", &[&ground.path()]);
    ground.mounted(&point);
    let path = point.join("in");
    let mut watched = Watched::new(&rule(&path, "scope = 'tree'\non = ['open', 'arrived']"));
    assert_eq!(watched.standing(), "waiting");
    shell(mount, &[&ground.path()]);
    // It was not there before, so all of it has just come.
    watched.expect(EventMask::ARRIVED, &path.join("deep/f"));
    watched.until("armed", |watched| watched.standing() == "directories");
    shell("cat \"$1\" > /dev/null", &[&path.join("deep/f")]);
    watched.expect(EventMask::OPEN, &path.join("deep/f"));
    watched.quiet();
    unmount(&point);
    watched.until("waiting", |watched| watched.standing() == "waiting");
}

#[test]
fn squashfs_is_watched() {
    let mount = "mount -o loop \"$1/image\" \"$1/point\"";
    a_read_only_one_is_watched("squashfs_is_watched", "squashfs", &[], mount);
}

#[test]
fn squashfuse_is_watched() {
    let mount = "squashfuse \"$1/image\" \"$1/point\"";
    a_read_only_one_is_watched("squashfuse_is_watched", "fuse", &["squashfuse"], mount);
}

/// Several of them in one monitor, those whose id forbids sharing a group between others.
#[test]
fn file_systems_of_all_kinds_are_watched_together() {
    let name = "file_systems_of_all_kinds_are_watched_together";
    let subjects = [&BINDFS, &TMPFS, &BTRFS_SUBVOLUME, &EXT4, &OVERLAY];
    if !subjects.iter().all(|subject| is_there(name, subject)) {
        return;
    }
    let mut ground = Ground::new();
    let mut rules = String::new();
    let mut paths: Vec<PathBuf> = Vec::new();
    for (number, subject) in subjects.iter().enumerate() {
        let place = ground.at(number.to_string());
        fs::create_dir_all(place.join("point")).expect("directories");
        ground.mounted(&place.join("point"));
        shell(subject.make, &[&place]);
        shell(subject.mount, &[&place]);
        rules += &rule(&place.join("point"), "scope = 'tree'").replace("'r'", &format!("'r{number}'"));
        paths.push(place.join("point"));
    }
    let mut watched = Watched::new(&rules);
    for path in &paths {
        changes(&mut watched, path);
    }
    // A tree that all of them are below.
    watched.set_rules(&rule(&ground.path(), "scope = 'tree'"));
    for path in &paths {
        changes(&mut watched, path);
    }
}

/// Says loudly that a test is skipped because no installation could give the kernel what it needs; gives `false`.
fn skip(name: &str, what: &str) -> bool {
    // Not eprintln!: the harness swallows what a passing test prints by it.
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("SKIPPED {name}: needs {what}\n"));
    false
}

/// A subvolume is a file system of its own, without a mount of its own.
#[test]
fn a_subvolume_in_a_tree_is_watched() {
    let name = "a_subvolume_in_a_tree_is_watched";
    if !is_there(name, &BTRFS_SUBVOLUME) {
        return;
    }
    let mut ground = Ground::new();
    let point = ground.at("point");
    fs::create_dir(&point).expect("a directory");
    shell(BTRFS_SUBVOLUME.make, &[&ground.path()]);
    ground.mounted(&point);
    shell(BTRFS_SUBVOLUME.mount, &[&ground.path()]);
    shell(
        "mkdir -p \"$1/tree/x\"; btrfs -q subvolume create \"$1/tree/vol\"; mkdir \"$1/tree/vol/d\"",
        &[&point],
    );
    let mut watched = Watched::new(&rule(&point.join("tree"), "scope = 'tree'"));
    for path in ["x/f", "vol/f", "vol/d/f"] {
        let path = point.join("tree").join(path);
        fs::write(&path, "x").expect("a file");
        watched.expect(EventMask::ARRIVED, &path);
    }
    drop(watched);
    unmount(&point);
}
