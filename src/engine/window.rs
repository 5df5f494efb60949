//! The window of a batch: while it is open, the rule gathers paths; once it has closed, they run together.

use crate::moment::Moment;
use crate::rule::Gather;

/// When a batch is complete: once nothing came for `debounce`, but no later than `max-wait` after the first event of
/// all that could run.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// When the first event came since it last closed; none: it is closed.
    opened: Option<Moment>,
    /// When the last event came.
    last: Moment,
    /// The brake of a suspected loop.
    not_before: Moment,
    /// When it closes; none: it is closed.
    closes: Option<Moment>,
    /// What came up to this place was cut off from a batch that was too long: it runs whatever comes.
    pub rest_until: u64,
    /// Whether it closed and `on-busy` has not said what becomes of that.
    pub is_undecided: bool,
}

impl Window {
    /// Whether more is gathered.
    pub(super) fn is_open(&self) -> bool {
        self.closes.is_some()
    }

    /// When it closes by itself.
    pub(super) fn closes(&self) -> Option<Moment> {
        self.closes
    }

    /// Events came; [`Window::keep`] then says for how long it is open.
    pub(super) fn open(&mut self, first: Moment, last: Moment, not_before: Moment) {
        self.opened = Some(self.opened.map_or(first, |opened| opened.min(first)));
        self.last = self.last.max(last);
        self.not_before = not_before;
        self.closes = Some(last);
    }

    /// Keeps to the definition, if it is open, after a change of what could run; `first` is when the first event of
    /// that came.
    pub(super) fn keep(&mut self, gather: &Gather, first: Option<Moment>) {
        let Some(opened) = self.opened.filter(|_| self.is_open()) else { return };
        let first = first.map_or(opened, |first| first.min(opened));
        self.closes = Some(gather.due(first, self.last).max(self.not_before));
    }

    /// Closes if it is time; whether it did.
    pub(super) fn close(&mut self, now: Moment) -> bool {
        if self.closes.is_none_or(|closes| closes > now) {
            return false;
        }
        self.closes = None;
        self.opened = None;
        self.is_undecided = true;
        true
    }
}
