//! Where results and messages go: standard output and standard error, coloured where that belongs. A reader that
//! went away is no mistake.

use std::io::{self, Write as _};

use anstream::AutoStream;

use super::Global;

/// Prints a result to standard output; says whether anybody still reads there.
pub fn print(text: &str, global: &Global) -> bool {
    let written = AutoStream::new(io::stdout().lock(), choice(global)).write_all(text.as_bytes());
    written.and_then(|()| io::stdout().lock().flush()).is_ok()
}

/// Says something to people on standard error.
pub fn say(text: &str, global: &Global) {
    let _ = AutoStream::new(io::stderr().lock(), choice(global)).write_all(text.as_bytes());
}

/// Whether what goes to standard error is coloured.
pub fn colours_messages(global: &Global) -> bool {
    let choice = match choice(global) {
        anstream::ColorChoice::Auto => AutoStream::choice(&io::stderr()),
        decided => decided,
    };
    choice != anstream::ColorChoice::Never
}

fn choice(global: &Global) -> anstream::ColorChoice {
    match global.color {
        clap::ColorChoice::Auto => anstream::ColorChoice::Auto,
        clap::ColorChoice::Always => anstream::ColorChoice::Always,
        clap::ColorChoice::Never => anstream::ColorChoice::Never,
    }
}
