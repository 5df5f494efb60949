//! The kernel: every system call and every `unsafe`. Knows no rule.

pub mod clock;
pub mod directory;
pub mod local;
pub mod packet;
pub mod peek;
pub mod permission;
pub mod poller;
pub mod process;
pub mod resident;
pub mod trust;
pub mod wait;
