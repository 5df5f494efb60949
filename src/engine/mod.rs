//! The engine decides: which triggers become runs, when, and how a run ends.
//!
//! Pure: no descriptor, no clock, no error. Time comes with each input, and what is to be done comes back as
//! a list of actions. Contract: `now` never goes back; [`Engine::handle`] never blocks, fails or panics; after
//! it every deadline is later than `now`; actions are carried out in order; nothing is spawned after
//! [`Input::Stop`]; every matching event ends as a run that starts at or after it, or as a
//! [`Report::Dropped`] that says why.

mod contract;
mod outcome;

pub use contract::{Action, DropReason, Input, Purpose, Report, Run, StopSignal, Then};
pub use outcome::{Exit, Outcome, START_FAILURES, StartFailure, StartFailureClass};
