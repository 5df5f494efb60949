//! Rules for the engine from one line each: `name key=value flag …`, in the words of the rule file.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use facron::event::EventMask;
use facron::rule::{
    CauseFilter, Command, Contain, DaemonSettings, Edge, Ending, Filter, Gather, Leftover, MarkChoice,
    Notify, On, OnBusy, OnOverflow, Output, Rule, RuleSet, Schedule, Scope, Setting, Source, StartLimit,
    Stdin, VerdictBy, Watch,
};

/// One rule a line; a line `daemon key=value …` is for `[daemon]`.
pub fn parse(text: &str) -> Arc<RuleSet> {
    let mut set = RuleSet::default();
    for (line, source) in text.lines().map(str::trim).filter(|line| !line.is_empty()).zip(1..) {
        let (name, settings) = line.split_once(' ').unwrap_or((line, ""));
        let settings: Vec<(&str, &str)> =
            settings.split_whitespace().map(|word| word.split_once('=').unwrap_or((word, "true"))).collect();
        if name == "daemon" {
            settings.iter().for_each(|(key, value)| set_daemon(&mut set.daemon, key, value));
            continue;
        }
        let mut rule = plain(name);
        rule.source.line = source;
        settings.iter().for_each(|(key, value)| set_rule(&mut rule, key, value));
        set.rules.push(Arc::new(rule));
    }
    Arc::new(set)
}

/// A rule with every default of the rule file.
pub fn plain(name: &str) -> Rule {
    Rule {
        name: Arc::from(name),
        description: None,
        source: Source::default(),
        watch: Watch {
            paths: vec![PathBuf::from(format!("/{name}"))],
            scope: Scope::Children,
            filter: Filter::default(),
            dirs: false,
            on: On { any: EventMask::ARRIVED | EventMask::DELETE | EventMask::MOVED_FROM, ..On::default() },
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
        command: Command::Shell("true".into()),
        setting: setting(),
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

fn setting() -> Setting {
    Setting {
        user: None,
        group: None,
        cwd: PathBuf::from("/"),
        umask: 0o022,
        nice: 0,
        limits: BTreeMap::new(),
        env: Arc::default(),
        inherit_env: Arc::default(),
        stdin: Stdin::Null,
        output: Output::Log,
        no_new_privs: false,
        contain: Contain::Auto,
    }
}

fn set_daemon(daemon: &mut DaemonSettings, key: &str, value: &str) {
    match key {
        "concurrency" => daemon.concurrency = value.parse().expect("a number"),
        "shutdown-timeout" => daemon.shutdown_timeout = duration(value),
        _ => panic!("[daemon] has no {key} here"),
    }
}

fn set_rule(rule: &mut Rule, key: &str, value: &str) {
    let (gather, schedule, ending) = (&mut rule.gather, &mut rule.schedule, &mut rule.ending);
    match key {
        "debounce" => gather.debounce = duration(value),
        "max-wait" => gather.max_wait = Some(duration(value)),
        "edge" => gather.edge = if value == "leading" { Edge::Leading } else { Edge::Trailing },
        "batch" => gather.batch = value == "true",
        "batch-bytes" => gather.batch_bytes_max = Some(value.parse().expect("a number")),
        "concurrency" => schedule.concurrency = value.parse().ok(),
        "on-busy" => schedule.on_busy = on_busy(value),
        "queue-limit" => schedule.queue_limit = value.parse().expect("a number"),
        "start-limit" => schedule.start_limit = Some(start_limit(value)),
        "timeout" => ending.timeout = Some(duration(value)),
        "kill-after" => ending.kill_after = duration(value),
        "retries" => ending.retries = value.parse().expect("a number"),
        "retry-delay" => ending.retry_delay = duration(value),
        "retry-max-delay" => ending.retry_max_delay = duration(value),
        "success" => {
            ending.success_codes = value.split(',').map(|code| code.parse().expect("a code")).collect()
        }
        "on-failure" => ending.on_failure = Some(Command::Shell("true".into()).into()),
        "ignore-self" => rule.watch.ignore_self = value == "true",
        "on-overflow" => rule.watch.on_overflow = OnOverflow::Ignore,
        "on" => rule.watch.on = on(value),
        "description" => rule.description = Some(value.to_owned()),
        _ => panic!("a rule has no {key} here"),
    }
}

fn on_busy(word: &str) -> OnBusy {
    match word {
        "coalesce" => OnBusy::Coalesce,
        "queue" => OnBusy::Queue,
        "skip" => OnBusy::Skip,
        "restart" => OnBusy::Restart,
        _ => panic!("no way to be busy: {word}"),
    }
}

fn start_limit(text: &str) -> StartLimit {
    let (starts, span) = text.split_once('/').expect("N/DURATION");
    StartLimit { starts: starts.parse().expect("a number above zero"), span: duration(span) }
}

/// `open,modify+close-write`: any of the events, or all of those that are joined by `+`.
fn on(text: &str) -> On {
    let mut on = On::default();
    for word in text.split(',') {
        if word.contains('+') {
            on.all_of.push(mask(word, '+'));
        } else {
            on.any |= mask(word, ',');
        }
    }
    on
}

/// Events by name.
pub fn mask(text: &str, separator: char) -> EventMask {
    let masks = text.split(separator).map(|name| EventMask::from_name(name).expect("an event"));
    masks.fold(EventMask::EMPTY, |all, mask| all | mask)
}

/// `250ms`, `2s`, `3m`.
pub fn duration(text: &str) -> Duration {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().expect("a number and a unit");
    match &text[digits.len()..] {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number * 60),
        unit => panic!("no unit: {unit}"),
    }
}
