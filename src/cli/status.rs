//! `facron status`: asks the running daemon.

mod openmetrics;
mod text;

use std::time::SystemTime;

use super::output::{print, say};
use super::rule_files::RuleFiles;
use super::{ExitStatus, Global, control, directories};
use crate::control::{CallError, Caller, DecisionStatus, Response, Status, Verb};
use crate::escape;
use crate::sys::clock;

/// Its arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this rule, with its last decisions and their reasons
    rule: Option<String>,
    #[command(flatten)]
    rule_files: RuleFiles,
    /// How it is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Go on with each decision as it is taken, a line each
    #[arg(long)]
    follow: bool,
}

/// How the status is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A table for people
    Text,
    /// One JSON object; with --follow a further one for each decision, a line each
    Json,
    /// OpenMetrics, for scrapers
    Openmetrics,
}

/// Carries it out.
pub fn run(args: &Args, global: &Global) -> ExitStatus {
    if args.follow && args.format == Format::Openmetrics {
        say("facron status: --follow has no --format openmetrics\n", global);
        return ExitStatus::Usage;
    }
    let runtime_dir = match directories::of_running_daemon(&args.rule_files) {
        Ok(runtime_dir) => runtime_dir,
        Err(message) => {
            say(&format!("facron status: {message}\n"), global);
            return ExitStatus::Failed;
        }
    };
    let verb = Verb::Status { rule: args.rule.clone(), follow: args.follow };
    let result = Caller::ask(&runtime_dir, &verb).and_then(|caller| show(caller, args, global));
    result.unwrap_or_else(|error| {
        say(&format!("facron status: {error}\n"), global);
        ExitStatus::Failed
    })
}

fn show(mut caller: Caller, args: &Args, global: &Global) -> Result<ExitStatus, CallError> {
    match caller.answer()? {
        Some(Response::Status(status)) => {
            if let Err(reason) = print(&written(&status, args, clock::wall()), global) {
                return Ok(reason.end(global));
            }
        }
        answer => return Ok(control::refused("status", answer, global)),
    }
    if args.follow {
        caller.wait_for_ever()?;
        while let Some(answer) = caller.answer()? {
            if let Err(reason) = print(&followed(&answer, args.format), global) {
                return Ok(reason.end(global));
            }
        }
        say("facron status: the daemon has stopped\n", global);
        return Ok(ExitStatus::Failed);
    }
    Ok(ExitStatus::Ok)
}

fn written(status: &Status, args: &Args, now: SystemTime) -> String {
    match args.format {
        Format::Text if args.rule.is_some() => text::rules(status, now),
        Format::Text => text::table(status, now),
        Format::Json => json(status),
        Format::Openmetrics => openmetrics::openmetrics(status),
    }
}

fn followed(answer: &Response, format: Format) -> String {
    match (answer, format) {
        (Response::Decision { rule, decision }, Format::Json) => {
            #[derive(serde::Serialize)]
            struct Told<'d> {
                rule: &'d str,
                #[serde(flatten)]
                decision: &'d DecisionStatus,
            }
            json(&Told { rule, decision })
        }
        (Response::Decision { rule, decision }, _) => text::decision(Some(rule), decision),
        (Response::Missed(missed), Format::Json) => format!("{{\"missed\":{missed}}}\n"),
        (Response::Missed(missed), _) => format!("… {missed} decisions were not read in time\n"),
        (Response::Status(_) | Response::Done { .. } | Response::Refused { .. }, _) => String::new(),
    }
}

