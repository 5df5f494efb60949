//! Which rules does this event concern: an index of directories and names whose cost does not grow with the
//! number of rules. Pure.

mod decision;
mod index;

pub use decision::{Decision, decide, excluded, is_entered};
pub use index::{Attachment, Index, RootId, Site, What, below};
