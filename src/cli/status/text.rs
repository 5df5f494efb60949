//! The status for people: a table of all rules, or everything about one.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use crate::control::{
    DaemonStatus, DecisionStatus, GuardCounts, LastRun, RuleState, RuleStatus, Status, WirePath,
};
use crate::escape;

/// Adds formatted text to a `String`, which takes everything.
macro_rules! push {
    ($text:expr, $($format:tt)*) => { write!($text, $($format)*).expect("a String takes everything") };
}

/// The headings, and whether the column holds numbers.
const COLUMNS: [(&str, bool); 11] = [
    ("RULE", false),
    ("STATE", false),
    ("WATCHED BY", false),
    ("CONTAINED BY", false),
    ("MATCHED", true),
    ("WAITING", true),
    ("RUNNING", true),
    ("OK", true),
    ("FAILED", true),
    ("DROPPED", true),
    ("LAST RUN", false),
];

/// The column of the state, which is coloured.
const STATE: usize = 1;

/// Stands for what is not there.
const NONE: &str = "-";

/// The daemon and all rules.
pub(super) fn table(status: &Status, now: SystemTime) -> String {
    let mut text = daemon(&status.daemon, now);
    if status.rules.is_empty() {
        return text + "\nno rules\n";
    }
    let rows: Vec<[String; COLUMNS.len()]> = status.rules.iter().map(|rule| row(rule, now)).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([COLUMNS[column].0.len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..COLUMNS.len()).map(width).collect();
    text.push('\n');
    push_row(&mut text, &COLUMNS.map(|(heading, _)| heading.to_owned()), &widths, None);
    for (row, rule) in rows.iter().zip(&status.rules) {
        push_row(&mut text, row, &widths, Some(rule.state));
        if let Some(reason) = &rule.reason {
            push!(text, "  {}\n", escape::line(reason));
        }
    }
    text
}

/// Everything about each rule.
pub(super) fn rules(status: &Status, now: SystemTime) -> String {
    status.rules.iter().fold(String::new(), |text, rule| text + &one(rule, now))
}

/// One decision, in a line.
pub(super) fn decision(rule: Option<&str>, decision: &DecisionStatus) -> String {
    let mut text = escape::line(&decision.time).into_owned();
    if let Some(rule) = rule {
        push!(text, " {}", escape::line(rule));
    }
    match decision.run {
        Some(run) => push!(text, " {} {run}", decision.done.as_str()),
        None => push!(text, " {}", decision.done.as_str()),
    }
    push!(text, " ({})", escape::line(&decision.why));
    push!(text, " {}", escape::line(&decision.events.join(",")));
    if decision.origin != "event" {
        push!(text, " by {}", escape::line(&decision.origin));
    } else if decision.pid != 0 {
        push!(text, " by {}", decision.pid);
        if let Some(exe) = &decision.exe {
            push!(text, " {}", escape::line(exe));
        }
    }
    push!(text, " {}\n", path(&decision.path));
    text
}

fn daemon(daemon: &DaemonStatus, now: SystemTime) -> String {
    let mut text = format!(
        "facron {} runs since {} ({}), process {}\n",
        escape::line(&daemon.version),
        escape::line(&daemon.since),
        ago(&daemon.since, now),
        daemon.pid,
    );
    let files: Vec<_> = daemon.config.iter().map(|file| escape::line(file)).collect();
    push!(text, "rules: {}, loaded {}\n", files.join(", "), ago(&daemon.config_loaded, now));
    if let Some(error) = &daemon.last_reload_error {
        let since = ago(&error.time, now);
        push!(
            text,
            "the last reload was refused {since}, the old rules go on: {}\n",
            escape::line(&error.error)
        );
    }
    push!(text, "{} of {} runs, {} overflows\n", daemon.running, daemon.concurrency, daemon.overflows);
    text
}

fn row(rule: &RuleStatus, now: SystemTime) -> [String; COLUMNS.len()] {
    let text = |text: &Option<String>| text.as_deref().map_or(NONE.into(), escape::line).into_owned();
    let last = rule
        .last
        .as_ref()
        .map_or(NONE.to_owned(), |last| format!("{}, {}", escape::line(&last.outcome), ago(&last.time, now)));
    [
        escape::line(&rule.name).into_owned(),
        rule.state.as_str().to_owned(),
        text(&rule.watched_by),
        text(&rule.contained_by),
        rule.matched.to_string(),
        rule.waiting.to_string(),
        rule.running.to_string(),
        rule.runs.ok.to_string(),
        rule.runs.failed.to_string(),
        rule.dropped.values().sum::<u64>().to_string(),
        last,
    ]
}

/// Numbers stand at the right of their column; the last one has no padding.
fn push_row(text: &mut String, cells: &[String], widths: &[usize], state: Option<RuleState>) {
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let is_last = column + 1 == cells.len();
        let padding = if is_last { 0 } else { width - cell.chars().count() };
        let (colour, end) = match state {
            Some(state) if column == STATE => (colour(state), "\x1b[0m"),
            _ => ("", ""),
        };
        match COLUMNS[column].1 {
            true => push!(text, "{:padding$}{cell}", ""),
            false => push!(text, "{colour}{cell}{end}{:padding$}", ""),
        }
        text.push_str(if is_last { "\n" } else { "  " });
    }
}

