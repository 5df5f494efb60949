//! Where on the system each rule's path is attached, by real directories.
//!
//! A path as a rule wrote it (a *root*) leads through real directories to a file or a directory, or ends where
//! something is missing. Each directory that matters for it is a [`Site`]: the root's own name in it, a name on the
//! way that may come to mean something else, or the directory itself. What happens in a directory concerns the
//! roots of its own site, and those trees whose home is above it: a few look-ups, whatever the number of rules.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

/// A path as rules wrote it; rules that wrote the same path share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootId(pub u32);

/// A real directory that matters for a root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attachment {
    /// Absolute, without links.
    pub directory: Arc<Path>,
    /// How it matters.
    pub what: What,
}

/// How a directory matters for a root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// This entry of it is the root.
    Own(Arc<OsStr>),
    /// This entry of it is on the way to the root: a symbolic link, or what is missing.
    Way(Arc<OsStr>),
    /// The directory is on the way to the root, or the root itself: it must not go away unseen.
    Passage,
    /// The directory is the root.
    Home,
}

/// A few roots, in order: nearly always one.
#[derive(Clone, Debug, Default)]
struct Few(Vec<RootId>);

/// What one directory means to the roots.
#[derive(Clone, Debug, Default)]
pub struct Site {
    own: HashMap<Arc<OsStr>, Few>,
    way: HashMap<Arc<OsStr>, Few>,
    passage: BTreeSet<RootId>,
    home: Few,
}

/// Every root's attachments, by directory.
#[derive(Debug, Default)]
pub struct Index {
    sites: HashMap<Arc<Path>, Arc<Site>>,
    attached: HashMap<RootId, Vec<Attachment>>,
    /// How many attachments there are of each length, and how many of them are homes: most directories of a system
    /// are told from all of these by that alone.
    lengths: Lengths,
    home_lengths: Lengths,
}

/// How often each length occurs, in bytes.
#[derive(Debug, Default)]
struct Lengths(Vec<usize>);

impl Index {
    /// Puts a root's attachments in the place of those that it had, which are given back.
    pub fn attach(&mut self, root: RootId, mut attachments: Vec<Attachment>) -> Vec<Attachment> {
        let old = self.attached.remove(&root).unwrap_or_default();
        for attachment in old.iter().filter(|old| !attachments.contains(old)) {
            self.remove(root, attachment);
        }
        for attachment in attachments.iter_mut().filter(|new| !old.contains(new)) {
            // Each path is kept once.
            if let Some((known, _)) = self.sites.get_key_value(&attachment.directory) {
                attachment.directory = Arc::clone(known);
            }
            let site = self.sites.entry(Arc::clone(&attachment.directory)).or_default();
            Arc::make_mut(site).insert(root, &attachment.what);
            self.lengths.add(attachment.len());
            if attachment.what == What::Home {
                self.home_lengths.add(attachment.len());
            }
        }
        if !attachments.is_empty() {
            self.attached.insert(root, attachments);
        }
        old
    }

    /// The attachments of a root.
    pub fn attachments(&self, root: RootId) -> &[Attachment] {
        self.attached.get(&root).map_or(&[], Vec::as_slice)
    }

    /// What a directory itself means.
    pub fn site(&self, directory: &Path) -> Option<&Arc<Site>> {
        if self.lengths.contains(directory.as_os_str().len()) { self.sites.get(directory) } else { None }
    }

    /// The roots that have their home at a directory.
    pub fn homes_at(&self, directory: &Path) -> impl Iterator<Item = RootId> {
        let is_home = self.home_lengths.contains(directory.as_os_str().len());
        let site = if is_home { self.sites.get(directory) } else { None };
        site.into_iter().flat_map(|site| site.home())
    }

    /// The roots that have their home at a directory or above it, from the nearest, each with the home.
    pub fn homes<'i>(&'i self, directory: &'i Path) -> impl Iterator<Item = (RootId, &'i Path)> {
        let bytes = directory.as_os_str().as_bytes();
        let lens = (1..=bytes.len()).rev().filter(|len| self.home_lengths.contains(*len));
        // The root directory has its slash itself.
        let homes = lens.filter(|len| *len == 1 || bytes.get(*len).is_none_or(|byte| *byte == b'/'));
        homes.flat_map(|len| {
            let home = Path::new(OsStr::from_bytes(&bytes[..len]));
            self.homes_at(home).map(move |root| (root, home))
        })
    }

    fn remove(&mut self, root: RootId, attachment: &Attachment) {
        let Some(site) = self.sites.get_mut(&attachment.directory) else { return };
        self.lengths.remove(attachment.len());
        if attachment.what == What::Home {
            self.home_lengths.remove(attachment.len());
        }
        let site = Arc::make_mut(site);
        site.remove(root, &attachment.what);
        if site.is_empty() {
            self.sites.remove(&attachment.directory);
        }
    }
}

impl Attachment {
    fn len(&self) -> usize {
        self.directory.as_os_str().len()
    }
}

impl Few {
    fn iter(&self) -> impl Iterator<Item = RootId> {
        self.0.iter().copied()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn insert(&mut self, root: RootId) {
        if let Err(index) = self.0.binary_search(&root) {
            self.0.insert(index, root);
        }
    }

    fn remove(&mut self, root: RootId) {
        if let Ok(index) = self.0.binary_search(&root) {
            self.0.remove(index);
        }
    }
}

impl Lengths {
    fn contains(&self, len: usize) -> bool {
        self.0.get(len).is_some_and(|count| *count > 0)
    }

    fn add(&mut self, len: usize) {
        if self.0.len() <= len {
            self.0.resize(len + 1, 0);
        }
        self.0[len] += 1;
    }

