//! Where the daemon has its socket and what must outlive it: by the rule file, the service manager, or the usual
//! place.

use std::path::PathBuf;

use nix::unistd::Uid;

use super::rule_files::RuleFiles;
use crate::codes::{SYNTAX, TOO_MUCH, UNREADABLE};
use crate::daemon::load::{Loaded, Places, Trust, read};
use crate::diagnostic::{Diagnostic, Severity};
use crate::report::{self, Report};
use crate::rule::DaemonSettings;
use crate::sys::trust::Owner;

/// The directory of the control socket: `runtime-dir`, else `$RUNTIME_DIRECTORY`, else `/run/facron`, for a user
/// `$XDG_RUNTIME_DIR/facron`.
///
/// # Errors
/// None of them says so.
pub fn runtime_dir(settings: &DaemonSettings) -> Result<PathBuf, &'static str> {
    let given = settings.runtime_dir.clone().or_else(|| by_manager("RUNTIME_DIRECTORY"));
    let usual = || match Uid::effective().is_root() {
        true => Some(PathBuf::from("/run/facron")),
        false => variable("XDG_RUNTIME_DIR").map(|dir| dir.join("facron")),
    };
    given
        .or_else(usual)
        .ok_or("XDG_RUNTIME_DIR does not say where to put the control socket; set [daemon] runtime-dir")
}

/// The directory of what must outlive the daemon: `state-dir`, else `$STATE_DIRECTORY`, else `/var/lib/facron`, for a
/// user `$XDG_STATE_HOME/facron`, which is `~/.local/state/facron` where it is not set.
///
/// # Errors
/// None of them says so.
pub fn state_dir(settings: &DaemonSettings) -> Result<PathBuf, &'static str> {
    let given = settings.state_dir.clone().or_else(|| by_manager("STATE_DIRECTORY"));
    let usual = || match Uid::effective().is_root() {
        true => Some(PathBuf::from("/var/lib/facron")),
        false => {
            let home = || variable("HOME").map(|home| home.join(".local/state"));
            variable("XDG_STATE_HOME").or_else(home).map(|dir| dir.join("facron"))
        }
    };
    given
        .or_else(usual)
        .ok_or("neither XDG_STATE_HOME nor HOME says where to keep the state; set [daemon] state-dir")
}

/// The runtime directory of the daemon that runs these rule files, whatever else may be wrong with them.
///
/// # Errors
/// Nothing says where it is, or a file that `-c` names may say so and cannot be read: to ask another daemon instead
/// could run a command there.
pub fn of_running_daemon(rule_files: &RuleFiles) -> Result<PathBuf, String> {
    // Without -c and without a home there may still be a daemon: the environment says where.
    let Ok(places) = rule_files.places() else { return Ok(runtime_dir(&DaemonSettings::default())?) };
    let loaded = read(&places, Trust::Judged(Owner::of_daemon(Uid::effective().as_raw())));
    if let Places::Given(_) = places
        && let Some(reason) = doubt(&loaded)
    {
        return Err(format!("the rule file does not say which daemon: {reason}"));
    }
    Ok(runtime_dir(&loaded.parsed.rules.daemon)?)
}

/// Why these files may mean another runtime directory than they say.
fn doubt(loaded: &Loaded) -> Option<String> {
    let hides_text =
        |finding: &&Diagnostic| [UNREADABLE.name, TOO_MUCH.name, SYNTAX.name].contains(&finding.code);
    let is_error = |finding: &&Diagnostic| finding.severity == Severity::Error;
    let mut errors = loaded.findings.iter().filter(is_error);
    let reason = match &loaded.parsed {
        parsed if parsed.is_daemon_flawed => errors.next(),
        // It is said in a place that could be read.
        parsed if parsed.rules.daemon.runtime_dir.is_some() => None,
        _ => errors.find(hides_text),
    };
    let report = report::short(&Report::new(&loaded.sources, std::slice::from_ref(reason?)));
    Some(report.trim_end().to_owned())
}

/// What the service manager has made: the first of a list with colons (systemd.exec(5)).
fn by_manager(name: &str) -> Option<PathBuf> {
    let list = variable(name)?.into_os_string().into_encoded_bytes();
    let first = list.split(|byte| *byte == b':').next()?.to_vec();
    Some(PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(first)))
}

/// A variable that holds an absolute path.
#[expect(clippy::disallowed_methods, reason = "the border: the environment is read here")]
fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}
