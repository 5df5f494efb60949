//! A draft becomes a rule: what is missing, and what cannot be together.

use std::ops::Range;

use super::keys::KeyId;
use super::lower::Draft;
use super::value::Values;
use super::written::Place;
use crate::codes::{Code, GUARD_REFUSED, IMPOSSIBLE, MISSING_KEY, TOO_MUCH};
use crate::diagnostic::Diagnostic;
use crate::escape;
use crate::guardable::{self, Facts, Refusal};
use crate::rule::{Command, Contain, Leftover, Resource, Rule, Setting, Source, Stdin};
use crate::template::Template;

/// What the kernel takes as arguments and environment together, at the least that is common (a quarter of the
/// stack's limit, which is 8 MiB unless somebody lowers it), with room to spare.
const ARGUMENTS_MAX: usize = 1 << 20;

/// What the environment that facron builds, and what a rule inherits, may take of it.
const ENVIRONMENT_RESERVE: usize = 64 << 10;

/// Less room than this for the paths of a batch is a mistake.
const BATCH_BYTES_MIN: usize = 16 << 10;

/// Bytes that an argument takes beside its text: NUL and a pointer.
const ARGUMENT_OVERHEAD: usize = 9;

/// A draft with its places, while it is judged.
pub(super) struct Judge<'d, 't, 'f> {
    /// What is judged.
    pub draft: Draft,
    /// The header of the rule.
    pub header: Range<usize>,
    /// Its own keys.
    pub places: &'d [Place],
    /// Keys that are written, misspelt.
    pub meant: &'d [&'static str],
    /// Whether the text has mistakes that may have hidden a key.
    pub is_broken: bool,
    /// Where mistakes go.
    pub values: &'d mut Values<'t, 'f>,
}

