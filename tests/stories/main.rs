//! Stories of the engine: a script of what happens goes in, a trace of what is done comes out.
//!
//! A script line is a time in milliseconds and what happens then; the engine is woken exactly when it asks to be.

mod rules;
mod script;

mod ending;
mod gathering;
mod limits;
mod scheduling;
