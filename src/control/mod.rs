//! The control socket: line-framed JSON, decided by the caller's user.
