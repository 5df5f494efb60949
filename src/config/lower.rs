//! A rule as written becomes a rule as meant: `[defaults]` below its own keys, every default filled in.
//!
//! One `match` names every key. What cannot be together is refused by `combine`.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::document::{Entry, Section};
use super::keys::{Key, KeyId};
use super::value::{Value, Values};
use super::words::{
    CONTAINS, EDGES, LEFTOVERS, LEVELS, MARKS, NOTIFIES, ON_BUSIES, ON_OVERFLOWS, SCOPES, STDINS,
    VERDICT_DEFAULTS, VERDICTS,
};
use super::written::Place;
use crate::event::EventMask;
use crate::rule::{
    CauseFilter, Command, Contain, DENY_ERRNOS, DaemonSettings, Edge, Ending, Filter, Gather, Leftover,
    MarkChoice, Notify, On, OnBusy, OnOverflow, Output, Schedule, Scope, Setting, Stdin, VerdictBy, Watch,
};

/// A rule while its keys are read. What a rule must have and `[defaults]` cannot give is none at first.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Draft {
    pub name: Option<Arc<str>>,
    pub description: Option<String>,
    pub enabled: bool,
    pub allow: Arc<[&'static str]>,
    pub watch: Watch,
    pub gather: Gather,
    pub schedule: Schedule,
    pub command: Option<Command>,
    pub shell: Option<Command>,
    pub setting: Setting,
    /// None: by `user`.
    pub no_new_privs: Option<bool>,
    pub ending: Ending,
    pub verdict: VerdictBy,
}

impl Default for Draft {
    /// What holds where no key is written; a test compares it with the table of keys.
    fn default() -> Draft {
        let change = crate::event::EventSet::from_name("change").expect("`change` is in the table of sets");
        Draft {
            name: None,
            description: None,
            enabled: true,
            allow: Arc::default(),
            watch: Watch {
                paths: Vec::new(),
                scope: Scope::Children,
                filter: Filter::default(),
                dirs: false,
                on: On { any: change.members, any_directory: change.directory_members, all_of: Vec::new() },
                by: CauseFilter::default(),
                ignore_self: true,
                catch_up: false,
                rescan: None,
                on_overflow: OnOverflow::Rescan,
                mark: MarkChoice::Auto,
            },
            gather: Gather {
                debounce: Duration::ZERO,
                max_wait: None,
                edge: Edge::Trailing,
                batch: false,
                batch_bytes_max: None,
            },
            schedule: Schedule {
                concurrency: NonZeroU32::new(1),
                on_busy: OnBusy::Coalesce,
                queue_limit: 10_000,
                start_limit: None,
            },
            command: None,
            shell: None,
            setting: Setting {
                user: None,
                group: None,
                cwd: PathBuf::from("/"),
                umask: 0o022,
                nice: 0,
                limits: std::collections::BTreeMap::new(),
                env: Arc::default(),
                inherit_env: Arc::default(),
                stdin: Stdin::Null,
                output: Output::Log,
                no_new_privs: false,
                contain: Contain::Auto,
            },
            no_new_privs: None,
            ending: Ending {
                timeout: None,
                stop_signal: libc::SIGTERM,
                kill_after: Duration::from_secs(5),
                leftover: Leftover::Keep,
                success_codes: vec![0],
                retries: 0,
                retry_delay: Duration::from_secs(1),
                retry_max_delay: Duration::from_secs(60),
                on_failure: None,
                notify: Notify::Failure,
            },
            verdict: VerdictBy {
                command: false,
                default_allow: true,
                cache: None,
                deny_errno: libc::EPERM,
                audit: false,
            },
        }
    }
}

impl Draft {
    /// Puts the keys of a section in; gives where each is written.
    pub fn apply(&mut self, section: &Section<'_>, values: &mut Values<'_, '_>) -> Vec<Place> {
        for Entry { key, value, .. } in &section.entries {
            // What is wrong is reported; the rest of the section is read all the same.
            let _ = self.set(key, value, values);
        }
        section.entries.iter().map(Place::new).collect()
    }

