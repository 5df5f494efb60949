//! The kernel: every system call and every `unsafe`. Knows no rule.

pub mod clock;
pub mod epoll;
pub mod packet;
pub mod peek;
pub mod permission;
pub mod resident;
pub mod trust;
