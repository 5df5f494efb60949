//! The status as OpenMetrics text (version 1.0.0), for scrapers; or for a file that node_exporter reads.

use std::fmt::Write as _;

use crate::control::{RuleState, RuleStatus, Status};

/// What is counted and measured of a rule: name, kind, help, value.
type Family = (&'static str, &'static str, &'static str, fn(&RuleStatus) -> u64);

const FAMILIES: [Family; 4] = [
    ("facron_rule_matched", "counter", "Events that matched.", |rule| rule.matched),
    ("facron_rule_covered", "counter", "Events that a run has answered.", |rule| rule.covered),
    ("facron_rule_waiting", "gauge", "Paths or triggers that wait.", |rule| rule.waiting),
    ("facron_rule_running", "gauge", "Runs alive.", |rule| rule.running),
];

const STATES: [RuleState; 6] = [
    RuleState::Arming,
    RuleState::Armed,
    RuleState::Degraded,
    RuleState::Paused,
    RuleState::OverLimit,
    RuleState::Disabled,
];

/// The whole text, with the end that tells a reader that it is whole.
pub(super) fn openmetrics(status: &Status) -> String {
    let mut text = Text(String::new());
    let daemon = &status.daemon;
    text.family("facron_build", "info", "The running version.");
    text.sample("facron_build_info", &[("version", &daemon.version)], 1);
    if let Some(since) = seconds(&daemon.since) {
        text.family("facron_start_time_seconds", "gauge", "When the daemon started, since the epoch.");
        text.sample("facron_start_time_seconds", &[], since);
    }
    text.family("facron_overflows", "counter", "How often events were lost, and looked for by a walk.");
    text.sample("facron_overflows_total", &[], daemon.overflows);
    text.family("facron_running", "gauge", "Runs alive, over all rules.");
    text.sample("facron_running", &[], daemon.running);
    text.family("facron_reload_failed", "gauge", "Whether the last reload was refused.");
    text.sample("facron_reload_failed", &[], u64::from(daemon.last_reload_error.is_some()));
    for (name, kind, help, value) in FAMILIES {
        text.family(name, kind, help);
        let suffix = if kind == "counter" { "_total" } else { "" };
        for rule in &status.rules {
            text.sample(&format!("{name}{suffix}"), &[("rule", &rule.name)], value(rule));
        }
    }
    text.family("facron_rule_runs", "counter", "Runs that ended.");
    for rule in &status.rules {
        for (result, count) in [("ok", rule.runs.ok), ("failed", rule.runs.failed)] {
            text.sample("facron_rule_runs_total", &[("rule", &rule.name), ("result", result)], count);
        }
    }
    text.family("facron_rule_dropped", "counter", "Events that no run answers.");
    for rule in &status.rules {
        for (reason, count) in &rule.dropped {
            text.sample("facron_rule_dropped_total", &[("rule", &rule.name), ("reason", reason)], *count);
        }
    }
    text.family("facron_rule_openers", "counter", "Openers of what a rule guards, by what they got.");
    for rule in &status.rules {
        for (verdict, count) in
            rule.guard.iter().flat_map(|guard| [("allow", guard.allowed), ("deny", guard.denied)])
        {
            text.sample("facron_rule_openers_total", &[("rule", &rule.name), ("verdict", verdict)], count);
        }
    }
    text.family("facron_rule_verdict_defaults", "counter", "Openers for whom nobody decided in time.");
    for (rule, guard) in status.rules.iter().filter_map(|rule| Some((rule, rule.guard.as_ref()?))) {
        text.sample("facron_rule_verdict_defaults_total", &[("rule", &rule.name)], guard.by_default);
    }
    text.family("facron_rule_state", "stateset", "Whether a rule works.");
    for rule in &status.rules {
        for state in STATES {
            let labels = [("rule", &*rule.name), ("facron_rule_state", state.as_str())];
            text.sample("facron_rule_state", &labels, u64::from(rule.state == state));
        }
    }
    text.0 + "# EOF\n"
}

struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        writeln!(self.0, "# TYPE {name} {kind}\n# HELP {name} {help}").expect("a String takes everything");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", quoted(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        writeln!(self.0, "{name}{labels} {value}").expect("a String takes everything");
    }
}

fn quoted(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn seconds(stamp: &str) -> Option<u64> {
    let time = humantime::parse_rfc3339(stamp).ok()?;
    Some(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_belongs_to_the_family_before_it() {
        let text = openmetrics(&super::super::tests::sample());
        let mut family = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                family = rest.split(' ').next().expect("a name");
            } else if !line.starts_with('#') {
                assert!(line.starts_with(family), "{line} below {family}");
                line.rsplit(' ').next().expect("a value").parse::<u64>().expect("a number");
            }
        }
        assert!(text.ends_with("\n# EOF\n"));
        for line in [
            "facron_build_info{version=\"0.1.0\"} 1",
            "facron_start_time_seconds 1767225600",
            "facron_overflows_total 2",
            "facron_reload_failed 1",
            "facron_rule_matched_total{rule=\"reload-nginx\"} 1234",
            "facron_rule_waiting{rule=\"reload-nginx\"} 1",
            "facron_rule_runs_total{rule=\"reload-nginx\",result=\"failed\"} 1",
            "facron_rule_dropped_total{rule=\"reload-nginx\",reason=\"skip\"} 3",
            "facron_rule_openers_total{rule=\"backup\",verdict=\"deny\"} 3",
            "facron_rule_verdict_defaults_total{rule=\"backup\"} 1",
            "facron_rule_state{rule=\"backup\",facron_rule_state=\"degraded\"} 1",
            "facron_rule_state{rule=\"backup\",facron_rule_state=\"armed\"} 0",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_label_cannot_end_its_quotes() {
        assert_eq!(quoted("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
