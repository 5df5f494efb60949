//! The kernel: every system call and every `unsafe`. Knows no rule.

pub mod clock;
pub mod directory;
pub mod local;
pub mod memory_file;
pub mod poller;
pub mod private;
pub mod process;
pub mod sessions;
pub mod trust;
pub mod wait;
