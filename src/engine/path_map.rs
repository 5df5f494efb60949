//! A map by path, in the order of the paths' bytes.
//!
//! `Path` compares component by component, which takes several times as long where thousands of paths of one directory
//! wait. Here a path has one spelling: that of its event.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

/// What is known by path.
#[derive(Debug)]
pub(super) struct PathMap<V>(BTreeMap<Bytes, V>);

/// A path that is compared by its bytes.
#[derive(Debug)]
struct Bytes(Arc<Path>);

impl<V> PathMap<V> {
    /// What is known of a path.
    pub(super) fn get(&self, path: &Path) -> Option<&V> {
        self.0.get(path.as_os_str())
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, path: &Path) -> Option<&mut V> {
        self.0.get_mut(path.as_os_str())
    }

    /// Whether something is known of a path.
    pub(super) fn contains(&self, path: &Path) -> bool {
        self.0.contains_key(path.as_os_str())
    }

    /// Puts a path in; gives what was known of it.
    pub(super) fn insert(&mut self, path: Arc<Path>, value: V) -> Option<V> {
        self.0.insert(Bytes(path), value)
    }

    /// Takes a path out.
    pub(super) fn remove(&mut self, path: &Path) -> Option<(Arc<Path>, V)> {
        self.0.remove_entry(path.as_os_str()).map(|(Bytes(path), value)| (path, value))
    }

    /// Takes out what does not fit.
    pub(super) fn retain(&mut self, mut fits: impl FnMut(&V) -> bool) {
        self.0.retain(|_, value| fits(value));
    }

    /// Every path.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Arc<Path>> {
        self.0.keys().map(|Bytes(path)| path)
    }

    /// What is known.
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.values()
    }

    /// The same, to be changed.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.values_mut()
    }

    /// Takes everything out.
    pub(super) fn into_iter(self) -> impl Iterator<Item = (Arc<Path>, V)> {
        self.0.into_iter().map(|(Bytes(path), value)| (path, value))
    }
}

impl<V> Default for PathMap<V> {
    fn default() -> PathMap<V> {
        PathMap(BTreeMap::new())
    }
}

impl Borrow<OsStr> for Bytes {
    fn borrow(&self) -> &OsStr {
        self.0.as_os_str()
    }
}

impl Ord for Bytes {
    fn cmp(&self, other: &Bytes) -> std::cmp::Ordering {
        self.0.as_os_str().cmp(other.0.as_os_str())
    }
}

impl PartialOrd for Bytes {
    fn partial_cmp(&self, other: &Bytes) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Bytes) -> bool {
        self.0.as_os_str() == other.0.as_os_str()
    }
}

impl Eq for Bytes {}
