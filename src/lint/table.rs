//! The table of lints: one row a lint. What it is about, and how bad, stands in `codes`.

use super::allow::{self, Sieve};
use super::{Subject, Texts, between, globs, loops, program, settings, watched, words};
use crate::codes::{self, Code};
use crate::config::WrittenRule;
use crate::diagnostic::Diagnostic;

/// One lint.
pub struct Lint {
    /// What it finds.
    pub code: &'static Code,
    /// How it looks.
    pub(super) look: Look,
}

/// A finding, with the rule at which it stands, if it stands at one.
pub(super) type Found<'t> = (Option<&'t WrittenRule>, Diagnostic);

/// How a lint looks.
#[derive(Clone, Copy)]
pub(super) enum Look {
    /// At each rule.
    Each(fn(&Subject<'_>) -> Vec<Diagnostic>),
    /// At all rules together.
    All(for<'t> fn(&'static Code, &Texts<'t>) -> Vec<Found<'t>>),
    /// At each rule, knowing what the lints above found.
    Allowed(fn(&Subject<'_>, &Sieve<'_>) -> Vec<Diagnostic>),
}

/// Every lint.
pub const LINTS: &[Lint] = &[
    each(codes::DEAD_TOKEN, words::dead_token),
    each(codes::OPTION, words::option),
    each(codes::SHELL_SYNTAX, words::shell_syntax),
    each(codes::ONE_OF_BATCH, words::one_of_batch),
    each(codes::LONG_DEBOUNCE, settings::long_debounce),
    each(codes::NO_TIMEOUT, settings::no_timeout),
    each(codes::NO_EFFECT, settings::no_effect),
    each(codes::NEVER_FIRES, watched::never_fires),
    each(codes::DEAD_GLOB, globs::dead_glob),
    each(codes::TWICE, globs::twice),
    all(codes::TWICE, between::same_rules),
    each(codes::FREQUENT, watched::frequent),
    each(codes::SECRET, settings::secret),
    each(codes::CLASSIC_SPELLING, words::classic_spelling),
    each(codes::UNCLEAN_PATH, watched::unclean_path),
    each(codes::CONTROL_CHARACTER, watched::control_character),
    each(codes::WHOLE_SYSTEM, watched::whole_system),
    all(codes::LOOP, loops::loops),
    each(codes::NOTIFY_SEND, program::notify_send),
    each(codes::PROGRAM_TEXT, words::program_text),
    each(codes::DANGEROUS_VARIABLE, settings::dangerous_variable),
    each(codes::LOW_LIMIT, settings::low_limit),
    each(codes::OVER_DAEMON, settings::over_daemon),
    each(codes::MISSING_PATH, watched::missing_path),
    each(codes::FOREIGN_LINK, watched::foreign_link),
    each(codes::FOREIGN_FILE_SYSTEM, watched::foreign_file_system),
    each(codes::MISSING_PROGRAM, program::missing),
    each(codes::UNRUNNABLE, program::unrunnable),
    each(codes::FOREIGN_PROGRAM, program::foreign),
    each(codes::SETUID, program::setuid),
    each(codes::MISSING_DIRECTORY, settings::missing_directory),
    each(codes::UNKNOWN_CAUSE, watched::unknown_cause),
    all(codes::NO_RULES, between::no_rules),
    all(codes::HARD_LINK, between::hard_links),
    each(codes::WRONG_SCOPE, watched::wrong_scope),
    each(codes::FOREIGN_OUTPUT, settings::foreign_output),
    Lint { code: codes::USELESS_ALLOW, look: Look::Allowed(allow::useless) },
];

const fn each(code: &'static Code, look: fn(&Subject<'_>) -> Vec<Diagnostic>) -> Lint {
    Lint { code, look: Look::Each(look) }
}

const fn all(code: &'static Code, look: for<'t> fn(&'static Code, &Texts<'t>) -> Vec<Found<'t>>) -> Lint {
    Lint { code, look: Look::All(look) }
}
