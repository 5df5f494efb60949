//! Lints about the words of commands: tokens, options, shell syntax, spellings.

use super::Subject;
use crate::config::keys::KeyId;
use crate::config::{misread, shell, shown};
use crate::diagnostic::{Diagnostic, Severity};
use crate::event::{EventMask, EventSet};
use crate::rule::{Command, Rule, Stdin};
use crate::template::{PLACEHOLDERS, Part, Placeholder, Template};

/// Tokens that nobody writes by chance.
const TOKENS: &[&str] = &["$$", "$@", "$#", "$*"];

/// Words that a shell would obey.
const OPERATORS: &[&str] =
    &["|", "||", "&&", "&", ";", ">", ">>", "<", "<<", "2>", "2>>", "&>", "2>&1", ">&2", "1>&2"];

/// The commands of a rule that are programs with arguments.
pub(super) fn commands(rule: &Rule) -> impl Iterator<Item = (KeyId, &[Template])> {
    let on_failure = rule.ending.on_failure.as_deref().map(|command| (KeyId::OnFailure, command));
    [(KeyId::Command, &rule.command)].into_iter().chain(on_failure).filter_map(|(key, command)| match command
    {
        Command::Argv(arguments) => Some((key, &**arguments)),
        Command::Shell(_) => None,
    })
}

/// The arguments that no shell sees as text, each with its place.
fn plain_arguments(arguments: &[Template]) -> impl Iterator<Item = (usize, &Template)> {
    let text = shell::text_of(&misread::said(arguments));
    arguments.iter().enumerate().skip(1).filter(move |(at, _)| text != Some(*at))
}

pub(super) fn dead_token(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for (key, arguments) in commands(subject.rule) {
        for (at, argument) in plain_arguments(arguments) {
            let Template::Parts(parts) = argument else { continue };
            let texts = parts.iter().filter_map(|part| match part {
                Part::Text(text) => Some(text.as_str()),
                Part::Placeholder(_) => None,
            });
            let token = texts.flat_map(|text| TOKENS.iter().filter(|token| text.contains(**token))).next();
            if let Some(token) = token {
                let message = format!("`{token}` is replaced only where it is the whole argument");
                let finding = subject.at_item(key, at, message);
                findings.push(
                    finding.with_help(
                        "placeholders are replaced anywhere: `{path}`, `{dir}`, `{name}`, `{pid}`",
                    ),
                );
            }
        }
    }
    findings
}

pub(super) fn option(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for (key, arguments) in commands(subject.rule) {
        let Some(at) = misread::as_option(arguments) else { continue };
        let mut finding = subject.at_item(key, at, "a file called `-rf` would be taken for an option here");
        if matches!(arguments[at], Template::Classic(_)) {
            finding.severity = Severity::Note;
        }
        findings.push(finding.with_help(
            "put `\"--\"` before it, or use `{path}`, which begins with `/`; where the program takes any name, say \
             `allow = [\"F031\"]`",
        ));
    }
    findings
}

pub(super) fn shell_syntax(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for (key, arguments) in commands(subject.rule) {
        let has_shell = arguments.iter().any(|argument| argument.as_literal().is_some_and(shell::is_shell));
        if has_shell {
            continue;
        }
        for (at, argument) in arguments.iter().enumerate().skip(1) {
            let Some(what) = argument.as_literal().and_then(shell_syntax_in) else { continue };
            let finding = subject.at_item(key, at, format!("no shell runs, so {what} is a plain argument"));
            findings
                .push(finding.with_help("write `shell` instead of `command`, with `\"$@\"` for the paths"));
            break;
        }
    }
    findings
}

/// What a shell would make something of.
fn shell_syntax_in(argument: &str) -> Option<String> {
    let is_variable = argument
        .strip_prefix('$')
        .is_some_and(|name| name.starts_with(|c: char| c.is_ascii_uppercase() || c == '{' || c == '('));
    if OPERATORS.contains(&argument) || is_variable || argument.starts_with("~/") {
        return Some(shown(argument));
    }
    let is_substitution = argument.contains("$(") || argument.matches('`').count() >= 2;
    is_substitution.then(|| "a command substitution".to_owned())
}

pub(super) fn one_of_batch(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let rule = subject.rule;
    let Command::Argv(arguments) = &rule.command else { return Vec::new() };
    let has_all = rule.setting.stdin != Stdin::Null || arguments.contains(&Template::Paths);
    if !rule.gather.batch || has_all {
        return Vec::new();
    }
    let is_of_path = |placeholder: &Placeholder| match placeholder {
        Placeholder::Path
        | Placeholder::Dir
        | Placeholder::Name
        | Placeholder::Stem
        | Placeholder::Ext
        | Placeholder::Rel
        | Placeholder::OldPath => true,
        Placeholder::Root
        | Placeholder::Events
        | Placeholder::Pid
        | Placeholder::Rule
        | Placeholder::Run
        | Placeholder::Count => false,
    };
    for (at, argument) in arguments.iter().enumerate() {
        let Template::Parts(parts) = argument else { continue };
        let shown = parts.iter().find_map(|part| match part {
            Part::Placeholder(placeholder) if is_of_path(placeholder) => name_of(*placeholder),
            Part::Placeholder(_) | Part::Text(_) => None,
        });
        if let Some(name) = shown {
            let message = format!("in a batch `{{{name}}}` stands for the first path only");
            let finding = subject.at_item(KeyId::Command, at, message);
            return vec![finding.with_help("`{paths}` becomes all of them, as an argument of its own")];
        }
    }
    Vec::new()
}

fn name_of(placeholder: Placeholder) -> Option<&'static str> {
    PLACEHOLDERS.iter().find(|(_, it, _)| *it == Some(placeholder)).map(|(name, ..)| *name)
}

pub(super) fn program_text(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let of = |(key, arguments)| {
        let at = misread::as_program_text(arguments)?;
        let message = "a name in the text of a program would be run as part of it";
        let help = "give the placeholder as an argument of its own, behind the text";
        Some(subject.at_item(key, at, message).with_help(help))
    };
    commands(subject.rule).filter_map(of).collect()
}

pub(super) fn classic_spelling(subject: &Subject<'_>) -> Vec<Diagnostic> {
    // A rule of [defaults] is said once, with its file's first rule: each rule would point at the same place.
    let Some(place) = subject.written.own(KeyId::On) else { return Vec::new() };
    let span = place.span();
    let raw = subject.raw(&span);
    let mut findings = Vec::new();
    for (start, quote) in raw.match_indices(['"', '\'']) {
        let Some(len) = raw[start + 1..].find(quote) else { continue };
        let name = &raw[start + 1..start + 1 + len];
        let is_classic = name.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("fan_"));
        let Some(ours) = is_classic.then(|| kebab(name)).flatten() else { continue };
        let word = span.start + start..span.start + start + len + 2;
        let message = format!("`{name}` is the spelling of classic facron for `{ours}`");
        let finding = subject.code.at(subject.written.source, word.clone(), message);
        findings.push(finding.with_fix(word, format!("{quote}{ours}{quote}"), true));
    }
    findings
}

/// Our name for a classic one that means the same.
fn kebab(name: &str) -> Option<&'static str> {
    if let Some(event) = EventMask::from_name(name) {
        return event.kinds().next().map(|kind| kind.name);
    }
    let set = EventSet::from_name(name)?;
    EventSet::from_name(set.name).map(|set| set.name)
}
