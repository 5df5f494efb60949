//! facron, a filesystem cron for Linux: when these files change, run this command, reliably.
//!
//! Modules in reading order; each uses only modules above it. `tests/architecture.rs` holds this.

// Words: no other module, no I/O, no clock.
pub mod moment;
pub mod throttle;
pub mod event;
pub mod signal;
pub mod glob;
pub mod template;
pub mod rule;
pub mod diagnostic;
pub mod codes;
pub mod escape;
pub mod guardable;
pub mod event_json;

// Texts: words in, words out.
pub mod config;
pub mod report;
pub mod import;

// Decisions: pure; no descriptor, no clock, no error.
pub mod plan;
pub mod matcher;
pub mod engine;

// The kernel: every system call and every unsafe; knows no rule.
pub mod sys;

// Hands: system calls through sys, words in and out.
pub mod lint;
pub mod logger;
pub mod journal;
pub mod control;
pub mod supervisor;
pub mod monitor;
pub mod guard;
pub mod desktop;

// Joins all of the above.
pub mod daemon;
pub mod cli;
