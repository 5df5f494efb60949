//! The daemon: the loop that joins monitor, engine and supervisor.

pub mod load;
