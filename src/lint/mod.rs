//! Lints: `facts` asks the system about what rules name, `lints` is the table, one row a lint; `refusals` are those
//! that the daemon heeds too.

pub mod facts;
mod refusals;

pub use refusals::refusals;
