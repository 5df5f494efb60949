//! The monitor against the kernel: rules in, changes made, events out. What needs root makes its own mounts.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/ground.rs"]
mod ground;
mod kit;
mod saves;
mod trees;
