//! The simulation: the real engine lives thousands of random lives in a simulated world, and an oracle that shares no
//! code with it judges every one of them (RELIABILITY.md 4a).
//!
//! `FACRON_LIVES=N` lives N lives, `FACRON_SEED=S` lives that one again and tells it.

#![expect(clippy::print_stdout, reason = "a test tells what it did")]

#[path = "../stories/rules.rs"]
mod rules;

mod chance;
mod exhaustive;
mod hunt;
mod lives;
mod misread;
mod mutant;
mod nature;
mod oracle;
mod prng;
mod sometimes;
mod subject;
mod tampered;
mod tell;
mod world;
