//! Verdicts that hold for a while: until their time is over, or the file is modified. A fixed table; pure.
//!
//! Two things tell of a modification, and either will do: the file's `st_ctim`, which every write moves and
//! nobody can set back, whichever name or hard link it came through; and FAN_MODIFY in the queue of the post,
//! before the next opener, for a second write within one tick of a coarse clock. What neither notices are stores
//! through a mapping that was dirty before.

use super::desk::Subject;
use super::wire::PostId;
use crate::moment::Moment;

/// Verdicts in one row of the table; the one that ends first makes room.
const ROW_LEN: usize = 8;

/// The verdicts.
#[derive(Debug)]
pub struct Cache {
    rows: Box<[[Option<Entry>; ROW_LEN]]>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    subject: Subject,
    is_allowed: bool,
    until: Moment,
}

impl Cache {
    /// An empty table of so many rows of eight.
    pub fn new(rows: usize) -> Cache {
        Cache { rows: vec![[None; ROW_LEN]; rows.max(1)].into() }
    }

    /// The verdict for a file in this very state, if one still holds.
    pub fn get(&self, now: Moment, subject: &Subject) -> Option<bool> {
        let row = &self.rows[self.row_of(subject)];
        let entry = row.iter().flatten().find(|entry| entry.subject == *subject && entry.until > now)?;
        Some(entry.is_allowed)
    }

    /// Keeps a verdict.
    pub fn put(&mut self, subject: Subject, is_allowed: bool, until: Moment) {
        let row = self.row_of(&subject);
        let row = &mut self.rows[row];
        let is_same = |entry: &Option<Entry>| entry.is_some_and(|entry| entry.subject.is_same_file(&subject));
        let place = row.iter().position(is_same).unwrap_or_else(|| {
            let ends = |index: &usize| row[*index].map(|entry| entry.until);
            (0..ROW_LEN).min_by_key(ends).expect("a row has places")
        });
        row[place] = Some(Entry { subject, is_allowed, until });
    }

    /// Forgets the verdict about a file at this post: it was modified.
    pub fn forget_file(&mut self, subject: &Subject) {
        let row = self.row_of(subject);
        for place in &mut self.rows[row] {
            *place = place.filter(|entry| !entry.subject.is_same_file(subject));
        }
    }

    /// Forgets the verdicts of a post.
    pub fn forget_post(&mut self, post: PostId) {
        for place in self.rows.iter_mut().flatten() {
            *place = place.filter(|entry| entry.subject.post != post);
        }
    }

    fn row_of(&self, subject: &Subject) -> usize {
        let mixed =
            subject.inode ^ subject.device.rotate_left(32) ^ u64::from(subject.post.0).rotate_left(48);
        let hash = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        usize::try_from(hash % self.rows.len() as u64).expect("less than the number of rows")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn subject(inode: u64) -> Subject {
        Subject { post: PostId(1), device: 1, inode, changed: (100, 0) }
    }

    fn at(seconds: u64) -> Moment {
        Moment::since_start(Duration::from_secs(seconds))
    }

    #[test]
    fn a_verdict_holds_until_its_time_is_over() {
        let mut cache = Cache::new(16);
        cache.put(subject(10), false, at(5));
        assert_eq!(cache.get(at(4), &subject(10)), Some(false));
        assert_eq!(cache.get(at(5), &subject(10)), None);
        assert_eq!(cache.get(at(4), &subject(11)), None);
    }

    #[test]
    fn a_verdict_holds_until_the_file_is_modified() {
        let mut cache = Cache::new(16);
        let modified = Subject { changed: (100, 1), ..subject(10) };
        cache.put(subject(10), true, at(5));
        assert_eq!(cache.get(at(1), &modified), None);
        cache.put(modified, false, at(5));
        assert_eq!(cache.get(at(1), &modified), Some(false));
        assert_eq!(cache.get(at(1), &subject(10)), None, "the newer verdict took the place of the older");
    }

    #[test]
    fn a_modification_that_left_no_mark_on_the_clock_is_told() {
        let mut cache = Cache::new(1);
        cache.put(subject(10), true, at(5));
        cache.put(subject(11), true, at(5));
        cache.forget_file(&Subject { changed: (101, 0), ..subject(10) });
        assert_eq!((cache.get(at(1), &subject(10)), cache.get(at(1), &subject(11))), (None, Some(true)));
    }

    #[test]
    fn a_full_row_gives_up_what_ends_first() {
        let mut cache = Cache::new(1);
        for inode in 0..9 {
            cache.put(subject(inode), true, at(100 + (inode + 4) % 9));
        }
        let kept: Vec<u64> = (0..9).filter(|inode| cache.get(at(1), &subject(*inode)).is_some()).collect();
        assert_eq!(kept, [0, 1, 2, 3, 4, 6, 7, 8]);
    }

    #[test]
    fn the_verdicts_of_a_post_go_with_it() {
        let mut cache = Cache::new(16);
        let other = Subject { post: PostId(2), ..subject(10) };
        cache.put(subject(10), true, at(5));
        cache.put(other, true, at(5));
        cache.forget_post(PostId(1));
        assert_eq!((cache.get(at(1), &subject(10)), cache.get(at(1), &other)), (None, Some(true)));
    }
}
