//! What a run reads on its standard input.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use super::object;
use super::refusal::{refuse, refused_by_system};
use crate::engine::{Run, StartFailure, StartFailureClass};
use crate::event::Event;
use crate::rule::Stdin;
use crate::sys::memory_file;

/// Standard input, opened before the command starts.
#[derive(Debug, Default)]
pub struct Inlet {
    /// What becomes descriptor 0; none: nothing to read.
    pub file: Option<OwnedFd>,
    /// Whether it is a mere place, which the command's user is to open.
    pub opens_file: bool,
    /// Paths that cannot be told on standard input.
    pub left_out: Vec<PathBuf>,
}

impl Inlet {
    /// Opens what the rule of a run says.
    ///
    /// # Errors
    /// When nothing of it can be told, or there is no memory or descriptor left.
    pub fn open(run: &Run) -> Result<Inlet, StartFailure> {
        let (separator, write): (u8, fn(&Event, &mut Vec<u8>)) = match run.rule.setting.stdin {
            Stdin::Null => return Ok(Inlet::default()),
            Stdin::Paths => (b'\n', write_path),
            Stdin::Paths0 => (b'\0', write_path),
            Stdin::Json => (b'\n', write_json),
            Stdin::File => {
                return Ok(Inlet { file: Some(object::find(run)?), opens_file: true, left_out: Vec::new() });
            }
        };
        let (mut bytes, mut left_out) = (Vec::new(), Vec::new());
        for event in &*run.events {
            let start = bytes.len();
            write(event, &mut bytes);
            if bytes[start..].contains(&separator) {
                bytes.truncate(start);
                left_out.push(event.path.to_path_buf());
            } else {
                bytes.push(separator);
            }
        }
        if bytes.is_empty() {
            let message = "no path can be given on a line of its own, since each has a newline in it; \
                           stdin = \"paths0\" takes every name";
            return Err(refuse(StartFailureClass::Input, message.to_owned()));
        }
        let file = memory_file::of(&bytes).map_err(|error| {
            refused_by_system(StartFailureClass::Input, "hold standard input in memory", &error)
        })?;
        Ok(Inlet { file: Some(file.into()), opens_file: false, left_out })
    }
}

fn write_path(event: &Event, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(event.path.as_os_str().as_bytes());
}

fn write_json(event: &Event, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(crate::event_json::text(event).as_bytes());
}
