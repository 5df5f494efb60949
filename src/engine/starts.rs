//! `start-limit`: when a rule started, as far back as its limit looks.

use std::collections::VecDeque;

use crate::moment::Moment;
use crate::rule::StartLimit;

/// The starts of one rule that still count.
#[derive(Debug, Default)]
pub(super) struct Starts {
    at: VecDeque<Moment>,
    is_reported: bool,
}

impl Starts {
    /// When the next start is allowed: none if at once.
    pub(super) fn blocked_until(&self, limit: Option<StartLimit>, now: Moment) -> Option<Moment> {
        let limit = limit?;
        let oldest = self.at.len().checked_sub(limit.starts.get() as usize)?;
        Some(self.at[oldest] + limit.span).filter(|until| *until > now)
    }

    /// A start happens; what no longer counts is forgotten.
    pub(super) fn record(&mut self, limit: Option<StartLimit>, now: Moment) {
        let Some(limit) = limit else { return self.at.clear() };
        self.at.push_back(now);
        while self.at.len() > limit.starts.get() as usize
            || self.at.front().is_some_and(|at| *at + limit.span <= now)
        {
            self.at.pop_front();
        }
    }

    /// Something waits for the limit; whether that is news.
    pub(super) fn is_news(&mut self) -> bool {
        !std::mem::replace(&mut self.is_reported, true)
    }

    /// Nothing waits.
    pub(super) fn is_over(&mut self) {
        self.is_reported = false;
    }
}
