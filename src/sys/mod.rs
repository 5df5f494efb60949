//! The kernel: every system call and every `unsafe`. Knows no rule.

pub mod cgroup;
pub mod clock;
pub mod connector;
pub mod decode;
pub mod directory;
pub mod fanotify;
pub mod handle;
pub mod listing;
pub mod local;
pub mod lock;
pub mod manager;
pub mod memory_file;
pub mod mounts;
pub mod pipes;
pub mod place;
pub mod poller;
pub mod private;
pub mod process;
pub mod program;
pub mod sessions;
pub mod signals;
pub mod trust;
pub mod users;
pub mod wait;
pub mod wakeup;
pub mod writers;