fn one(rule: &RuleStatus, now: SystemTime) -> String {
    let state = rule.state;
    let mut text = format!("{}: {}{}\x1b[0m", escape::line(&rule.name), colour(state), state.as_str());
    if let Some(reason) = &rule.reason {
        push!(text, ", {}", escape::line(reason));
    }
    text.push('\n');
    let mut field = |name: &str, value: &str| push!(text, "  {name:<14}{}\n", escape::line(value));
    if let Some(description) = &rule.description {
        field("description", description);
    }
    rule.path.iter().for_each(|path| field("path", path));
    field("watched by", rule.watched_by.as_deref().unwrap_or(NONE));
    field("contained by", rule.contained_by.as_deref().unwrap_or(NONE));
    let events = if rule.matched == 1 { "event" } else { "events" };
    field("matched", &format!("{} {events}, {} answered by a run", rule.matched, rule.covered));
    field("now", &format!("{} waiting, {} running", rule.waiting, rule.running));
    field("runs", &format!("{} ok, {} failed", rule.runs.ok, rule.runs.failed));
    let dropped = rule.dropped.iter().filter(|(_, count)| **count > 0);
    let dropped: Vec<String> = dropped.map(|(reason, count)| format!("{count} {reason}")).collect();
    if let Some(guard) = &rule.guard {
        let GuardCounts { openings, asked, allowed, denied, by_default, cached, exempt, late } = guard;
        let how = format!("{by_default} by default, {cached} cached, {exempt} of runs, {late} verdicts late");
        let text = format!("{openings} openings, {asked} asked, {allowed} allowed, {denied} denied; {how}");
        field("guard", &text);
    }
    field("dropped", if dropped.is_empty() { NONE.to_owned() } else { dropped.join(", ") }.as_str());
    match &rule.last {
        Some(last) => last_run(&mut text, last, now),
        None => field("last run", NONE),
    }
    if let Some(decisions) = &rule.decisions {
        text.push_str("last decisions:\n");
        for taken in decisions {
            push!(text, "  {}", decision(None, taken));
        }
    }
    text
}

fn last_run(text: &mut String, last: &LastRun, now: SystemTime) {
    let (outcome, took) = (escape::line(&last.outcome), escape::line(&last.took));
    let (when, path) = (ago(&last.time, now), path(&last.path));
    push!(text, "  {:<14}run {}: {outcome} after {took}, {when}, {path}\n", "last run", last.run);
    for line in last.error_output.lines() {
        push!(text, "  {:<14}| {}\n", "", escape::line(line));
    }
}

fn path(path: &WirePath) -> String {
    path.to_path().map_or(NONE.to_owned(), |path| escape::path(&path).into_owned())
}

fn colour(state: RuleState) -> &'static str {
    match state {
        RuleState::Armed => "\x1b[32m",
        RuleState::Degraded | RuleState::OverLimit => "\x1b[1;31m",
        RuleState::Paused | RuleState::Arming => "\x1b[33m",
        RuleState::Disabled => "\x1b[2m",
    }
}

/// `5s ago`, `2h 10m ago`: at most two units. The time itself where it makes no sense.
fn ago(stamp: &str, now: SystemTime) -> String {
    let Some(age) = humantime::parse_rfc3339(stamp).ok().and_then(|time| now.duration_since(time).ok())
    else {
        return format!("at {}", escape::line(stamp));
    };
    let age = humantime::format_duration(Duration::from_secs(age.as_secs())).to_string();
    let units: Vec<&str> = age.split(' ').take(2).collect();
    format!("{} ago", units.join(" "))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{now, sample};
    use super::*;

    /// Without colours.
    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn the_table_is_aligned_and_says_what_is_wrong() {
        assert_eq!(
            plain(&table(&sample(), now())),
            "facron 0.1.0 runs since 2026-01-01T00:00:00.000Z (1day 3h ago), process 123
rules: /etc/facron/facron.toml, loaded 4m 5s ago
the last reload was refused 5s ago, the old rules go on: 3 errors
1 of 64 runs, 2 overflows

RULE          STATE     WATCHED BY  CONTAINED BY  MATCHED  WAITING  RUNNING  OK  FAILED  DROPPED  LAST RUN
reload-nginx  armed     filesystem  cgroup           1234        1        1  16       1        3  exit:3, 2m ago
backup        degraded  -           -                   0        0        0   0       0        0  -
  /srv: permission denied
"
        );
        let empty = Status { rules: Vec::new(), ..sample() };
        assert!(table(&empty, now()).ends_with("\n\nno rules\n"));
    }

    #[test]
    fn one_rule_is_shown_with_everything_and_its_decisions() {
        let mut status = sample();
        status.rules.truncate(1);
        status.rules[0].decisions = Some(vec![super::super::tests::decision()]);
        assert_eq!(
            plain(&rules(&status, now())),
            "reload-nginx: armed
  description   Lets nginx see its files
  path          /etc/nginx
  watched by    filesystem
  contained by  cgroup
  matched       1234 events, 1230 answered by a run
  now           1 waiting, 1 running
  runs          16 ok, 1 failed
  dropped       3 skip
  last run      run 17: exit:3 after 1.2s, 2m ago, /etc/nginx/a\\x0ab
                | cannot
                | \\x1b[31mopen
last decisions:
  2026-01-02T03:04:04.000Z run 17 (debounce is over) close-write,arrived by 99 /usr/bin/vim /etc/nginx/a\\x0ab
"
        );
    }

    #[test]
    fn a_daemon_that_lies_cannot_harm_the_terminal() {
        let mut status = sample();
        for text in [&mut status.daemon.version, &mut status.rules[0].name, &mut status.daemon.since] {
            *text = "a\u{1b}]0;b\u{7}\n\u{202e}".to_owned();
        }
        for text in [table(&status, now()), rules(&status, now())] {
            let text = plain(&text);
            assert!(
                !text.contains(|c: char| c != '\n' && escape::line(&c.to_string()).len() != c.len_utf8()),
                "{text:?}"
            );
        }
    }
}
