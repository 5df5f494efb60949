//! Where a root is not watched as it should be, and since when: looked at again whenever marking is tried again, so that
//! what happens there is found, late, and not lost.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Places that are remembered one by one; of more of them only that they are somewhere in the tree.
const PLACES_MAX: usize = 64;

/// The places where a root is blind.
#[derive(Debug, Default)]
pub struct Blind {
    places: BTreeMap<PathBuf, SystemTime>,
    /// There were too many places: since when the first of them is one.
    anywhere: Option<SystemTime>,
}

impl Blind {
    /// What happens in this directory, or to this file, is not seen from this time on.
    pub fn add(&mut self, path: &Path, since: SystemTime) {
        if let Some(anywhere) = &mut self.anywhere {
            *anywhere = since.min(*anywhere);
        } else if self.places.len() < PLACES_MAX || self.places.contains_key(path) {
            let known = self.places.entry(path.to_owned()).or_insert(since);
            *known = since.min(*known);
        } else {
            self.anywhere = std::mem::take(&mut self.places).into_values().chain([since]).min();
        }
    }

    /// A look at everything begins now: the places, and from when on changes there are news. `home` stands for anywhere.
    pub fn look(&mut self, home: &Path, now: SystemTime) -> Vec<(PathBuf, SystemTime)> {
        let mut looks: Vec<_> = self.places.iter().map(|(path, since)| (path.clone(), *since)).collect();
        looks.extend(self.anywhere.map(|since| (home.to_owned(), since)));
        self.places.values_mut().chain(&mut self.anywhere).for_each(|since| *since = now);
        looks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn each_look_begins_where_the_one_before_began() {
        let mut blind = Blind::default();
        blind.add(Path::new("/a"), at(5));
        blind.add(Path::new("/a"), at(3));
        blind.add(Path::new("/b"), at(4));
        assert_eq!(blind.look(Path::new("/"), at(9)), [("/a".into(), at(3)), ("/b".into(), at(4))]);
        assert_eq!(blind.look(Path::new("/"), at(10)), [("/a".into(), at(9)), ("/b".into(), at(9))]);
    }

    #[test]
    fn too_many_places_are_the_whole_tree() {
        let mut blind = Blind::default();
        for number in 0..2 * PLACES_MAX as u64 {
            blind.add(Path::new(&format!("/{number}")), at(100 - number.min(90)));
        }
        assert_eq!(blind.look(Path::new("/home"), at(200)), [("/home".into(), at(10))]);
        assert_eq!(blind.look(Path::new("/home"), at(201)), [("/home".into(), at(200))]);
    }
}
