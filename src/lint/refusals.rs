//! What keeps rules from being armed though their text is right: it depends on the system. `check` shows these as
//! errors, and the daemon refuses them at load.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::facts::{Account, Facts, FileSystem};
use super::words::commands;
use crate::codes::{BAD_IDENTITY, GUARD_REFUSED};
use crate::config::keys::KeyId;
use crate::config::{WrittenRule, is_never_guarded};
use crate::diagnostic::Diagnostic;
use crate::escape;
use crate::event::EventMask;
use crate::rule::{Command, Identity, Scope};
use crate::template::Template;

/// What runs `shell`.
const SHELL: &str = "/bin/sh";

/// Where programs are loaded from.
const LIBRARIES: &[&str] = &["/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64"];

/// Errors of all rules, in no order; `paths` are those of the rule files.
pub fn refusals(rules: &[WrittenRule], paths: &[PathBuf], facts: &dyn Facts) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for written in rules {
        findings.extend(identities(written, facts));
        if written.rule.watch.on.wanted().intersects(EventMask::ALL_PERMISSION) {
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
        let message = match account {
            Account::Unknown => format!("there is no {noun} {shown}"),
            Account::Known(id) if own_user != 0 && id != own => {
                format!("only root can run a command as another {noun} than its own: {shown}")
            }
            Account::Known(_) | Account::Unclear => continue,
        };
        findings.push(BAD_IDENTITY.at(written.source, written.span(key), message));
    }
    findings
}

/// Places where an opener that waits for us would stop us, or the machine.
fn guarded_places(written: &WrittenRule, paths: &[PathBuf], facts: &dyn Facts) -> Vec<Diagnostic> {
    let rule = &written.rule;
    let mut findings = Vec::new();
    let programs = commands(rule)
        .filter_map(|(_, arguments)| arguments.first().and_then(Template::as_literal))
        .chain(matches!(rule.command, Command::Shell(_)).then_some(SHELL));
    let programs: Vec<PathBuf> = programs.map(|program| resolved(Path::new(program), facts)).collect();
    let files: Vec<PathBuf> = paths.iter().map(|path| resolved(path, facts)).collect();
    for (index, path) in rule.watch.paths.iter().enumerate() {
        let root = resolved(path, facts);
        let covers = |target: &Path| is_covered(target, &root, rule.watch.scope);
        let why = if let FileSystem::Foreign(kind) = facts.file_system(path) {
            format!("another process answers for {kind}, and may wait for whoever waits for us")
        } else if is_never_guarded(&root) && !is_never_guarded(path) {
            format!("it is {}, where the whole system waits", escape::path(&root))
        } else if let Some(file) = files.iter().find(|file| covers(file)) {
            format!("the rule file {} is read there", escape::path(file))
        } else if let Some(program) = programs.iter().find(|program| covers(program)) {
            format!("the rule's own program {} is started from there", escape::path(program))
        } else if has_libraries(&root, rule.watch.scope) {
            "programs are loaded from there".to_owned()
        } else {
            continue;
        };
        let message = format!("{} cannot be guarded: {why}", escape::path(path));
        findings.push(GUARD_REFUSED.at(written.source, written.item_span(KeyId::Path, index), message));
    }
    findings
}

/// The path behind its links; as it is where it does not exist.
fn resolved(path: &Path, facts: &dyn Facts) -> PathBuf {
    facts.resolved(path).unwrap_or_else(|| path.to_owned())
}

/// Whether opening a file would be asked about by a rule on this path.
fn is_covered(file: &Path, root: &Path, scope: Scope) -> bool {
    match scope {
        Scope::Itself => file == root,
        Scope::Children => file == root || file.parent() == Some(root),
        Scope::Tree => file.starts_with(root),
    }
}

/// Whether a rule on this path would be asked about shared libraries.
fn has_libraries(root: &Path, scope: Scope) -> bool {
    let of_machine = |path: &Path| {
        // Debian has them one deeper, for example in /usr/lib/x86_64-linux-gnu.
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        name.contains("-linux-")
            && path.parent().is_some_and(|parent| LIBRARIES.iter().any(|lib| parent == Path::new(lib)))
    };
    of_machine(root) || LIBRARIES.iter().any(|lib| is_covered(&Path::new(lib).join("libc.so.6"), root, scope))
}
