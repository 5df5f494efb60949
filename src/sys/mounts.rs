//! What is mounted where, from /proc/self/mountinfo: proc_pid_mountinfo(5). The parser is pure and total.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Bytes of mountinfo that are read at most: some 100 000 mounts.
const MOUNTINFO_LEN_MAX: u64 = 16 * 1024 * 1024;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Unique among those that are mounted; used again later.
    pub id: u32,
    /// `st_dev` of what lies on it, in stat(2)'s form (but not on btrfs).
    pub device: u64,
    /// The directory of the file system that is its root.
    pub root: PathBuf,
    /// Where it is mounted.
    pub point: PathBuf,
    /// What can be expected of it.
    pub nature: Nature,
    /// The file system's type.
    pub kind: OsString,
}

/// What can be expected of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Nature {
    /// The kernel alone answers, and soon.
    Local,
    /// Another process or machine answers, or nobody: whatever touches it may block for ever.
    Foreign,
    /// Made up by the kernel from its own state: a walk into it finds no files of anybody.
    Pseudo,
}

/// All mounts of this process's mount namespace, in the order of mounting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountTable(Vec<Mount>);

/// /proc/self/mountinfo, held open: poll(2) tells of changes as POLLPRI and POLLERR.
#[derive(Debug)]
pub struct Mountinfo(File);

/// Types that another process or machine answers for.
const FOREIGN: &[&str] = &[
    "9p",
    "acfs",
    "afs",
    "autofs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "davfs",
    "exafs",
    "fuse",
    "fuseblk",
    "gfs2",
    "glusterfs",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "orangefs",
    "prl_fs",
    "pvfs2",
    "smb3",
    "smbfs",
    "vboxsf",
    "virtiofs",
    "vmhgfs",
];

/// Types that the kernel makes up from its own state.
const PSEUDO: &[&str] = &[
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "cpuset",
    "debugfs",
    "devpts",
    "efivarfs",
    "fusectl",
    "mqueue",
    "nfsd",
    "nsfs",
    "proc",
    "pstore",
    "resctrl",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "sysfs",
    "tracefs",
];

impl Mountinfo {
    /// Opens it.
    ///
    /// # Errors
    /// /proc is not mounted.
    pub fn open() -> io::Result<Mountinfo> {
        File::open("/proc/self/mountinfo").map(Mountinfo)
    }

    /// Whether something was mounted, moved or unmounted since this was asked last: poll(2), POLLPRI.
    ///
    /// A poll takes the news away, even one by an epoll set that is itself polled. So what wakes a loop and what is
    /// asked here have to be two of these.
    ///
    /// # Errors
    /// The system refuses to tell.
    pub fn has_changed(&self) -> io::Result<bool> {
        let mut polled = [PollFd::new(self.0.as_fd(), PollFlags::POLLPRI)];
        Ok(poll(&mut polled, PollTimeout::ZERO)? > 0)
    }

    /// Reads it from its start.
    ///
    /// # Errors
    /// The system refuses to read.
    pub fn read(&mut self) -> io::Result<MountTable> {
        io::Seek::rewind(&mut self.0)?;
        let mut text = Vec::new();
        self.0.by_ref().take(MOUNTINFO_LEN_MAX).read_to_end(&mut text)?;
        Ok(MountTable::parse(&text))
    }
}

impl AsFd for Mountinfo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl MountTable {
    /// Reads the text of mountinfo; a line that is none is passed over.
    pub fn parse(text: &[u8]) -> MountTable {
        MountTable(text.split(|byte| *byte == b'\n').filter_map(mount).collect())
    }

    /// The mount that is seen at this very path, the topmost where there are several.
    pub fn at(&self, point: &Path) -> Option<&Mount> {
        self.0.iter().rev().find(|mount| mount.point == point)
    }

    /// The mount that a path without links lies on.
    pub fn of(&self, path: &Path) -> Option<&Mount> {
        path.ancestors().find_map(|ancestor| self.at(ancestor))
    }

    /// What is mounted below a directory: for each mount point the topmost mount, in the order of paths.
    pub fn below(&self, directory: &Path) -> Vec<&Mount> {
        let below = |mount: &&Mount| mount.point != directory && mount.point.starts_with(directory);
        let mut mounts: Vec<&Mount> = self.0.iter().rev().filter(below).collect();
        mounts.sort_by(|a, b| a.point.cmp(&b.point));
        mounts.dedup_by(|a, b| a.point == b.point);
        mounts
    }

    /// The points of all mounts that are in one of two tables only: what came, went, or moved.
    pub fn difference<'t>(&'t self, other: &'t MountTable) -> impl Iterator<Item = &'t Path> {
        let only = |these: &'t MountTable, those: &'t MountTable| {
            these.0.iter().filter(|mount| !those.0.contains(mount)).map(|mount| mount.point.as_path())
        };
        only(self, other).chain(only(other, self))
    }

