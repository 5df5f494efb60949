//! The guard.
mod cache;
mod desk;
mod keeper;
mod kin;
mod outbox;
mod post;
mod wire;

pub use keeper::keep;
