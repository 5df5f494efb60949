//! The guard's desk: who waits for which question, and until when. Fixed tables; pure; allocates only at first.
//!
//! ```text
//!              first opener of a file            verdict, or the limit
//!   (nothing) ───────────────────────► question ───────────────────────► (nothing)
//!                                       │    ▲
//!                                       └────┘ further openers of the same file share it
//! ```

use super::wire::{PostId, QuestionId};
use crate::moment::Moment;

/// What a question is about: a file, in the state that it was in, at the post of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The rule's post.
    pub post: PostId,
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`.
    pub inode: u64,
    /// `st_ctim`.
    pub changed: (i64, i64),
}

impl Subject {
    /// Whether both are about one file at one post, in whatever state.
    pub fn is_same_file(&self, other: &Subject) -> bool {
        (self.post, self.device, self.inode) == (other.post, other.device, other.inode)
    }
}

/// Who waits for what.
#[derive(Debug)]
pub struct Desk<Waiter> {
    questions: Vec<Question>,
    waiting: Vec<(QuestionId, Waiter)>,
    waiting_max: usize,
    asked: u64,
}

#[derive(Clone, Copy, Debug)]
struct Question {
    id: QuestionId,
    subject: Subject,
    deadline: Moment,
    is_modified: bool,
}

/// A question that was taken off the desk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// What it was about.
    pub subject: Subject,
    /// Whether the file was modified since it was asked.
    pub is_modified: bool,
}

/// What became of an opener that came to the desk.
#[derive(Debug, PartialEq, Eq)]
pub enum Admission<Waiter> {
    /// It waits for a question that is to be asked.
    First(QuestionId),
    /// It waits for one that has been asked.
    Shares,
    /// There is no room: it must be answered at once.
    Full(Waiter),
}

impl<Waiter> Desk<Waiter> {
    /// An empty desk for so many openers.
    pub fn new(waiting_max: usize) -> Desk<Waiter> {
        Desk {
            questions: Vec::with_capacity(waiting_max),
            waiting: Vec::with_capacity(waiting_max),
            waiting_max,
            asked: 0,
        }
    }

    /// Lets an opener wait, at most until the deadline.
    pub fn admit(&mut self, subject: Subject, deadline: Moment, waiter: Waiter) -> Admission<Waiter> {
        if self.waiting.len() == self.waiting_max {
            return Admission::Full(waiter);
        }
        let shared = |question: &&Question| question.subject == subject && !question.is_modified;
        if let Some(question) = self.questions.iter().find(shared) {
            self.waiting.push((question.id, waiter));
            return Admission::Shares;
        }
        self.asked += 1;
        let id = QuestionId { post: subject.post, serial: self.asked };
        self.questions.push(Question { id, subject, deadline, is_modified: false });
        self.waiting.push((id, waiter));
        Admission::First(id)
    }

    /// Takes a question off the desk, if it is still there; [`Desk::next_of`] then gives who waits for it.
    pub fn close(&mut self, id: QuestionId) -> Option<Closed> {
        let index = self.questions.iter().position(|question| question.id == id)?;
        let Question { subject, is_modified, .. } = self.questions.swap_remove(index);
        Some(Closed { subject, is_modified })
    }

    /// The file was modified: what is decided about it holds for those who wait, and for nobody else.
    pub fn note_modified(&mut self, subject: &Subject) {
        for question in self.questions.iter_mut().filter(|question| question.subject.is_same_file(subject)) {
            question.is_modified = true;
        }
    }

    /// The next one who waits for this question.
    pub fn next_of(&mut self, id: QuestionId) -> Option<Waiter> {
        let index = self.waiting.iter().position(|(question, _)| *question == id)?;
        Some(self.waiting.swap_remove(index).1)
    }

    /// A question whose deadline is there.
    pub fn overdue(&self, now: Moment) -> Option<QuestionId> {
        self.questions.iter().find(|question| question.deadline <= now).map(|question| question.id)
    }

    /// The question that has waited longest.
    pub fn oldest(&self) -> Option<QuestionId> {
        self.questions.iter().map(|question| question.id).min_by_key(|id| id.serial)
    }

    /// When the next deadline is there.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.questions.iter().map(|question| question.deadline).min()
    }

    /// Whether somebody waits at this post.
    pub fn is_busy(&self, post: PostId) -> bool {
        self.waiting.iter().any(|(question, _)| question.post == post)
    }

    /// How many wait.
    pub fn waiting_count(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const POST: PostId = PostId(1);

    fn subject(inode: u64) -> Subject {
        Subject { post: POST, device: 1, inode, changed: (0, 0) }
    }

    fn at(seconds: u64) -> Moment {
        Moment::since_start(Duration::from_secs(seconds))
    }

    fn ask(desk: &mut Desk<u32>, inode: u64, deadline: u64, waiter: u32) -> QuestionId {
        match desk.admit(subject(inode), at(deadline), waiter) {
            Admission::First(id) => id,
            other => panic!("{other:?}"),
        }
    }

    fn all_of(desk: &mut Desk<u32>, id: QuestionId) -> Vec<u32> {
        let mut all: Vec<u32> = std::iter::from_fn(|| desk.next_of(id)).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn openers_of_one_file_share_a_question() {
        let mut desk = Desk::new(8);
        let id = ask(&mut desk, 10, 5, 100);
        assert_eq!(desk.admit(subject(10), at(9), 101), Admission::Shares);
        let other = ask(&mut desk, 11, 5, 102);
        assert_ne!(id, other);
        assert_eq!(desk.close(id), Some(Closed { subject: subject(10), is_modified: false }));
        assert_eq!(all_of(&mut desk, id), [100, 101]);
        assert!(desk.is_busy(POST));
        assert_eq!((desk.close(id), desk.waiting_count()), (None, 1), "a second verdict is late");
    }

    #[test]
    fn a_file_that_was_modified_is_another_question() {
        let mut desk = Desk::new(8);
        ask(&mut desk, 10, 5, 100);
        let modified = Subject { changed: (1, 0), ..subject(10) };
        let second = ask(&mut desk, 11, 5, 101);
        assert!(matches!(desk.admit(modified, at(5), 102), Admission::First(_)));
        desk.note_modified(&subject(11));
        assert!(matches!(desk.admit(subject(11), at(5), 103), Admission::First(_)));
        assert!(desk.close(second).is_some_and(|closed| closed.is_modified));
    }

    #[test]
    fn the_deadline_is_that_of_the_first_opener() {
        let mut desk = Desk::new(8);
        let late = ask(&mut desk, 10, 5, 100);
        let soon = ask(&mut desk, 11, 3, 101);
        desk.admit(subject(11), at(9), 102);
        assert_eq!(desk.next_deadline(), Some(at(3)));
        assert_eq!((desk.overdue(at(2)), desk.overdue(at(3))), (None, Some(soon)));
        desk.close(soon);
        assert_eq!((desk.overdue(at(3)), desk.overdue(at(5))), (None, Some(late)));
    }

    #[test]
    fn a_full_desk_sends_away() {
        let mut desk = Desk::new(2);
        let first = ask(&mut desk, 10, 5, 100);
        ask(&mut desk, 11, 5, 101);
        assert_eq!(desk.admit(subject(12), at(5), 102), Admission::Full(102));
        assert_eq!(desk.oldest(), Some(first));
        desk.close(first);
        assert_eq!(all_of(&mut desk, first), [100]);
        assert!(matches!(desk.admit(subject(12), at(5), 102), Admission::First(_)));
    }
}
