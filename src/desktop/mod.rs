//! Desktop notifications (SPEC 11): what is said of the end of a run, to whom, and how often; said by a short-lived
//! child in the identity of the desktop's user, so that a silent bus delays nothing.
//!
//! [`Desk`] decides and is pure; [`Desktop`] is its hands; [`helper`] is what the child does.

mod desk;
mod hands;
#[cfg(feature = "desktop")]
pub mod helper;
mod messenger;
mod notice;

pub use desk::Desk;
pub use hands::{DESKTOPS_MAX, Desktop, Settings};
pub use messenger::SUBCOMMAND;
pub use notice::{BODY_CHARS_MAX, Ended, Letter, Notice, Sent, Urgency};
