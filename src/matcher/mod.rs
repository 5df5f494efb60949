//! Which rules does this event concern: an index of directories and names whose cost does not grow with the
//! number of rules. Pure.

mod index;
mod reach;

pub use index::{Attachment, Index, RootId, Site, What};
pub use reach::{enters, matched};
