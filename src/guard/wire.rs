//! What the daemon and the guard say to each other: records in packets, written and read without allocating.
//!
//! Both ends are the same program at the same version; a record that makes no sense is a bug of ours.

use std::time::Duration;

use super::record::{Fields, Record};
use crate::sys::peek::PATH_LEN_MAX;

/// Bytes of the longest record: an opener with the longest path, and its numbers.
pub const RECORD_LEN_MAX: usize = PATH_LEN_MAX + 64;

/// Bytes of the longest packet; either side may gather several records in one.
pub const PACKET_LEN_MAX: usize = 32 * 1024;

/// Rules that are guarded at once, those that are being replaced included. Each takes one of the fanotify groups
/// of root (fs.fanotify.max_user_groups, 128).
pub const POSTS_MAX: usize = 64;

/// The place of a rule in the guard, less than [`POSTS_MAX`]; given by the daemon, and used again only after [`Word::Retired`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PostId(pub u32);

/// A file that somebody waits for, until its rule's command has decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuestionId {
    /// Where it was asked.
    pub post: PostId,
    /// Counts from 1 in the life of a guard.
    pub serial: u64,
}

/// How the guard deals with the openers of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The kernel's bits of the permission events.
    pub mask: u64,
    /// Whether a marked directory stands for its direct entries.
    pub children: bool,
    /// Whether opening a directory counts.
    pub dirs: bool,
    /// Whether the command decides; else everybody is let through at once.
    pub asks: bool,
    /// What holds when the command does not decide in time.
    pub default_allow: bool,
    /// How long an opener may be kept waiting; counts only where the command decides.
    pub limit: Duration,
    /// How long a verdict holds for a file that is not modified; zero: not at all.
    pub cache: Duration,
    /// What a denied opener gets.
    pub deny_errno: i32,
    /// Whether verdicts go to the audit log.
    pub audit: bool,
}

/// What the daemon tells the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order<'o> {
    /// A rule: guard nothing yet.
    Post { post: PostId, policy: Policy },
    /// One of the rule's globs for names.
    Filter { post: PostId, is_exclude: bool, glob: &'o str },
    /// Guard the object whose descriptor comes along.
    Mark { post: PostId, mark: u32 },
    /// Guard nothing more; who waits gets an answer still.
    Retire { post: PostId },
    /// The command has decided.
    Verdict { question: QuestionId, is_allowed: bool },
    /// Never ask about processes in this control group, or below it.
    ExemptCgroup { path: &'o [u8] },
}

/// Somebody who opens a guarded file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opener<'w> {
    /// The kernel's bits.
    pub mask: u64,
    /// The process; 0 when it is in a foreign pid namespace.
    pub pid: i32,
    /// Its session; 0 when unknown.
    pub session: i32,
    /// `st_dev` of the file.
    pub device: u64,
    /// `st_ino` of the file.
    pub inode: u64,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// The path as the kernel shows it.
    pub path: &'w [u8],
}

/// How often what happened at a post, since it was set up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Openers of guarded files.
    pub openings: u64,
    /// Questions put to the command.
    pub asked: u64,
    /// Openers let through.
    pub allowed: u64,
    /// Openers turned away.
    pub denied: u64,
    /// Of both: answered by `verdict-default`.
    pub by_default: u64,
    /// Of both: answered from `verdict-cache`.
    pub cached: u64,
    /// Of those let through: runs, what they started, facron itself.
    pub exempt: u64,
    /// Verdicts that came after the default had been given.
    pub late: u64,
    /// Openers of whom the daemon could not be told.
    pub lost: u64,
}

impl Counts {
    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Counts) -> Counts {
        Counts {
            openings: self.openings + other.openings,
            asked: self.asked + other.asked,
            allowed: self.allowed + other.allowed,
            denied: self.denied + other.denied,
            by_default: self.by_default + other.by_default,
            cached: self.cached + other.cached,
            exempt: self.exempt + other.exempt,
            late: self.late + other.late,
            lost: self.lost + other.lost,
        }
    }
}