/// In the order of the fields, which is that of the manual.
fn json(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_string(value).expect("everything that the daemon says has a form in JSON");
    format!("{}\n", escape::json(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{
        DaemonStatus, Done, GuardCounts, LastRun, ReloadError, RuleState, RuleStatus, RunCounts,
    };
    use std::collections::BTreeMap;
    use std::path::Path;

    /// What every form is tried on: one rule that is well, one that is not, and a hostile path.
    pub(super) fn sample() -> Status {
        let dropped =
            |skip, leading| BTreeMap::from([("skip".to_owned(), skip), ("leading".to_owned(), leading)]);
        let last = LastRun {
            run: 17,
            time: "2026-01-02T03:02:05.000Z".to_owned(),
            outcome: "exit:3".to_owned(),
            took: "1.2s".to_owned(),
            path: Path::new("/etc/nginx/a\nb").into(),
            error_output: "cannot\n\u{1b}[31mopen\n".to_owned(),
        };
        let nginx = RuleStatus {
            name: "reload-nginx".to_owned(),
            description: Some("Lets nginx see its files".to_owned()),
            path: vec!["/etc/nginx".to_owned()],
            state: RuleState::Armed,
            reason: None,
            watched_by: Some("filesystem".to_owned()),
            contained_by: Some("cgroup".to_owned()),
            matched: 1234,
            covered: 1230,
            waiting: 1,
            running: 1,
            runs: RunCounts { ok: 16, failed: 1 },
            dropped: dropped(3, 0),
            last: Some(last),
            guard: None,
            decisions: None,
        };
        let backup = RuleStatus {
            name: "backup".to_owned(),
            description: None,
            path: vec!["/srv".to_owned(), "/home".to_owned()],
            state: RuleState::Degraded,
            reason: Some("/srv: permission denied".to_owned()),
            watched_by: None,
            contained_by: None,
            matched: 0,
            covered: 0,
            waiting: 0,
            running: 0,
            runs: RunCounts::default(),
            dropped: dropped(0, 0),
            last: None,
            guard: Some(GuardCounts {
                openings: 9,
                asked: 2,
                allowed: 6,
                denied: 3,
                by_default: 1,
                ..GuardCounts::default()
            }),
            decisions: None,
        };
        let daemon = DaemonStatus {
            version: "0.1.0".to_owned(),
            pid: 123,
            user: 0,
            since: "2026-01-01T00:00:00.000Z".to_owned(),
            config: vec!["/etc/facron/facron.toml".to_owned()],
            config_loaded: "2026-01-02T03:00:00.000Z".to_owned(),
            last_reload_error: Some(ReloadError {
                time: "2026-01-02T03:04:00.000Z".to_owned(),
                error: "3 errors".to_owned(),
            }),
            overflows: 2,
            running: 1,
            concurrency: 64,
            kernel: BTreeMap::new(),
        };
        Status { daemon, rules: vec![nginx, backup] }
    }

    pub(super) fn decision() -> DecisionStatus {
        DecisionStatus {
            time: "2026-01-02T03:04:04.000Z".to_owned(),
            events: vec!["close-write".to_owned(), "arrived".to_owned()],
            path: Path::new("/etc/nginx/a\nb").into(),
            pid: 99,
            exe: Some("/usr/bin/vim".to_owned()),
            origin: "event".to_owned(),
            done: Done::Run,
            why: "debounce is over".to_owned(),
            run: Some(17),
        }
    }

    /// 2026-01-02T03:04:05Z, to which the ages above refer.
    pub(super) fn now() -> SystemTime {
        humantime::parse_rfc3339("2026-01-02T03:04:05Z").expect("a time")
    }

    #[test]
    fn json_shows_no_character_that_a_terminal_obeys() {
        let mut status = sample();
        status.rules[0].path = vec!["/srv/\u{202e}\u{9b}\u{2029}".to_owned()];
        assert!(json(&status).contains(r#""/srv/\u202e\u009b\u2029""#), "{}", json(&status));
    }

    #[test]
    fn what_follows_is_a_line_in_every_format() {
        let told = Response::Decision { rule: "a".to_owned(), decision: Box::new(decision()) };
        let json: serde_json::Value = serde_json::from_str(&followed(&told, Format::Json)).expect("JSON");
        assert_eq!((&json["rule"], &json["path"]), (&"a".into(), &"/etc/nginx/a\nb".into()));
        for format in [Format::Text, Format::Json] {
            for response in [&told, &Response::Missed(3)] {
                let line = followed(response, format);
                assert!(line.ends_with('\n') && line.lines().count() == 1, "{line:?}");
            }
        }
    }
}
