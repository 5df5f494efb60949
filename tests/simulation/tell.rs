//! Inputs and actions in a line each, for logs and traces.

use facron::engine::{Action, Input, Report, Run};

pub fn input(input: &Input) -> String {
    match input {
        Input::Event { rule, event } => {
            let by = event.cause.run.map(|run| format!(" by {run}")).unwrap_or_default();
            format!("event {} {}:{} {:?}{by}", rule.0, event.path.display(), event.mask, event.origin)
        }
        Input::Reload(rules) => {
            let told = rules.rules.iter().map(|rule| format!("\n: {}", self::rule(rule)));
            format!("reload, {} at once:{}", rules.daemon.concurrency, told.collect::<String>())
        }
        Input::Restore { rule, events, owes_rescan } => {
            format!("restore {} {} {owes_rescan}", rule.0, events.len())
        }
        other => format!("{other:?}"),
    }
}

pub fn rule(rule: &facron::rule::Rule) -> String {
    let (gather, schedule, ending) = (&rule.gather, &rule.schedule, &rule.ending);
    format!(
        "{}: {:?} {:?} {:?} timeout={:?} kill-after={:?} retries={} on={:?}",
        rule.name,
        gather,
        schedule,
        ending.success_codes,
        ending.timeout,
        ending.kill_after,
        ending.retries,
        rule.watch.on
    )
}

pub fn action(action: &Action) -> String {
    match action {
        Action::Spawn(run) => format!("spawn {}", self::run(run)),
        Action::Report(Report::Started(run)) => format!("started {}", run.id),
        Action::Report(Report::Ended { run, outcome, is_failure, then, took }) => {
            format!("ended {} {outcome} {is_failure} {then:?} {took:?}", run.id)
        }
        other => format!("{other:?}"),
    }
}

fn run(run: &Run) -> String {
    let events: Vec<String> =
        run.events.iter().map(|event| format!("{}:{}", event.path.display(), event.mask)).collect();
    format!("{} {} {:?} attempt {} {}", run.id, run.rule.name, run.purpose, run.attempt, events.join(" "))
}