/// What the guard tells the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word<'w> {
    /// It is there; whether its memory could be locked.
    Ready { is_resident: bool },
    /// It cannot go on: what failed.
    Failed { message: &'w str },
    /// The post has its group; whether verdicts reach the audit log.
    Posted { post: PostId, is_audited: bool },
    /// The kernel gives no group for the post.
    NotPosted { post: PostId, errno: i32 },
    /// The object is guarded (0), or why not.
    Marked { post: PostId, mark: u32, errno: i32 },
    /// Nothing is guarded there any more, and nobody waits.
    Retired { post: PostId },
    /// Somebody waits for a verdict.
    Asked { question: QuestionId, opener: Opener<'w> },
    /// Somebody was let through at once.
    Told { post: PostId, opener: Opener<'w> },
    /// The default was given.
    Overdue { question: QuestionId },
    /// The kernel takes the verdict only without its errno and audit.
    Plain { post: PostId },
    /// What happened at a post so far.
    Counted { post: PostId, counts: Counts },
}

impl Order<'_> {
    /// Appends it as a record.
    pub fn put(&self, bytes: &mut Vec<u8>) {
        match *self {
            Order::Post { post, policy } => Record::new(bytes, 1).post(post).policy(&policy).end(),
            Order::Filter { post, is_exclude, glob } => {
                Record::new(bytes, 2).post(post).flag(is_exclude).rest(glob.as_bytes()).end();
            }
            Order::Mark { post, mark } => Record::new(bytes, 3).post(post).u32(mark).end(),
            Order::Retire { post } => Record::new(bytes, 4).post(post).end(),
            Order::Verdict { question, is_allowed } => {
                Record::new(bytes, 5).question(question).flag(is_allowed).end();
            }
            Order::ExemptCgroup { path } => Record::new(bytes, 6).rest(path).end(),
        }
    }
}

impl<'o> Order<'o> {
    /// Takes the first record away.
    pub fn take(bytes: &mut &'o [u8]) -> Option<Order<'o>> {
        let (kind, mut fields) = Fields::take(bytes)?;
        Some(match kind {
            1 => Order::Post { post: fields.post()?, policy: fields.policy()? },
            2 => Order::Filter { post: fields.post()?, is_exclude: fields.flag()?, glob: fields.text()? },
            3 => Order::Mark { post: fields.post()?, mark: fields.u32()? },
            4 => Order::Retire { post: fields.post()? },
            5 => Order::Verdict { question: fields.question()?, is_allowed: fields.flag()? },
            6 => Order::ExemptCgroup { path: fields.rest() },
            _ => return None,
        })
    }
}

impl Word<'_> {
    /// Appends it as a record of at most [`RECORD_LEN_MAX`] bytes.
    pub fn put(&self, bytes: &mut Vec<u8>) {
        match *self {
            Word::Ready { is_resident } => Record::new(bytes, 1).flag(is_resident).end(),
            Word::Failed { message } => Record::new(bytes, 2).rest(message.as_bytes()).end(),
            Word::Posted { post, is_audited } => Record::new(bytes, 3).post(post).flag(is_audited).end(),
            Word::NotPosted { post, errno } => Record::new(bytes, 4).post(post).i32(errno).end(),
            Word::Marked { post, mark, errno } => {
                Record::new(bytes, 5).post(post).u32(mark).i32(errno).end();
            }
            Word::Retired { post } => Record::new(bytes, 6).post(post).end(),
            Word::Asked { question, opener } => {
                Record::new(bytes, 7).question(question).opener(&opener).end();
            }
            Word::Told { post, opener } => Record::new(bytes, 8).post(post).opener(&opener).end(),
            Word::Overdue { question } => Record::new(bytes, 9).question(question).end(),
            Word::Plain { post } => Record::new(bytes, 10).post(post).end(),
            Word::Counted { post, counts } => Record::new(bytes, 11).post(post).counts(&counts).end(),
        }
    }
}

impl<'w> Word<'w> {
    /// Takes the first record away.
    pub fn take(bytes: &mut &'w [u8]) -> Option<Word<'w>> {
        let (kind, mut fields) = Fields::take(bytes)?;
        Some(match kind {
            1 => Word::Ready { is_resident: fields.flag()? },
            2 => Word::Failed { message: fields.text()? },
            3 => Word::Posted { post: fields.post()?, is_audited: fields.flag()? },
            4 => Word::NotPosted { post: fields.post()?, errno: fields.i32()? },
            5 => Word::Marked { post: fields.post()?, mark: fields.u32()?, errno: fields.i32()? },
            6 => Word::Retired { post: fields.post()? },
            7 => Word::Asked { question: fields.question()?, opener: fields.opener()? },
            8 => Word::Told { post: fields.post()?, opener: fields.opener()? },
            9 => Word::Overdue { question: fields.question()? },
            10 => Word::Plain { post: fields.post()? },
            11 => Word::Counted { post: fields.post()?, counts: fields.counts()? },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POST: PostId = PostId(7);
    const QUESTION: QuestionId = QuestionId { post: POST, serial: 1 << 40 };

    fn orders() -> Vec<Order<'static>> {
        let policy = Policy {
            mask: libc::FAN_OPEN_PERM,
            children: false,
            dirs: true,
            asks: true,
            default_allow: false,
            limit: Duration::from_millis(1500),
            cache: Duration::from_secs(300),
            deny_errno: libc::EBUSY,
            audit: true,
        };
        vec![
            Order::Post { post: POST, policy },
            Order::Filter { post: POST, is_exclude: true, glob: "*.txt" },
            Order::Mark { post: POST, mark: 3 },
            Order::Retire { post: POST },
            Order::Verdict { question: QUESTION, is_allowed: true },
            Order::ExemptCgroup { path: b"/facron/runs" },
        ]
    }

    fn words() -> Vec<Word<'static>> {
        let opener = Opener {
            mask: libc::FAN_OPEN_PERM,
            pid: 300,
            session: 299,
            device: 5,
            inode: 1 << 50,
            is_dir: false,
            path: b"/srv/\xff",
        };
        let counts = Counts {
            openings: 1,
            asked: 2,
            allowed: 3,
            denied: 4,
            by_default: 5,
            cached: 6,
            exempt: 7,
            late: 8,
            lost: 9,
        };
        vec![
            Word::Ready { is_resident: true },
            Word::Failed { message: "cannot wait" },
            Word::Posted { post: POST, is_audited: true },
            Word::NotPosted { post: POST, errno: libc::EMFILE },
            Word::Marked { post: POST, mark: 3, errno: 0 },
            Word::Retired { post: POST },
            Word::Asked { question: QUESTION, opener },
            Word::Told { post: POST, opener },
            Word::Overdue { question: QUESTION },
            Word::Plain { post: POST },
            Word::Counted { post: POST, counts },
        ]
    }

    #[test]
    fn what_is_said_is_what_is_heard() {
        let mut bytes = Vec::new();
        orders().iter().for_each(|order| order.put(&mut bytes));
        let mut rest = &bytes[..];
        let heard: Vec<_> = std::iter::from_fn(|| Order::take(&mut rest)).collect();
        assert_eq!((heard, rest), (orders(), &[][..]));

        let mut bytes = Vec::new();
        words().iter().for_each(|word| word.put(&mut bytes));
        let mut rest = &bytes[..];
        let heard: Vec<_> = std::iter::from_fn(|| Word::take(&mut rest)).collect();
        assert_eq!((heard, rest), (words(), &[][..]));
    }

    #[test]
    fn no_record_is_longer_than_it_may_be() {
        let path = [b'a'; PATH_LEN_MAX];
        let opener = Opener { mask: 1, pid: 1, session: 1, device: 1, inode: 1, is_dir: false, path: &path };
        let mut bytes = Vec::with_capacity(RECORD_LEN_MAX);
        Word::Asked { question: QUESTION, opener }.put(&mut bytes);
        assert!(bytes.len() <= RECORD_LEN_MAX && bytes.capacity() == RECORD_LEN_MAX);
    }

    #[test]
    fn a_record_cut_short_is_none() {
        for word in words() {
            let mut bytes = Vec::new();
            word.put(&mut bytes);
            for len in 0..bytes.len() {
                assert_eq!(Word::take(&mut &bytes[..len]), None, "{word:?} cut to {len}");
            }
        }
    }
}
