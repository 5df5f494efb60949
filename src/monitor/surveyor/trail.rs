//! Following a path to where it leads, component by component, and noting all that may make it lead elsewhere.

use std::collections::{HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::readlinkat;

use super::super::atlas::NodeId;
use super::super::traffic::Token;
use crate::matcher::{Attachment, What};
use crate::sys::handle::{self, Handle, ObjectKey};
use crate::sys::mounts::{MountTable, Nature};
use crate::sys::place::{self, Kind};

/// Symbolic links on one way, as in path_resolution(7).
const LINKS_MAX: u32 = 40;

/// Where a path leads.
#[derive(Debug)]
pub struct Trail {
    /// What matters on the way.
    pub attachments: Vec<Attachment>,
    /// What is at its end.
    pub end: End,
    /// The path's own entry, if that is a link to something that is no directory.
    pub link: Option<Link>,
}

/// A symbolic link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The directory that it is in, without links, and which that is.
    pub parent: (PathBuf, ObjectKey),
    /// Its name there.
    pub name: OsString,
    /// Which link.
    pub key: Option<ObjectKey>,
}

/// What is at the end of a path.
#[derive(Clone, Debug)]
pub enum End {
    /// Nothing.
    Missing,
    /// Something that is no directory.
    File {
        /// The directory that it is in.
        parent: Rc<Place>,
        /// Its name there.
        name: OsString,
        /// Which file, where the file system has handles.
        key: Option<ObjectKey>,
    },
    /// A directory.
    Directory(Rc<Place>),
    /// Something that may block begins here: not to be touched by this thread.
    Foreign(PathBuf),
    /// We cannot go on.
    Refused {
        /// Where.
        at: PathBuf,
        /// Why.
        errno: Errno,
    },
}

/// A directory, held for as long as it is dealt with: it could not be unmounted meanwhile.
#[derive(Debug)]
pub struct Place {
    /// Its path without links.
    pub path: PathBuf,
    /// The directory as a mere place.
    pub fd: OwnedFd,
    /// Its handle.
    pub handle: Handle,
    /// Its file system as fanotify names it.
    pub fsid: [i32; 2],
    /// `st_dev`.
    pub device: u64,
    /// The mount that it is seen through.
    pub mount: u64,
}

/// Follows paths; remembers the directories that it saw, so that many rules below one directory cost little.
#[derive(Debug)]
pub struct Scout<'m> {
    mounts: &'m MountTable,
    known: HashMap<PathBuf, Rc<Place>>,
    /// The one mount point that may block and is still to be passed: this surveyor is there for it.
    realm: Option<&'m Path>,
}

/// One walk along a path.
struct Journey<'s, 'm> {
    scout: &'s mut Scout<'m>,
    attachments: Vec<Attachment>,
    rest: VecDeque<OsString>,
    links: u32,
    /// Whether the last name of the path as it was written is behind.
    is_past_own: bool,
    own_link: Option<Link>,
}

impl<'m> Scout<'m> {
    /// One that has seen nothing yet.
    pub fn new(mounts: &'m MountTable, realm: Option<&'m Path>) -> Scout<'m> {
        Scout { mounts, known: HashMap::new(), realm }
    }

    /// Follows a path.
    pub fn follow(&mut self, written: &Path) -> Trail {
        let rest = names(written).collect();
        let mut journey = Journey {
            scout: self,
            attachments: Vec::new(),
            rest,
            links: 0,
            is_past_own: false,
            own_link: None,
        };
        let end = journey.run().unwrap_or_else(|end| end);
        let link = match end {
            End::File { .. } | End::Missing => journey.own_link.take(),
            End::Directory(_) | End::Foreign(_) | End::Refused { .. } => None,
        };
        if let Some(link) = &link {
            // What happens to the link happens to the path, as it does to what the link leads to.
            journey.attach(&link.parent.0, What::Own(link.name.as_os_str().into()));
        }
        let mut attachments = journey.attachments;
        attachments.sort();
        attachments.dedup();
        Trail { attachments, end, link }
    }

    /// A directory by its path without links.
    ///
    /// # Errors
    /// It is not there, is no directory, or there is a link on the way.
    pub fn directory(&mut self, path: &Path) -> Result<Rc<Place>, Errno> {
        if let Some(place) = self.known.get(path) {
            return Ok(Rc::clone(place));
        }
        let fd = place::touch_straight(place::ANYWHERE, path)?;
        let status = place::status(fd.as_fd())?;
        if status.kind != Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        self.remember(path.to_owned(), fd, status.device)
    }

    fn remember(&mut self, path: PathBuf, fd: OwnedFd, device: u64) -> Result<Rc<Place>, Errno> {
        let handle = handle::of(fd.as_fd(), Path::new("."))?;
        let fsid = place::fsid(fd.as_fd())?;
        let mount = place::mount_id(fd.as_fd())?;
        let place = Rc::new(Place { path: path.clone(), fd, handle, fsid, device, mount });
        self.known.insert(path, Rc::clone(&place));
        Ok(place)
    }

    fn is_foreign(&self, path: &Path) -> bool {
        self.realm != Some(path) && self.mounts.at(path).is_some_and(|mount| mount.nature == Nature::Foreign)
    }
}

