//! The kernel: every system call and every `unsafe`. Knows no rule.

pub mod clock;
pub mod decode;
pub mod fanotify;
pub mod handle;
pub mod mounts;
pub mod place;
pub mod poller;
pub mod trust;
pub mod wakeup;
pub mod writers;
