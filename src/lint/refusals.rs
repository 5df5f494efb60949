//! What keeps rules from being armed though their text is right: it depends on the system. `check` shows these as
//! errors, and the daemon refuses them at load.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::facts::{Account, Facts, FileSystem};
use crate::codes::{BAD_IDENTITY, GUARD_REFUSED};
use crate::config::keys::KeyId;
use crate::config::{Parsed, WrittenRule, nearest};
use crate::diagnostic::Diagnostic;
use crate::escape;
use crate::guardable;
use crate::rule::Identity;

/// Errors of all rules, those that have others too, in no order; `paths` are those of the rule files.
pub fn refusals(parsed: &Parsed, paths: &[PathBuf], facts: &dyn Facts) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    // What stands in [defaults] is wrong once, however many rules have it from there.
    let mut said = HashSet::new();
    for written in parsed.written.iter().chain(&parsed.flawed) {
        let found = identities(written, facts);
        findings
            .extend(found.into_iter().filter(|finding| said.insert((finding.source, finding.span.start))));
        if guardable::wants_permission(&written.rule.watch) {
            findings.extend(guarded_places(written, paths, facts));
        }
    }
    findings
}

/// Users and groups that do not exist, or that a daemon of this user cannot become.
fn identities(written: &WrittenRule, facts: &dyn Facts) -> Vec<Diagnostic> {
    let setting = &written.rule.setting;
    let (own_user, own_group) = facts.own_ids();
    let mut findings = Vec::new();
    for (key, identity, own) in
        [(KeyId::User, &setting.user, own_user), (KeyId::Group, &setting.group, own_group)]
    {
        let Some(identity) = identity else { continue };
        let account = match (key, identity) {
            // A user's number alone does not say which groups the command has.
            (KeyId::User, Identity::Id(id)) if setting.group.is_none() && *id != own => facts.user(identity),
            // A number needs no name.
            (_, Identity::Id(id)) => Account::Known(*id),
            (KeyId::Group, Identity::Name(_)) => facts.group(identity),
            (_, Identity::Name(_)) => facts.user(identity),
        };
        let noun = key.key().name;
        let shown = match identity {
            Identity::Name(name) => format!("`{}`", escape::line(name)),
            Identity::Id(id) => id.to_string(),
        };
        let span = written.span(key);
        let message = match account {
            Account::Unknown => {
                let names = if key == KeyId::Group { facts.group_names() } else { facts.user_names() };
                let finding =
                    BAD_IDENTITY.at(written.source, span.clone(), format!("there is no {noun} {shown}"));
                findings.push(match identity {
                    Identity::Name(_) => with_nearest(finding, identity, &names),
                    Identity::Id(id) => finding
                        .with_help(format!("a user without a name needs a `group` too: `group = {id}`")),
                });
                continue;
            }
            Account::Known(id) if own_user != 0 && id != own => {
                format!("only root can run a command as another {noun} than its own: {shown}")
            }
            Account::Known(_) | Account::Unclear => continue,
        };
        findings.push(BAD_IDENTITY.at(written.source, span, message));
    }
    findings
}

/// A finding about a name that does not exist, with the one that was probably meant.
pub(super) fn with_nearest(finding: Diagnostic, identity: &Identity, names: &[String]) -> Diagnostic {
    let Identity::Name(name) = identity else { return finding };
    let Some(near) = nearest(name, names.iter().map(String::as_str)) else { return finding };
    let span = finding.span.clone();
    // It is a guess about whose rights a command has.
    finding.with_help(format!("did you mean `\"{near}\"`?")).with_fix(span, format!("\"{near}\""), false)
}

/// Places that must not be guarded by permission events, as far as that depends on the system.
fn guarded_places(written: &WrittenRule, paths: &[PathBuf], facts: &dyn Facts) -> Vec<Diagnostic> {
    let rule = &written.rule;
    let programs = both_ways(rule.programs().map(PathBuf::from), facts);
    let rule_files = both_ways(paths.iter().cloned(), facts);
    let mut findings = Vec::new();
    for (index, path) in rule.watch.paths.iter().enumerate() {
        let (real, file_system) = (resolved(path, facts), facts.file_system(path));
        let known = guardable::Facts {
            real: Some(&real),
            file_system: match &file_system {
                FileSystem::Local => guardable::FileSystem::Local,
                FileSystem::Foreign(kind) => guardable::FileSystem::Foreign(kind),
                FileSystem::Pseudo(kind) => guardable::FileSystem::Kernel(kind),
            },
            rule_files: &rule_files,
            programs: &programs,
            own_directories: &[],
        };
        // What can be said without looking has been said where the rule was read.
        let is_said = guardable::path_refusal(path, &guardable::Facts::default()).is_some();
        if let Some(refusal) = guardable::path_refusal(path, &known).filter(|_| !is_said) {
            let span = written.item_span(KeyId::Path, index);
            let message = format!("{} cannot be guarded: {refusal}", escape::path(path));
            let finding = GUARD_REFUSED.at(written.source, span, message);
            findings.push(finding.with_help_if(refusal.help()));
        }
    }
    findings
}

/// The paths as they are named, and behind their links.
fn both_ways(paths: impl Iterator<Item = PathBuf>, facts: &dyn Facts) -> Vec<PathBuf> {
    paths.flat_map(|path| [resolved(&path, facts), path]).collect()
}

/// The path behind its links; as it is where it does not exist.
fn resolved(path: &Path, facts: &dyn Facts) -> PathBuf {
    facts.resolved(path).unwrap_or_else(|| path.to_owned())
}