    fn remove(&mut self, len: usize) {
        self.0[len] -= 1;
    }
}

/// The path of a directory below a home, without a leading `/`; none: it is neither the home nor below it.
pub fn below<'d>(home: &Path, directory: &'d Path) -> Option<&'d [u8]> {
    let home = home.as_os_str().as_bytes();
    let rest = directory.as_os_str().as_bytes().strip_prefix(home)?;
    if rest.is_empty() || home == b"/" { Some(rest) } else { rest.strip_prefix(b"/") }
}

impl Site {
    /// The roots that this entry of the directory is.
    pub fn own(&self, name: &OsStr) -> impl Iterator<Item = RootId> {
        self.own.get(name).into_iter().flat_map(Few::iter)
    }

    /// The roots that this entry of the directory is on the way to.
    pub fn way(&self, name: &OsStr) -> impl Iterator<Item = RootId> {
        self.way.get(name).into_iter().flat_map(Few::iter)
    }

    /// The roots that the directory is on the way to.
    pub fn passage(&self) -> impl Iterator<Item = RootId> {
        self.passage.iter().copied()
    }

    /// The roots that the directory is.
    pub fn home(&self) -> impl Iterator<Item = RootId> {
        self.home.iter()
    }

    /// The roots that have an entry of their own here.
    pub fn owners(&self) -> impl Iterator<Item = RootId> {
        self.own.values().flat_map(Few::iter)
    }

    /// Whether an entry is on the way to a root.
    pub fn has_way(&self) -> bool {
        !self.way.is_empty()
    }

    /// Whether the directory is on the way to a root.
    pub fn has_passage(&self) -> bool {
        !self.passage.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.own.is_empty() && self.way.is_empty() && self.passage.is_empty() && self.home.is_empty()
    }

    fn insert(&mut self, root: RootId, what: &What) {
        match what {
            What::Own(name) => self.own.entry(name.clone()).or_default().insert(root),
            What::Way(name) => self.way.entry(name.clone()).or_default().insert(root),
            What::Passage => drop(self.passage.insert(root)),
            What::Home => self.home.insert(root),
        }
    }

    fn remove(&mut self, root: RootId, what: &What) {
        match what {
            What::Own(name) => remove_named(&mut self.own, name, root),
            What::Way(name) => remove_named(&mut self.way, name, root),
            What::Passage => drop(self.passage.remove(&root)),
            What::Home => self.home.remove(root),
        }
    }
}

fn remove_named(names: &mut HashMap<Arc<OsStr>, Few>, name: &OsStr, root: RootId) {
    let Some(roots) = names.get_mut(name) else { return };
    roots.remove(root);
    if roots.is_empty() {
        names.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(directory: &str, what: What) -> Attachment {
        Attachment { directory: Path::new(directory).into(), what }
    }

    #[test]
    fn a_directory_concerns_its_own_roots_and_the_homes_above_it() {
        let mut index = Index::default();
        let (tree, file) = (RootId(1), RootId(2));
        index.attach(tree, vec![at("/srv", What::Passage), at("/srv/in", What::Home)]);
        index.attach(file, vec![at("/srv/in", What::Own(OsStr::new("f").into()))]);
        let homes: Vec<_> = index.homes(Path::new("/srv/in/a/b")).collect();
        assert_eq!(homes, [(tree, Path::new("/srv/in"))]);
        assert_eq!(index.homes(Path::new("/srv/inn")).count(), 0);
        let site = index.site(Path::new("/srv/in")).expect("a site");
        assert_eq!(site.own(OsStr::new("f")).collect::<Vec<_>>(), [file]);
        assert_eq!(site.own(OsStr::new("g")).count(), 0);
    }

    #[test]
    fn homes_are_told_from_the_nearest_and_by_whole_names() {
        let mut index = Index::default();
        for (number, home) in ["/", "/a", "/a/bc", "/a/bd"].into_iter().enumerate() {
            let root = RootId(u32::try_from(number).expect("few"));
            index.attach(root, vec![at(home, What::Home), at("/a/b", What::Passage)]);
        }
        let homes = |directory| index.homes(Path::new(directory)).map(|(_, home)| home).collect::<Vec<_>>();
        assert_eq!(homes("/a/bc/d"), [Path::new("/a/bc"), Path::new("/a"), Path::new("/")]);
        assert_eq!(homes("/a/b"), [Path::new("/a"), Path::new("/")]);
        assert_eq!(homes("/ab"), [Path::new("/")]);
        assert_eq!(homes("/"), [Path::new("/")]);
        for (home, directory, expected) in [
            ("/a", "/a", Some("")),
            ("/a", "/a/b/c", Some("b/c")),
            ("/a", "/ab", None),
            ("/", "/a/b", Some("a/b")),
            ("/a/b", "/a", None),
        ] {
            let found = below(Path::new(home), Path::new(directory));
            assert_eq!(found, expected.map(str::as_bytes), "{home} {directory}");
        }
    }

    #[test]
    fn attaching_again_moves_and_detaching_leaves_nothing() {
        let mut index = Index::default();
        let root = RootId(7);
        index.attach(root, vec![at("/a", What::Passage), at("/a", What::Way(OsStr::new("x").into()))]);
        let old = index.attach(root, vec![at("/a", What::Passage), at("/b", What::Home)]);
        assert_eq!(old.len(), 2);
        assert!(!index.site(Path::new("/a")).expect("a site").has_way());
        assert_eq!(index.homes(Path::new("/b")).count(), 1);
        index.attach(root, Vec::new());
        assert!(index.sites.is_empty() && index.attached.is_empty());
    }
}