    /// Reads one key. None: its value is wrong, and reported.
    fn set(&mut self, key: &'static Key, value: &Value<'_>, values: &mut Values<'_, '_>) -> Option<()> {
        let Draft { watch, gather, schedule, setting, ending, verdict, .. } = self;
        match key.id {
            KeyId::Name => self.name = Some(values.rule_name(key, value)?),
            KeyId::Description => self.description = Some(values.string(key, value)?.to_owned()),
            KeyId::Enabled => self.enabled = values.boolean(key, value)?,
            KeyId::Allow => self.allow = values.codes(key, value)?.into(),
            KeyId::Path => watch.paths = values.paths(key, value)?,
            KeyId::Scope => watch.scope = values.word(key, value, &SCOPES)?,
            KeyId::Include => watch.filter.include = values.globs(key, value)?,
            KeyId::Exclude => watch.filter.exclude = values.globs(key, value)?,
            KeyId::Dirs => watch.dirs = values.boolean(key, value)?,
            KeyId::On => watch.on = values.events(key, value)?,
            KeyId::ByExe => watch.by.exe = values.paths(key, value)?.into(),
            KeyId::NotByExe => watch.by.not_exe = values.paths(key, value)?.into(),
            KeyId::ByUser => watch.by.user = values.identities(key, value)?.into(),
            KeyId::NotByUser => watch.by.not_user = values.identities(key, value)?.into(),
            KeyId::IgnoreSelf => watch.ignore_self = values.boolean(key, value)?,
            KeyId::CatchUp => watch.catch_up = values.boolean(key, value)?,
            KeyId::Rescan => watch.rescan = values.duration(key, value)?,
            KeyId::OnOverflow => watch.on_overflow = values.word(key, value, &ON_OVERFLOWS)?,
            KeyId::Mark => watch.mark = values.word(key, value, &MARKS)?,
            KeyId::Debounce => gather.debounce = values.duration(key, value)??,
            KeyId::MaxWait => gather.max_wait = values.duration(key, value)?,
            KeyId::Edge => gather.edge = values.word(key, value, &EDGES)?,
            KeyId::Batch => gather.batch = values.boolean(key, value)?,
            KeyId::Concurrency => {
                schedule.concurrency = values.integer(key, value)?.map(within).and_then(NonZeroU32::new);
            }
            KeyId::OnBusy => schedule.on_busy = values.word(key, value, &ON_BUSIES)?,
            KeyId::QueueLimit => schedule.queue_limit = within(values.integer(key, value)??),
            KeyId::StartLimit => schedule.start_limit = values.start_limit(key, value)?,
            KeyId::Command => self.command = Some(values.command(key, value)?),
            KeyId::Shell => self.shell = Some(values.shell(key, value)?),
            KeyId::User => setting.user = Some(values.identity(key, value)?),
            KeyId::Group => setting.group = Some(values.identity(key, value)?),
            KeyId::Cwd => setting.cwd = values.path(key, value)?,
            KeyId::Umask => setting.umask = values.umask(key, value)?,
            KeyId::Nice => setting.nice = within(values.integer(key, value)??),
            KeyId::Limits => setting.limits = values.limits(key, value)?,
            KeyId::Env => setting.env = Arc::new(values.environment(key, value)?),
            KeyId::InheritEnv => setting.inherit_env = values.variables(key, value)?.into(),
            KeyId::Stdin => setting.stdin = values.word(key, value, &STDINS)?,
            KeyId::Output => setting.output = values.output(key, value)?,
            KeyId::NoNewPrivs => self.no_new_privs = Some(values.boolean(key, value)?),
            KeyId::Timeout => ending.timeout = values.duration(key, value)?,
            KeyId::StopSignal => ending.stop_signal = values.signal(key, value)?,
            KeyId::KillAfter => ending.kill_after = values.duration(key, value)??,
            KeyId::Contain => setting.contain = values.word(key, value, &CONTAINS)?,
            KeyId::Leftover => ending.leftover = values.word(key, value, &LEFTOVERS)?,
            KeyId::SuccessCodes => ending.success_codes = values.exit_codes(key, value)?,
            KeyId::Retries => ending.retries = within(values.integer(key, value)??),
            KeyId::RetryDelay => ending.retry_delay = values.duration(key, value)??,
            KeyId::RetryMaxDelay => ending.retry_max_delay = values.duration(key, value)??,
            KeyId::OnFailure => ending.on_failure = Some(Arc::new(values.command(key, value)?)),
            KeyId::Notify => ending.notify = values.word(key, value, &NOTIFIES)?,
            KeyId::Verdict => verdict.command = values.word(key, value, &VERDICTS)?,
            KeyId::VerdictDefault => verdict.default_allow = values.word(key, value, &VERDICT_DEFAULTS)?,
            KeyId::VerdictCache => verdict.cache = values.duration(key, value)?,
            KeyId::DenyErrno => verdict.deny_errno = values.word(key, value, &DENY_ERRNOS)?,
            KeyId::Audit => verdict.audit = values.boolean(key, value)?,
            KeyId::DaemonConcurrency
            | KeyId::StateDir
            | KeyId::RuntimeDir
            | KeyId::ShutdownTimeout
            | KeyId::LogLevel => unreachable!("`document` keeps the keys of [daemon] apart"),
        }
        Some(())
    }

