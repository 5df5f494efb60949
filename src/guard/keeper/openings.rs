//! What the guard does with those who open: from the kernel's queue to the answer.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use super::{BATCH, DESCRIPTORS_BESIDE, Keeper};
use crate::guard::desk::{Admission, Subject};
use crate::guard::post::Ground;
use crate::guard::wire::{Opener, PostId, QuestionId, RECORD_LEN_MAX, Word};
use crate::moment::Moment;
use crate::sys::peek::{self, Identity};
use crate::sys::permission::{OPENING_LEN, Opening};
use crate::sys::resident;

/// Room in the outbox that those who are only told of leave to those who are asked about.
const ASKED_RESERVE: usize = 16 * RECORD_LEN_MAX;

impl Keeper {
    /// Deals with those who came to a post, a batch of them; says whether there were any.
    pub(super) fn serve(&mut self, id: PostId, now: Moment) -> io::Result<bool> {
        let room = self.room()?;
        let mut buffer = std::mem::take(&mut self.openings);
        let result = self.serve_batch(id, &mut buffer[..room.min(BATCH) * OPENING_LEN], now);
        self.openings = buffer;
        self.tell_of_answered(id);
        result
    }

    fn serve_batch(&mut self, id: PostId, buffer: &mut [u8], now: Moment) -> io::Result<bool> {
        let Some(post) = self.post(id) else { return Ok(false) };
        let asks = post.policy.asks;
        match post.group.read(buffer) {
            Ok(None) => Ok(false),
            Ok(Some(openings)) => {
                for opening in openings {
                    match asks {
                        true => self.judge(id, opening, now)?,
                        false => self.let_through(id, opening)?,
                    }
                }
                Ok(true)
            }
            Err(error) if matches!(error.raw_os_error(), Some(libc::EBADF | libc::EFAULT | libc::EINVAL)) => {
                Err(error)
            }
            // The file of the first opening could not be opened for us, and the kernel has denied it.
            Err(_) => {
                post.counts.openings += 1;
                post.counts.denied += 1;
                post.has_news = true;
                Ok(true)
            }
        }
    }

    /// How many files may be opened for us before the descriptors run out, at which the kernel would deny. Where
    /// none may, whoever has waited longest makes room.
    fn room(&mut self) -> io::Result<usize> {
        loop {
            let limit = usize::try_from(resident::descriptor_limit()?).unwrap_or(usize::MAX);
            let taken = self.posts.iter().flatten().count() + DESCRIPTORS_BESIDE + self.desk.waiting_count();
            match (limit.saturating_sub(taken), self.desk.oldest()) {
                (0, Some(question)) => self.settle_by_default(question)?,
                (0, None) => return Err(io::Error::other("no descriptors are left to read openings with")),
                (room, _) => return Ok(room),
            }
        }
    }

    /// `verdict = "allow"`: answers at once; who is to be told of is remembered until the whole batch is answered.
    fn let_through(&mut self, id: PostId, opening: Opening) -> io::Result<()> {
        // While it waits it is surely alive; a moment later its session may not be known any more.
        let session = peek::session_of(opening.pid);
        let is_facron = self.kin.is_facron(opening.pid);
        self.count_opening(id);
        self.answer(id, &opening.file, true, if is_facron { Ground::Kin } else { Ground::Verdict })?;
        if !is_facron && !self.is_leaving {
            self.answered.push((opening, session.unwrap_or(0)));
        }
        Ok(())
    }

    fn tell_of_answered(&mut self, id: PostId) {
        let Some(post) = self.posts.get_mut(id.0 as usize).and_then(Option::as_mut) else { return };
        for (opening, session) in self.answered.drain(..) {
            let identity = Identity::of(opening.file.as_fd());
            let path = peek::path_of(opening.file.as_fd(), &mut self.path);
            let (Ok(identity), Ok(path)) = (identity, path) else {
                post.counts.lost += 1;
                continue;
            };
            if post.concerns(&identity, path) {
                let opener = opener(&opening, session, &identity, path);
                let is_told = self.outbox.put(&Word::Told { post: id, opener }, ASKED_RESERVE);
                post.counts.lost += u64::from(!is_told);
            }
        }
    }

