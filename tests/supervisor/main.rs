//! The supervisor on the real kernel, without a daemon: what a command finds, how it is held, how it ends.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/copy.rs"]
mod copy;
#[path = "../common/supervised.rs"]
mod supervised;

mod attribution;
mod containment;
mod held_up;
mod hostile;
mod identity;
mod runs;
mod start_failures;
mod stdin_file;
