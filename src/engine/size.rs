//! How much the engine holds: so many paths, and so many bytes of them.
//!
//! Paths are as long as those make them who may write below a rule's path. Whoever makes few but long ones is to take no
//! more memory than whoever makes many.

use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::path::Path;

use crate::event::Event;

/// Paths that wait or run, over all rules; beyond it rules owe a rescan. The same for parts of groups, and for the
/// windows of `edge = "leading"`.
pub const PATHS_MAX: usize = 65_536;

/// Bytes of these paths, and again of each of the others.
pub const BYTES_MAX: usize = 64 << 20;

/// Bytes of the paths of one rule, so that the others have room beside one with long paths.
pub const RULE_BYTES_MAX: usize = 16 << 20;

/// What all rules may hold.
pub(super) const MAX: Size = Size { paths: PATHS_MAX, bytes: BYTES_MAX };

/// What one rule may hold, whatever its `queue-limit`.
pub(super) const RULE_MAX: Size = Size { paths: PATHS_MAX, bytes: RULE_BYTES_MAX };

/// So many paths, with so many bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// How many.
    pub paths: usize,
    /// How long all of them are, paths before a rename included.
    pub bytes: usize,
}

impl Size {
    /// That of what is known of one path.
    pub(super) fn of(event: &Event) -> Size {
        Size::of_path(&event.path) + Size::of_old_path(event)
    }

    /// That of a path alone.
    pub(super) fn of_path(path: &Path) -> Size {
        Size { paths: 1, bytes: path.as_os_str().len() }
    }

    /// What an event may add to what is known of its path already.
    pub(super) fn of_old_path(event: &Event) -> Size {
        Size { paths: 0, bytes: event.old_path.as_ref().map_or(0, |path| path.as_os_str().len()) }
    }

    /// Whether so much may be added; nothing always may.
    pub(super) fn has_room_for(self, more: Size, max: Size) -> bool {
        let fits = |held: usize, more: usize, max: usize| more == 0 || held.saturating_add(more) <= max;
        fits(self.paths, more.paths, max.paths) && fits(self.bytes, more.bytes, max.bytes)
    }

    /// Whether half of this is free.
    pub(super) fn is_half_free(self, max: Size) -> bool {
        self.paths <= max.paths / 2 && self.bytes <= max.bytes / 2
    }

    /// The smaller of each.
    pub(super) fn min(self, other: Size) -> Size {
        Size { paths: self.paths.min(other.paths), bytes: self.bytes.min(other.bytes) }
    }

    /// What is left of this beside the other.
    pub(super) fn beside(self, other: Size) -> Size {
        Size { paths: self.paths.saturating_sub(other.paths), bytes: self.bytes.saturating_sub(other.bytes) }
    }
}

impl Add for Size {
    type Output = Size;

    fn add(self, other: Size) -> Size {
        Size { paths: self.paths + other.paths, bytes: self.bytes + other.bytes }
    }
}

impl Sub for Size {
    type Output = Size;

    fn sub(self, other: Size) -> Size {
        Size { paths: self.paths - other.paths, bytes: self.bytes - other.bytes }
    }
}

impl AddAssign for Size {
    fn add_assign(&mut self, other: Size) {
        *self = *self + other;
    }
}

impl SubAssign for Size {
    fn sub_assign(&mut self, other: Size) {
        *self = *self - other;
    }
}

impl<'a> std::iter::Sum<&'a Event> for Size {
    fn sum<I: Iterator<Item = &'a Event>>(events: I) -> Size {
        events.fold(Size::default(), |sum, event| sum + Size::of(event))
    }
}
