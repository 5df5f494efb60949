//! The kernel: every system call and every `unsafe`. Knows no rule.

pub mod clock;
pub mod private;
pub mod trust;
