//! Directories of a tree that may not be read. The tree is watched but for them; they are looked at again now and then.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Directories that are looked at again; of more of them only how many they are.
const PLACES_MAX: usize = 64;

/// Directories of one tree, each with since when what happens there is not seen.
#[derive(Debug, Default)]
pub struct Unreadable {
    places: BTreeMap<PathBuf, SystemTime>,
    /// Those that there was no room for.
    others: usize,
}

impl Unreadable {
    /// This directory cannot be read, and has not been seen since then.
    pub fn add(&mut self, path: &Path, since: SystemTime) {
        if self.places.len() < PLACES_MAX || self.places.contains_key(path) {
            let known = self.places.entry(path.to_owned()).or_insert(since);
            *known = since.min(*known);
        } else {
            self.others += 1;
        }
    }

    /// One of them, and how many they are.
    pub fn sum(&self) -> Option<(&Path, usize)> {
        let (path, _) = self.places.first_key_value()?;
        Some((path, self.places.len() + self.others))
    }

    /// Those that are to be looked at again.
    pub fn into_places(self) -> impl Iterator<Item = (PathBuf, SystemTime)> {
        self.places.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_directory_counts_once_and_has_not_been_seen_since_the_first_time() {
        let mut unreadable = Unreadable::default();
        assert_eq!(unreadable.sum(), None);
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        unreadable.add(Path::new("/a"), at(2));
        unreadable.add(Path::new("/a"), at(9));
        assert_eq!(unreadable.sum(), Some((Path::new("/a"), 1)));
        assert_eq!(unreadable.into_places().collect::<Vec<_>>(), [(PathBuf::from("/a"), at(2))]);
    }

    #[test]
    fn more_than_there_is_room_for_are_counted_only() {
        let mut unreadable = Unreadable::default();
        for number in 0..2 * PLACES_MAX {
            unreadable.add(Path::new(&format!("/{number:03}")), SystemTime::UNIX_EPOCH);
        }
        assert_eq!(unreadable.sum(), Some((Path::new("/000"), 2 * PLACES_MAX)));
        assert_eq!(unreadable.into_places().count(), PLACES_MAX);
    }
}