    /// The mount of this id.
    pub fn by_id(&self, id: u32) -> Option<&Mount> {
        self.0.iter().find(|mount| mount.id == id)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Mount> {
        self.0.iter()
    }
}

/// The id of the mount that an opened object was reached through, from /proc/self/fdinfo: nobody but the kernel is asked.
///
/// # Errors
/// /proc is not mounted.
pub fn id_of(fd: BorrowedFd<'_>) -> io::Result<u32> {
    let text = std::fs::read(format!("/proc/self/fdinfo/{}", std::os::fd::AsRawFd::as_raw_fd(&fd)))?;
    let mut lines = text.split(|byte| *byte == b'\n');
    let id = lines.find_map(|line| number(line.strip_prefix(b"mnt_id:")?.trim_ascii()));
    id.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// One line: `36 35 98:0 /root /point options [fields…] - type source options`.
fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = number(fields.next()?)?;
    let _parent: u32 = number(fields.next()?)?;
    let device = fields.next()?;
    let colon = device.iter().position(|byte| *byte == b':')?;
    let device = libc::makedev(number(&device[..colon])?, number(&device[colon + 1..])?);
    let root = PathBuf::from(unescape(fields.next()?));
    let point = PathBuf::from(unescape(fields.next()?));
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    let kind = unescape(kind);
    (point.is_absolute()).then(|| Mount { id, device, root, point, nature: Nature::of(&kind), kind })
}

fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Space, tab, newline, backslash and `#` are written as a backslash and three octal digits.
fn unescape(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = match (first, octal(after)) {
            (b'\\', Some(byte)) => (byte, &after[3..]),
            (byte, _) => (*byte, after),
        };
        bytes.push(byte);
        rest = after;
    }
    OsString::from_vec(bytes)
}

fn octal(digits: &[u8]) -> Option<u8> {
    digits.first_chunk::<3>()?.iter().try_fold(0_u8, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
        value.checked_mul(8)?.checked_add(digit)
    })
}

impl Nature {
    /// What can be expected of a file system of this type; `fuse.sshfs` is a `fuse`.
    pub fn of(kind: &OsStr) -> Nature {
        let kind = kind.as_bytes().split(|byte| *byte == b'.').next().unwrap_or_default();
        let is_in = |kinds: &[&str]| kinds.iter().any(|known| known.as_bytes() == kind);
        if is_in(FOREIGN) {
            Nature::Foreign
        } else if is_in(PSEUDO) {
            Nature::Pseudo
        } else {
            Nature::Local
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = br"22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:5 / /proc rw - proc proc rw
30 22 0:40 / /mnt/a\040b rw shared:1 master:2 - tmpfs none rw
31 30 0:41 /sub /mnt/a\040b/c rw - fuse.sshfs host:\134x rw
rubbish
32 22 0:42 / /mnt/a\040b/c rw - xfs /dev/loop0 rw
33 22 7 / /x rw - xfs none rw
";

    #[test]
    fn a_line_becomes_a_mount() {
        let table = MountTable::parse(TEXT);
        assert_eq!(table.iter().count(), 5);
        let mount = table.iter().nth(3).expect("the fourth");
        assert_eq!((mount.id, mount.device), (31, libc::makedev(0, 41)));
        assert_eq!((&*mount.root, &*mount.point), (Path::new("/sub"), Path::new("/mnt/a b/c")));
        assert_eq!((mount.nature, mount.kind.as_os_str()), (Nature::Foreign, OsStr::new("fuse.sshfs")));
    }

    #[test]
    fn the_topmost_mount_counts() {
        let table = MountTable::parse(TEXT);
        let id = |path: &str| table.of(Path::new(path)).map(|mount| mount.id);
        assert_eq!(id("/mnt/a b/c/d"), Some(32));
        assert_eq!(id("/mnt/a b"), Some(30));
        assert_eq!(id("/mnt/a bc"), Some(22));
        assert_eq!(id("/proc/1"), Some(23));
        let below: Vec<u32> = table.below(Path::new("/mnt")).iter().map(|mount| mount.id).collect();
        assert_eq!(below, [30, 32]);
    }

    #[test]
    fn the_difference_names_what_came_and_what_went() {
        let table = MountTable::parse(TEXT);
        let later = MountTable::parse(&TEXT[..TEXT.len() / 2]);
        let points: Vec<&Path> = later.difference(&table).collect();
        assert!(points.contains(&Path::new("/mnt/a b/c")) && !points.contains(&Path::new("/")), "{points:?}");
        assert_eq!(table.difference(&table).count(), 0);
    }

    #[test]
    fn no_text_makes_it_panic() {
        for len in 0..TEXT.len() {
            MountTable::parse(&TEXT[..len]);
            let mut text = TEXT.to_vec();
            for byte in [0, b' ', b'\\', b'9', 0xff] {
                text[len] = byte;
                MountTable::parse(&text);
            }
        }
    }

    #[test]
    fn this_machine_has_a_root() {
        let table = Mountinfo::open().and_then(|mut mountinfo| mountinfo.read()).expect("mountinfo");
        assert!(table.at(Path::new("/")).is_some());
    }
}