    /// Whether it asks for permission events.
    pub fn is_guard(&self) -> bool {
        self.watch.on.wanted().intersects(EventMask::ALL_PERMISSION)
    }
}

/// Reads one key of `[daemon]`. None: its value is wrong, and reported.
pub(super) fn set_daemon(
    daemon: &mut DaemonSettings,
    key: &'static Key,
    value: &Value<'_>,
    values: &mut Values<'_, '_>,
) -> Option<()> {
    match key.id {
        KeyId::DaemonConcurrency => daemon.concurrency = within(values.integer(key, value)??),
        KeyId::StateDir => daemon.state_dir = Some(values.path(key, value)?),
        KeyId::RuntimeDir => daemon.runtime_dir = Some(values.path(key, value)?),
        KeyId::ShutdownTimeout => daemon.shutdown_timeout = values.duration(key, value)??,
        KeyId::LogLevel => daemon.log_level = Some(values.word(key, value, &LEVELS)?),
        other => unreachable!("`document` keeps {other:?} out of [daemon]"),
    }
    Some(())
}

/// A number that the table of keys has bounded.
fn within<T: TryFrom<i64>>(number: i64) -> T {
    T::try_from(number).ok().expect("the bounds of the key are within those of its type")
}

#[cfg(test)]
mod tests {
    use super::super::document::Document;
    use super::super::findings::Findings;
    use super::super::globs::Compiled;
    use super::super::keys::{self, Preset};
    use super::*;

    fn presets(keys: impl Iterator<Item = &'static Key>) -> String {
        keys.filter_map(|key| match key.preset {
            Preset::Value(value) => Some(format!("{} = {value}\n", key.name)),
            Preset::Required | Preset::Otherwise(_) => None,
        })
        .collect()
    }

    #[test]
    fn the_table_of_keys_and_the_code_agree_on_what_holds_by_default() {
        let text =
            format!("[[rule]]\n{}[daemon]\n{}", presets(keys::rule_keys()), presets(keys::daemon_keys()));
        let (mut findings, mut compiled) = (Findings::default(), Compiled::default());
        let document = Document::read(0, &text, &mut findings);
        let mut values = Values { source: 0, text: &text, findings: &mut findings, compiled: &mut compiled };
        let mut draft = Draft::default();
        draft.apply(&document.rules[0], &mut values);
        assert_eq!(draft, Draft::default());
        let mut daemon = DaemonSettings::default();
        for entry in &document.daemon.expect("there is one").entries {
            set_daemon(&mut daemon, entry.key, &entry.value, &mut values);
        }
        assert_eq!(daemon, DaemonSettings::default());
        assert_eq!(findings.into_sorted(), []);
    }
}
