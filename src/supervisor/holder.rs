//! A process that does nothing: to try with whether processes can be held, and to be the first of a PID namespace.
//!
//! It is this program itself, started with a hidden word, since nothing else is sure to be there.

use std::ffi::{CString, OsString};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use crate::sys::process::{Child, Place, Recipe, Spawner, StepError};

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "__hold";

/// How holders are started.
#[derive(Debug)]
pub struct Holder {
    program: CString,
    arguments: [CString; 2],
}

impl Holder {
    /// By this program, which knows the hidden subcommand; none where its name has a NUL.
    pub fn new(program: &Path) -> Option<Holder> {
        let program = CString::new(OsString::from(program).into_vec()).ok()?;
        let word = CString::new(SUBCOMMAND).expect("it has no NUL");
        Some(Holder { program, arguments: [c"facron".to_owned(), word] })
    }

    /// Starts one.
    ///
    /// # Errors
    /// The step that failed.
    pub fn start(
        &self,
        spawner: &mut Spawner,
        place: Place<'_>,
        null: BorrowedFd<'_>,
    ) -> Result<Child, StepError> {
        spawner.spawn(&Recipe {
            program: &self.program,
            arguments: &self.arguments,
            environment: &[],
            stdio: [null; 3],
            opens_stdin: false,
            place,
            cgroups: &[],
            nice: None,
            umask: 0o077,
            resets_oom_score: false,
            limits: &[],
            credentials: None,
            cwd: c"/",
            no_new_privs: true,
        })
    }
}
