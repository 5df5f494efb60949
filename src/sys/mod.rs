//! The kernel: every system call and every `unsafe`. Knows no rule.

pub mod clock;
pub mod decode;
pub mod directory;
pub mod fanotify;
pub mod handle;
pub mod local;
pub mod memory_file;
pub mod mounts;
pub mod names;
pub mod packet;
pub mod peek;
pub mod permission;
pub mod pipes;
pub mod place;
pub mod poller;
pub mod process;
pub mod resident;
pub mod sessions;
pub mod signals;
pub mod trust;
pub mod users;
pub mod wait;
pub mod writers;