impl Judge<'_, '_, '_> {
    /// The rule, as far as it can be understood, and whether it has all that a rule needs; whatever is wrong is
    /// reported.
    pub fn rule(mut self, source: Source) -> (Rule, bool) {
        self.check_missing();
        self.check_together();
        if self.draft.is_guard() {
            self.check_guard();
        } else if self.draft.verdict.command && self.own(KeyId::Verdict).is_some() {
            self.report(
                IMPOSSIBLE,
                KeyId::Verdict,
                "`verdict = \"command\"` decides about permission events only",
                |finding| finding.with_help("ask for one, for example `on = \"open-perm\"`"),
            );
        }
        let batch_bytes_max = self.batch_bytes_max();
        let Draft {
            name,
            description,
            watch,
            mut gather,
            schedule,
            command,
            shell,
            mut setting,
            no_new_privs,
            mut ending,
            verdict,
            ..
        } = self.draft;
        gather.batch_bytes_max = batch_bytes_max;
        setting.no_new_privs = no_new_privs.unwrap_or(setting.user.is_some());
        if setting.contain == Contain::PidNamespace {
            ending.leftover = Leftover::Kill;
        }
        let command = command.or(shell);
        let is_whole = name.is_some() && command.is_some() && !watch.paths.is_empty();
        let rule = Rule {
            name: name.unwrap_or_default(),
            description,
            source,
            watch,
            gather,
            schedule,
            command: command.unwrap_or(Command::Argv(Vec::new())),
            setting,
            ending,
            verdict,
        };
        (rule, is_whole)
    }

    fn own(&self, key: KeyId) -> Option<&Place> {
        self.places.iter().find(|place| place.key == key)
    }

    fn report(
        &mut self,
        code: &'static Code,
        key: KeyId,
        message: impl Into<String>,
        more: impl FnOnce(Diagnostic) -> Diagnostic,
    ) {
        let span = self.own(key).map_or_else(|| self.header.clone(), Place::span);
        let finding = more(self.values.at(code, span, message));
        self.values.report(finding);
    }

    fn check_missing(&mut self) {
        if self.is_broken {
            return;
        }
        let is_missing =
            |judge: &Self, key: KeyId| judge.own(key).is_none() && !judge.meant.contains(&key.key().name);
        for (key, example) in
            [(KeyId::Name, "name = \"reload-nginx\""), (KeyId::Path, "path = \"/etc/nginx\"")]
        {
            if is_missing(self, key) {
                let message = format!("a rule needs a `{}`", key.key().name);
                self.report(MISSING_KEY, key, message, |finding| {
                    finding.with_help(format!("for example `{example}`"))
                });
            }
        }
        if self.own(KeyId::Path).is_some_and(|place| !place.has_items())
            && self.draft.watch.paths.is_empty()
            && !self.has_error(KeyId::Path)
        {
            self.report(MISSING_KEY, KeyId::Path, "a rule needs at least one path", |finding| finding);
        }
        if is_missing(self, KeyId::Command) && is_missing(self, KeyId::Shell) {
            self.report(MISSING_KEY, KeyId::Command, "a rule needs a `command` or a `shell`", |finding| {
                finding.with_help("for example `command = [\"/usr/bin/logger\", \"{path}\"]`")
            });
        }
    }

    /// Whether the value of a key was refused already.
    fn has_error(&self, key: KeyId) -> bool {
        let Some(place) = self.own(key) else { return false };
        self.values.findings.has_error_within(self.values.source, &place.span())
    }

    fn check_together(&mut self) {
        let setting = &self.draft.setting;
        let (group, user) = (setting.group.clone(), setting.user.clone());
        if let (Some(command), Some(shell)) = (self.own(KeyId::Command), self.own(KeyId::Shell)) {
            let (command, shell) = (command.key_span(), shell.key_span());
            let (first, second) =
                if command.start < shell.start { (command, shell) } else { (shell, command) };
            let finding = self.values.at(IMPOSSIBLE, second, "a rule has `command` or `shell`, not both");
            let finding = finding.with_related(self.values.source, first, "the other one");
            self.values.report(finding);
        }
        if group.is_some() && user.is_none() && !self.has_error(KeyId::User) {
            self.report(IMPOSSIBLE, KeyId::Group, "`group` alone would keep the daemon's user", |finding| {
                finding.with_help("say whose group it is with `user`")
            });
        }
        if self.draft.setting.stdin == Stdin::File && self.draft.gather.batch {
            self.report(
                IMPOSSIBLE,
                KeyId::Stdin,
                "`stdin = \"file\"` gives one file, and `batch` has many",
                |finding| finding.with_help("with `batch`, take `stdin = \"paths0\"`"),
            );
        }
    }

    /// Permission events: whoever opens the file waits for us (SPEC 9).
    fn check_guard(&mut self) {
        let is_command = self.draft.verdict.command;
        if self.draft.gather.batch {
            self.report(
                IMPOSSIBLE,
                KeyId::Batch,
                "permission events cannot be gathered: each opener waits for its own answer",
                |finding| finding,
            );
        }
        if is_command && !self.draft.gather.debounce.is_zero() {
            self.report(
                IMPOSSIBLE,
                KeyId::Debounce,
                "the opener would wait for `debounce`, and for nothing",
                |finding| finding.with_help("leave it out where `verdict = \"command\"`"),
            );
        }
        let (watch, timeout) = (&self.draft.watch, self.draft.ending.timeout);
        for refusal in guardable::rule_refusals(watch, self.draft.verdict, timeout) {
            let key = match refusal {
                Refusal::NoTimeout if self.has_error(KeyId::Timeout) => continue,
                Refusal::NoTimeout => KeyId::Verdict,
                Refusal::LongTimeout => KeyId::Timeout,
                Refusal::Tree => KeyId::Scope,
                Refusal::WholeFileSystem => KeyId::Mark,
                Refusal::InnerArray => KeyId::On,
                Refusal::SystemDirectory(_)
                | Refusal::Libraries(_)
                | Refusal::RuleFile(_)
                | Refusal::Program(_)
                | Refusal::OwnDirectory(_)
                | Refusal::ForeignFileSystem(_)
                | Refusal::KernelFileSystem(_) => KeyId::Path,
            };
            self.report(GUARD_REFUSED, key, refusal.to_string(), |finding| {
                finding.with_help_if(refusal.help())
            });
        }
        for (index, path) in self.draft.watch.paths.clone().iter().enumerate() {
            if let Some(refusal) = guardable::path_refusal(path, &Facts::default()) {
                let span =
                    self.own(KeyId::Path).map_or_else(|| self.header.clone(), |place| place.item(index));
                let message = format!("{} cannot be guarded: {refusal}", escape::path(path));
                let finding = self.values.at(GUARD_REFUSED, span, message);
                self.values.report(finding.with_help_if(refusal.help()));
            }
        }
    }

    /// How many bytes of paths one run of a batch takes, where its arguments grow with them.
    fn batch_bytes_max(&mut self) -> Option<usize> {
        let command = self.draft.command.as_ref().or(self.draft.shell.as_ref())?;
        let (literal, copies) = match command {
            Command::Argv(arguments) => (
                arguments.iter().map(|argument| bytes_of(argument) + ARGUMENT_OVERHEAD).sum::<usize>(),
                arguments.iter().filter(|argument| **argument == Template::Paths).count(),
            ),
            Command::Shell(text) => (text.len() + 64, 1),
        };
        if !self.draft.gather.batch || copies == 0 {
            return None;
        }
        let room = arguments_max(&self.draft.setting)
            .saturating_sub(literal + environment_bytes(&self.draft.setting) + ENVIRONMENT_RESERVE)
            / copies;
        if room < BATCH_BYTES_MIN {
            self.report(
                TOO_MUCH,
                KeyId::Command,
                "the arguments and `env` leave no room for the paths of a batch",
                |finding| finding.with_help("give the paths on standard input: `stdin = \"paths0\"`"),
            );
        }
        Some(room)
    }
}

/// A quarter of the stack is for arguments and environment (execve(2)); never less than 128 KiB.
fn arguments_max(setting: &Setting) -> usize {
    match setting.limits.get(&Resource::Stack) {
        Some(Some(stack)) => {
            usize::try_from(stack / 4).unwrap_or(ARGUMENTS_MAX).clamp(128 << 10, ARGUMENTS_MAX)
        }
        Some(None) | None => ARGUMENTS_MAX,
    }
}

fn environment_bytes(setting: &Setting) -> usize {
    setting.env.iter().map(|(name, value)| name.len() + 1 + value.len() + ARGUMENT_OVERHEAD).sum()
}

/// What an argument takes in a batch, where a placeholder is at most a path.
fn bytes_of(argument: &Template) -> usize {
    match argument {
        Template::Paths => 0,
        Template::Classic(_) => 4096,
        Template::Parts(parts) => parts
            .iter()
            .map(|part| match part {
                crate::template::Part::Text(text) => text.len(),
                crate::template::Part::Placeholder(_) => 4096,
            })
            .sum(),
    }
}
