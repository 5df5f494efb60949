//! Copies of programs that are run at once.

use std::path::Path;

/// Copies a program by a process of its own. A descriptor of ours that can write it would be in the hands of every
/// child that another test starts at this moment, until that runs its program: "text file busy".
#[expect(clippy::disallowed_methods, reason = "a test is nobody's daemon")]
pub fn copy_program(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let status = std::process::Command::new("cp").arg(from.as_ref()).arg(to.as_ref()).status();
    assert!(status.expect("cp(1)").success(), "{} cannot be copied", from.as_ref().display());
}
