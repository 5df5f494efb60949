//! The control socket: line-framed JSON, decided by the caller's user; and the lock that keeps a second daemon away.
//!
//! The server is one of the loop's sources: [`Server::ready`] gives requests, [`Server::answer`] takes answers. It
//! runs nothing itself, and no verb of it runs a command that no rule has.

mod caller;
mod client;
mod decisions;
mod place;
mod protocol;
mod server;
mod status;

pub use caller::{CallError, Caller};
pub use decisions::{DECISIONS_MAX, Decision, Decisions};
pub use place::{Place, PlaceError};
pub use protocol::{LINE_BYTES_MAX, PROTOCOL_VERSION, Response, Verb, WirePath};
pub use server::{CLIENTS_MAX, ClientId, FOLLOWERS_MAX, Request, Server};
pub use status::{
    DaemonStatus, DecisionStatus, Done, GuardCounts, LastRun, ReloadError, RuleState, RuleStatus, RunCounts,
    Status, stamp,
};