impl Journey<'_, '_> {
    fn run(&mut self) -> Result<End, End> {
        let mut here = self.scout.directory(Path::new("/")).map_err(refused(Path::new("/")))?;
        while let Some(name) = self.rest.pop_front() {
            here = if name == ".." {
                let parent = here.path.parent().unwrap_or(Path::new("/")).to_owned();
                self.scout.directory(&parent).map_err(refused(&parent))?
            } else {
                self.step(&here, &name)?
            };
        }
        self.attach(&here.path, What::Home);
        if let (Some(parent), Some(name)) = (here.path.parent(), here.path.file_name()) {
            self.attach(parent, What::Own(name.into()));
        }
        Ok(End::Directory(here))
    }

    /// Goes through one entry; an error is an end before the last directory.
    fn step(&mut self, here: &Rc<Place>, name: &OsStr) -> Result<Rc<Place>, End> {
        let path = here.path.join(name);
        if self.scout.is_foreign(&path) {
            return Err(End::Foreign(path));
        }
        if let Some(place) = self.scout.known.get(&path) {
            let place = Rc::clone(place);
            self.attach(&path, What::Passage);
            return Ok(place);
        }
        let fd = match place::touch(here.fd.as_fd(), Path::new(name)) {
            Ok(fd) => fd,
            Err(Errno::ENOENT) => return Err(self.missing(here, name)),
            Err(errno) => return Err(End::Refused { at: path, errno }),
        };
        let status = place::status(fd.as_fd()).map_err(refused(&path))?;
        match status.kind {
            Kind::Directory => {
                self.attach(&path, What::Passage);
                self.scout.remember(path.clone(), fd, status.device).map_err(refused(&path))
            }
            Kind::Link => self.link(here, name, &fd),
            Kind::File | Kind::Special if self.rest.is_empty() => {
                let key = handle::of(here.fd.as_fd(), Path::new(name)).ok();
                // A file may itself be a mount point: what lies there is on a file system of its own.
                let fsid = place::fsid(fd.as_fd()).unwrap_or(here.fsid);
                self.attach(&here.path, What::Own(name.into()));
                self.attach(&here.path, What::Way(name.into()));
                let key = key.map(|handle| handle.on(fsid));
                Err(End::File { parent: Rc::clone(here), name: name.to_owned(), key })
            }
            // A file where a directory should be: it may be replaced by one.
            Kind::File | Kind::Special => {
                self.attach(&here.path, What::Way(name.into()));
                Err(End::Missing)
            }
        }
    }

    fn missing(&mut self, here: &Place, name: &OsStr) -> End {
        self.attach(&here.path, What::Way(name.into()));
        if self.rest.is_empty() {
            self.attach(&here.path, What::Own(name.into()));
        }
        End::Missing
    }

    fn link(&mut self, here: &Rc<Place>, name: &OsStr, link: &OwnedFd) -> Result<Rc<Place>, End> {
        self.attach(&here.path, What::Way(name.into()));
        if self.rest.is_empty() && !self.is_past_own {
            let key = handle::of(here.fd.as_fd(), Path::new(name)).ok();
            let key = key.map(|handle| handle.on(here.fsid));
            let parent = (here.path.clone(), here.key());
            self.own_link = Some(Link { parent, name: name.to_owned(), key });
            self.is_past_own = true;
        }
        let path = here.path.join(name);
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(End::Refused { at: path, errno: Errno::ELOOP });
        }
        let target = PathBuf::from(readlinkat(link, "").map_err(refused(&path))?);
        for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
            self.rest.push_front(name);
        }
        match target.is_absolute() {
            true => self.scout.directory(Path::new("/")).map_err(refused(Path::new("/"))),
            false => Ok(Rc::clone(here)),
        }
    }

    fn attach(&mut self, directory: &Path, what: What) {
        self.attachments.push(Attachment { directory: directory.into(), what });
    }
}

impl Place {
    /// The directory by its handle.
    pub fn key(&self) -> ObjectKey {
        self.handle.on(self.fsid)
    }

    /// … as a group tells of it.
    pub fn id(&self, token: Token) -> NodeId {
        NodeId { token, key: self.key(), mount: self.mount }
    }
}

/// The components of a path that have to be walked through.
fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

fn refused(at: &Path) -> impl FnOnce(Errno) -> End {
    let at = at.to_owned();
    move |errno| End::Refused { at, errno }
}
