//! The environment of a command, built anew: nothing of the daemon's own gets there by itself.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use super::identity::Person;
use crate::engine::{Purpose, Run, StartFailure, StartFailureClass};
use crate::template::Facts;

/// Where programs that a command starts by name are looked up.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The same on every machine, and every file name can be shown in it.
pub const LANG: &str = "C.UTF-8";

/// What the service manager says to the daemon alone: a command that answered in its place would be believed.
/// Not even `inherit-env` passes it on.
const NEVER_INHERITED: &[&str] = &[
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "JOURNAL_STREAM",
];

/// Variables in the order of their names.
pub type Variables = BTreeMap<OsString, OsString>;

/// Everything that the command of a run finds in its environment, as `NAME=value`.
///
/// # Errors
/// When a variable cannot be said: it has a NUL, or its name a `=`.
pub fn environment(
    run: &Run,
    facts: &Facts<'_>,
    person: &Person,
    inherited: &Variables,
) -> Result<Vec<CString>, StartFailure> {
    let mut variables = Variables::new();
    let mut set = |name: &str, value: &OsStr| variables.insert(OsString::from(name), value.to_owned());
    set("PATH", PATH.as_ref());
    set("HOME", person.home.as_os_str());
    set("USER", person.name.as_ref());
    set("LOGNAME", person.name.as_ref());
    set("SHELL", person.shell.as_os_str());
    set("LANG", LANG.as_ref());
    set("FACRON_RULE", facts.rule.as_ref());
    set("FACRON_RUN", facts.run.to_string().as_ref());
    set("FACRON_EVENTS", facts.mask().to_string().as_ref());
    set("FACRON_PID", facts.pid().to_string().as_ref());
    set("FACRON_COUNT", facts.events.len().to_string().as_ref());
    set("FACRON_ATTEMPT", run.attempt.to_string().as_ref());
    if let [event] = facts.events {
        set("FACRON_PATH", event.path.as_os_str());
    }
    if let Some(old_path) = facts.old_path() {
        set("FACRON_OLD_PATH", old_path.as_os_str());
    }
    if let Some(exe) = facts.events.iter().find_map(|event| event.cause.exe.as_deref()) {
        set("FACRON_EXE", exe.as_os_str());
    }
    if let Purpose::OnFailure(outcome) = &run.purpose {
        set("FACRON_OUTCOME", outcome.to_string().as_ref());
    }
    let setting = &run.rule.setting;
    for name in setting.inherit_env.iter().filter(|name| !NEVER_INHERITED.contains(&name.as_str())) {
        if let Some(value) = inherited.get(OsStr::new(name)) {
            variables.insert(OsString::from(name), value.clone());
        }
    }
    variables.extend(setting.env.iter().map(|(name, value)| (name.into(), value.into())));
    variables.into_iter().map(|(name, value)| variable(name, &value)).collect()
}

fn variable(name: OsString, value: &OsStr) -> Result<CString, StartFailure> {
    let shown = crate::escape::text(name.as_bytes()).into_owned();
    let is_name = !name.is_empty() && !name.as_bytes().contains(&b'=');
    let mut bytes = name.into_vec();
    bytes.push(b'=');
    bytes.extend_from_slice(value.as_bytes());
    CString::new(bytes).ok().filter(|_| is_name).ok_or_else(|| StartFailure {
        class: StartFailureClass::Other,
        message: format!("the variable `{shown}` cannot be set: a name has no `=`, and neither has a NUL"),
        is_transient: false,
    })
}
