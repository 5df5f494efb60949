//! What tests that need privileges share.

use std::io::Write as _;

/// Whether this test may go on: it needs root. Says loudly when it is skipped; with `FACRON_REQUIRE_ROOT=1` a
/// skip is a failure.
pub fn require_root(name: &str) -> bool {
    require(name, "root", nix::unistd::geteuid().is_root())
}

/// Whether this test may go on: it needs `what`, and the machine has it or not.
#[expect(clippy::disallowed_methods, reason = "the environment is the test's own border")]
pub fn require(name: &str, what: &str, is_there: bool) -> bool {
    if !is_there {
        assert!(
            std::env::var_os("FACRON_REQUIRE_ROOT").is_none_or(|value| value != "1"),
            "{name} needs {what}, and FACRON_REQUIRE_ROOT=1 forbids to skip it"
        );
        // Not eprintln!: the harness swallows what a passing test prints by it.
        let _ = writeln!(std::io::stderr(), "SKIPPED {name}: needs {what}");
    }
    is_there
}
