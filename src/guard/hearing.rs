//! What the daemon does with the words of the guard.

use std::sync::Arc;

use super::notice::GuardNotice;
use super::place;
use super::policy;
use super::questions::Verdict;
use super::wire::{Opener, PostId, QuestionId, Word};
use super::{Guard, Process};
use crate::event::{Cause, Event, EventMask, Origin};
use crate::moment::Moment;
use crate::rule::{Rule, Stdin};
use crate::sys::clock;

/// What is to be said when the words of one turn are heard.
#[derive(Debug, Default)]
struct Replies {
    verdicts: Vec<(QuestionId, Verdict)>,
    retired: Vec<PostId>,
    is_post_free: bool,
}

impl Guard {
    /// Hears what the guard says, and sends what waited for room.
    pub(super) fn hear(&mut self, now: Moment, notices: &mut Vec<GuardNotice>) {
        let Some(mut process) = self.process.take() else { return };
        let mut replies = Replies::default();
        let is_sent = process.flush();
        let is_there = process.hear(|word| self.hear_word(&word, &mut replies, notices));
        match is_sent.and(is_there) {
            Ok(true) => self.process = Some(process),
            Ok(false) | Err(_) => return self.lose(process, now, notices),
        }
        for (question, verdict) in replies.verdicts {
            self.answer(question, verdict);
        }
        self.retire(replies.retired.into_iter());
        if replies.is_post_free && self.stations.iter().any(|station| station.is_changed) {
            self.refresh_all(now, notices);
        }
        self.watch_room();
    }

    fn hear_word(&mut self, word: &Word<'_>, replies: &mut Replies, notices: &mut Vec<GuardNotice>) {
        match *word {
            Word::Ready { is_resident: true } => {}
            Word::Ready { is_resident: false } => {
                let message = "cannot lock its memory, openers may wait for a page that was swapped out";
                notices.push(GuardNotice::Warned { message: message.to_owned() });
            }
            Word::Failed { message } => {
                notices.push(GuardNotice::Warned { message: format!("cannot go on: {message}") });
            }
            Word::Posted { post, is_audited } => {
                let rule = self.roster.rule(post);
                if let Some(rule) = rule.filter(|rule| rule.verdict.audit && !is_audited) {
                    let message =
                        format!("rule {}: this kernel writes no verdicts to an audit log", rule.name);
                    notices.push(GuardNotice::Warned { message });
                }
            }
            Word::NotPosted { post, errno } => {
                self.roster.note_refused(post, errno);
                self.arrived(post, replies, notices);
            }
            Word::Marked { post, mark, errno } => {
                self.roster.note_marked(post, mark, errno);
                self.arrived(post, replies, notices);
            }
            Word::Retired { post } => {
                self.roster.remove(post);
                replies.is_post_free = true;
            }
            Word::Asked { question, opener } => self.asked(question, &opener, replies, notices),
            Word::Told { post, opener } => {
                if let Some((rule, event)) = self.event(post, &opener) {
                    let session = Some(opener.session).filter(|session| *session > 0);
                    notices.push(GuardNotice::Event { rule, event, session, question: None });
                }
            }
            Word::Overdue { question } => {
                self.questions.forget(question);
                if let Some(rule) = self.roster.rule(question.post) {
                    notices.push(GuardNotice::Overdue { rule });
                }
            }
            Word::Plain { post } => {
                if let Some(rule) = self.roster.rule(post) {
                    let message = format!(
                        "rule {}: this kernel denies with EPERM only, and without audit where it has none",
                        rule.name
                    );
                    notices.push(GuardNotice::Warned { message });
                }
            }
            Word::Counted { post, counts } => {
                let lost = self.roster.note_counts(post, counts);
                if let Some(rule) = self.roster.rule(post).filter(|_| lost > 0) {
                    notices.push(GuardNotice::Lost { rule, count: lost });
                }
            }
        }
    }

    /// Somebody waits: the rule's command has to decide, or, where there is no such rule any more, its default.
    fn asked(
        &mut self,
        question: QuestionId,
        opener: &Opener<'_>,
        replies: &mut Replies,
        notices: &mut Vec<GuardNotice>,
    ) {
        let Some((rule, event)) = self.event(question.post, opener) else {
            let default =
                self.roster.rule(question.post).map_or(Verdict::Allow, |rule| policy::default_of(&rule));
            replies.verdicts.push((question, default));
            return;
        };
        self.questions.ask(question, &rule.name, &event.path, policy::default_of(&rule));
        let session = Some(opener.session).filter(|session| *session > 0);
        notices.push(GuardNotice::Event { rule, event, session, question: Some(question) });
    }

    /// What happened, in the words of the rule, as it is at this moment.
    fn event(&self, post: PostId, opener: &Opener<'_>) -> Option<(Arc<Rule>, Event)> {
        let posted = self.roster.rule(post)?;
        let station = self.stations.iter().find(|station| station.rule.name == posted.name)?;
        let rule = Arc::clone(&station.rule);
        let path = place::path_of(self.roster.places(post), opener)?;
        let needs_object = rule.setting.stdin == Stdin::File;
        let object = needs_object.then(|| place::object_of(&path, opener)).flatten();
        let event = Event {
            mask: EventMask::from_kernel_bits(opener.mask).intersection(EventMask::ALL_PERMISSION),
            path: path.into(),
            old_path: None,
            is_dir: opener.is_dir,
            cause: Cause { pid: opener.pid, ..Cause::default() },
            time: clock::wall(),
            origin: Origin::Event,
            object,
        };
        Some((rule, event))
    }

    /// A mark is set, or not: when it was the last one, the post takes the place of the one before.
    fn arrived(&mut self, post: PostId, replies: &mut Replies, notices: &mut Vec<GuardNotice>) {
        if !self.roster.is_complete(post) {
            return;
        }
        if let Some(station) = self.stations.iter_mut().find(|station| station.arriving == Some(post)) {
            station.arriving = None;
            replies.retired.extend(station.active.replace(post));
            station.tell(&self.roster, notices);
        }
    }

    /// The guard is gone, and the kernel has let everybody through.
    fn lose(&mut self, process: Process, now: Moment, notices: &mut Vec<GuardNotice>) {
        process.kill();
        self.let_go(process);
        self.roster.clear();
        self.questions.forget_all();
        self.put_off(now, "the guard is gone, and whoever waited was let through", notices);
    }
}