    /// `verdict = "command"`: answers what needs no command; the rest waits, and is asked about.
    fn judge(&mut self, id: PostId, opening: Opening, now: Moment) -> io::Result<()> {
        let Some(post) = self.post(id) else { return Ok(()) };
        let (policy, is_leaving) = (post.policy, self.is_leaving);
        let identity = Identity::of(opening.file.as_fd());
        if opening.mask & policy.mask == 0 {
            self.note_modified(id, identity.ok());
            return Ok(());
        }
        self.count_opening(id);
        if self.kin.is_facron(opening.pid) {
            return self.answer(id, &opening.file, true, Ground::Kin);
        }
        let mut path = std::mem::take(&mut self.path);
        let told = peek::path_of(opening.file.as_fd(), &mut path);
        let result = match (identity, told) {
            (Ok(identity), Ok(path)) if !is_leaving => {
                let session = peek::session_of(opening.pid).unwrap_or(0);
                let opener = opener(&opening, session, &identity, path);
                self.judge_known(id, &identity, opener, opening.file, now)
            }
            // Or: its file system does not say which file it is, or its path is too long to be told.
            _ => self.answer(id, &opening.file, policy.default_allow, Ground::Default),
        };
        self.path = path;
        result
    }

    fn judge_known(
        &mut self,
        id: PostId,
        identity: &Identity,
        opener: Opener<'_>,
        file: OwnedFd,
        now: Moment,
    ) -> io::Result<()> {
        let Some(post) = self.posts.get_mut(id.0 as usize).and_then(Option::as_mut) else { return Ok(()) };
        if !post.concerns(identity, opener.path) {
            return self.answer(id, &file, true, Ground::Name);
        }
        let subject = subject(id, identity);
        let cached = self.cache.get(now, &subject);
        if cached == Some(true) {
            return self.answer(id, &file, true, Ground::Cache);
        }
        if self.kin.is_started_by_a_run(opener.pid) {
            return self.answer(id, &file, true, Ground::Kin);
        }
        if cached == Some(false) {
            return self.answer(id, &file, false, Ground::Cache);
        }
        match self.desk.admit(subject, now + post.policy.limit, file) {
            Admission::First(question) => {
                let is_told = self.outbox.put(&Word::Asked { question, opener }, 0);
                post.counts.asked += 1;
                post.counts.lost += u64::from(!is_told);
                Ok(())
            }
            Admission::Shares => Ok(()),
            Admission::Full(file) => {
                let is_allowed = post.policy.default_allow;
                self.answer(id, &file, is_allowed, Ground::Default)
            }
        }
    }

    fn note_modified(&mut self, id: PostId, identity: Option<Identity>) {
        if let Some(identity) = identity {
            let subject = subject(id, &identity);
            self.cache.forget_file(&subject);
            self.desk.note_modified(&subject);
        }
    }

    /// Answers all who wait for a question, as its command decided.
    pub(super) fn settle(&mut self, question: QuestionId, is_allowed: bool, now: Moment) -> io::Result<()> {
        let Some(closed) = self.desk.close(question) else {
            if let Some(post) = self.post(question.post) {
                post.counts.late += 1;
                post.has_news = true;
            }
            return Ok(());
        };
        let cache = self.post(question.post).map_or(Duration::ZERO, |post| post.policy.cache);
        if !cache.is_zero() && !closed.is_modified {
            self.cache.put(closed.subject, is_allowed, now + cache);
        }
        self.answer_all(question, is_allowed, Ground::Verdict)
    }

    /// Answers all who wait for a question, as the rule says for want of a decision.
    pub(super) fn settle_by_default(&mut self, question: QuestionId) -> io::Result<()> {
        self.outbox.put(&Word::Overdue { question }, 0);
        self.desk.close(question);
        let is_allowed = self.post(question.post).is_none_or(|post| post.policy.default_allow);
        self.answer_all(question, is_allowed, Ground::Default)
    }

    fn answer_all(&mut self, question: QuestionId, is_allowed: bool, ground: Ground) -> io::Result<()> {
        while let Some(file) = self.desk.next_of(question) {
            self.answer(question.post, &file, is_allowed, ground)?;
        }
        Ok(())
    }

    fn answer(&mut self, id: PostId, file: &OwnedFd, is_allowed: bool, ground: Ground) -> io::Result<()> {
        let Some(post) = self.post(id) else { return Ok(()) };
        if post.answer(file.as_fd(), is_allowed, ground)? {
            self.outbox.put(&Word::Plain { post: id }, 0);
        }
        Ok(())
    }

    fn count_opening(&mut self, id: PostId) {
        if let Some(post) = self.post(id) {
            post.counts.openings += 1;
            post.has_news = true;
        }
    }
}

fn opener<'p>(opening: &Opening, session: i32, identity: &Identity, path: &'p [u8]) -> Opener<'p> {
    Opener {
        mask: opening.mask,
        pid: opening.pid,
        session,
        device: identity.device,
        inode: identity.inode,
        is_dir: identity.is_dir,
        path,
    }
}

fn subject(post: PostId, identity: &Identity) -> Subject {
    let Identity { device, inode, changed, .. } = *identity;
    Subject { post, device, inode, changed }
}
