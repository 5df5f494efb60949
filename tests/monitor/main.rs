//! The monitor against the kernel: rules in, changes made, events out. What needs root makes its own mounts.

mod calls;
#[path = "../common/mod.rs"]
mod common;
mod events_command;
mod filesystems;
#[path = "../common/ground.rs"]
mod ground;
mod kinds;
mod kit;
mod losses;
mod saves;
mod trees;
mod ways;
