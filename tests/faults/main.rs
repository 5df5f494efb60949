//! Faults: whatever goes wrong around the real daemon, the history of what ran keeps SPEC 5.
//!
//! What takes long is behind the environment: `FACRON_KILLS=1000` kills as often, `FACRON_SWEEP=1` fails every system
//! call in turn, not only one of each kind, `FACRON_FLOOD=1` floods with a million paths instead of a tenth of it.
#![expect(
    clippy::disallowed_methods,
    reason = "tests start processes, read clocks to give up, and the environment"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/daemon.rs"]
#[allow(dead_code, clippy::allow_attributes, reason = "shared with tests that need other parts of it")]
mod harness;
mod growth;
mod history;
mod kills;
mod lives;
mod pressure;
mod reloads;
mod sweep;

/// A number from the environment, or this.
fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |value| value.parse().expect("a number"))
}
