//! Directories of a tree that may not be read. The tree is watched but for them; they are looked at again now and then,
//! and where there are too many to remember, the tree is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::moment::Moment;

/// Directories that are remembered one by one; of more of them only how many they are, and since when.
const PLACES_MAX: usize = 64;
/// How long the whole tree is not walked for the others again: what changes in it is found then, told of or not.
const PAUSE: Duration = Duration::from_secs(60);

/// Directories of one tree, each with since when what happens there is not seen.
#[derive(Debug, Default)]
pub struct Unreadable {
    places: BTreeMap<PathBuf, SystemTime>,
    /// Those that there was no room for.
    others: usize,
    /// … one of them, and since when the first of them is not seen.
    anywhere: Option<(PathBuf, SystemTime)>,
    /// When a walk for them began last.
    looked: Option<(Moment, SystemTime)>,
}

impl Unreadable {
    /// This directory cannot be read, and has not been seen since then.
    pub fn add(&mut self, path: &Path, since: SystemTime) {
        if self.places.len() < PLACES_MAX || self.places.contains_key(path) {
            let known = self.places.entry(path.to_owned()).or_insert(since);
            *known = since.min(*known);
        } else {
            self.others += 1;
            let (_, known) = self.anywhere.get_or_insert_with(|| (path.to_owned(), since));
            *known = since.min(*known);
        }
    }

    /// One of them, and how many they are.
    pub fn sum(&self) -> Option<(&Path, usize)> {
        let place = self.places.first_key_value().map(|(path, _)| path);
        let one = place.or(self.anywhere.as_ref().map(|(path, _)| path))?;
        Some((one, self.places.len() + self.others))
    }

    /// A look at them begins now: where, from when on changes there are news, and what is not looked at. `home` stands for
    /// anywhere. A directory that has come to be readable since the last look has changed itself since.
    pub fn look(mut self, home: &Path, moment: Moment, wall: SystemTime) -> (Looks, Option<Unreadable>) {
        let mut looks: Looks = std::mem::take(&mut self.places).into_iter().collect();
        let Some((_, since)) = self.anywhere else { return (looks, None) };
        if self.looked.is_some_and(|(looked, _)| moment.since(looked) < PAUSE) {
            return (looks, Some(self));
        }
        looks.push((home.to_owned(), self.looked.map_or(since, |(_, looked)| looked)));
        (looks, Some(Unreadable { looked: Some((moment, wall)), ..Unreadable::default() }))
    }

    /// Whether there is nothing to remember: all may be read.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty() && self.others == 0
    }
}

/// Directories to look at, each with since when changes there are news.
type Looks = Vec<(PathBuf, SystemTime)>;

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
        let (looks, rest) = unreadable.look(Path::new("/"), Moment::default(), at(9));
        assert_eq!(looks, [(PathBuf::from("/a"), at(2))]);
        assert!(rest.is_none());
    }

    #[test]
    fn more_than_there_is_room_for_are_looked_for_in_the_whole_tree_but_not_all_the_time() {
        let home = Path::new("/home");
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let fill = |unreadable: &mut Unreadable, since| {
            for number in 0..2 * PLACES_MAX {
                unreadable.add(Path::new(&format!("/{number:03}")), since);
            }
        };
        let mut unreadable = Unreadable::default();
        fill(&mut unreadable, at(5));
        assert_eq!(unreadable.sum(), Some((Path::new("/000"), 2 * PLACES_MAX)));
        let begin = Moment::default();
        let (looks, rest) = unreadable.look(home, begin, at(10));
        assert_eq!((looks.len(), looks.last()), (PLACES_MAX + 1, Some(&(home.to_owned(), at(5)))));
        let mut unreadable = rest.expect("when it was looked for them");
        assert!(unreadable.is_empty());
        fill(&mut unreadable, at(5));
        let (looks, rest) = unreadable.look(home, begin + PAUSE / 2, at(40));
        assert_eq!(looks.len(), PLACES_MAX, "the others wait");
        let unreadable = rest.expect("the others");
        assert_eq!(unreadable.sum(), Some((Path::new("/064"), PLACES_MAX)));
        let (looks, _) = unreadable.look(home, begin + PAUSE, at(70));
        assert_eq!(looks, [(home.to_owned(), at(10))]);
    }
}
