//! Runs under the supervisor: what a command finds, how its output comes, how it ends. Needs no privilege.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use facron::engine::{Exit, Outcome, Purpose, Run, StopSignal};
use facron::event::RunId;
use facron::rule::Command;
use facron::supervisor::SupervisorNotice;
use facron::sys::clock;
use facron::template::Template;

use crate::supervised::*;

#[test]
fn output_comes_line_by_line_and_the_end_after_it() {
    let mut supervised = Supervised::new();
    let end = supervised.run(script("echo a; echo b >&2; printf c; exit 3", ""));
    assert_eq!(end.exit, Exit::Code(3));
    assert_eq!((end.out.as_str(), end.err.as_str(), end.error_tail.as_str()), ("a\nc\n", "b\n", "b\n"));
    assert!(matches!(supervised.notices.last(), Some(SupervisorNotice::Exited { .. })));
    assert_eq!(supervised.supervisor.running().len(), 0);
    assert_eq!(supervised.supervisor.next_deadline(), None, "nothing is due when nothing runs");
}

#[test]
fn a_signal_that_ends_a_run_is_told() {
    assert_eq!(Supervised::new().run(script("kill -SEGV $$", "")).exit, Exit::Signal(libc::SIGSEGV));
}

#[test]
fn the_environment_is_built_anew() {
    let end = Supervised::new().run(rule(&["/usr/bin/env"], "env = { EXTRA = 'ä b', LANG = 'C' }"));
    let names: Vec<&str> = end.out.lines().filter_map(|line| line.split('=').next()).collect();
    let expected = "EXTRA FACRON_ATTEMPT FACRON_COUNT FACRON_EVENTS FACRON_PATH FACRON_PID FACRON_RULE FACRON_RUN HOME LANG LOGNAME PATH SHELL USER";
    assert_eq!(names.join(" "), expected);
    for line in ["EXTRA=ä b", "LANG=C", "FACRON_PATH=/srv/file", "FACRON_EVENTS=arrived", "FACRON_RULE=test"]
    {
        assert!(end.out.lines().any(|found| found == line), "{line} is not in {}", end.out);
    }
}

#[test]
fn a_shell_gets_names_as_arguments_and_never_as_text() {
    let mut shell = rule(&[], "batch = true");
    shell.command = Command::Shell("printf '%s|' \"$0\" \"$@\"".to_owned());
    let mut supervised = Supervised::new();
    let events = vec![event("/srv/a b"), event("/srv/$(touch /tmp/PWNED)"), event("/srv/'\";\\")];
    let run = supervised.start_for(shell, events).expect("started");
    let expected = "facron|/srv/a b|/srv/$(touch /tmp/PWNED)|/srv/'\";\\|\n";
    assert_eq!(supervised.end_of(run).out, expected);
}

#[test]
fn paths_come_on_standard_input_and_the_descriptor_is_a_copy_that_nobody_can_change() {
    for (stdin, expected) in [("null", ""), ("paths", "/srv/a\n/srv/b c\n"), ("paths0", "/srv/a\0/srv/b c\0")]
    {
        let keys = format!("batch = true\nstdin = '{stdin}'");
        let rule = script("cat; echo x >&0 2>/dev/null || echo refused >&2", &keys);
        let mut supervised = Supervised::new();
        let run = supervised.start_for(rule, vec![event("/srv/a"), event("/srv/b c")]).expect("started");
        assert_eq!(supervised.end_of(run).out.trim_end(), expected.trim_end(), "{stdin}");
    }
}

#[test]
fn a_path_that_would_look_like_two_is_left_out_and_said() {
    let rule = || script("cat", "batch = true\nstdin = 'paths'");
    let mut supervised = Supervised::new();
    let run = supervised.start_for(rule(), vec![event("/srv/a\n/etc/b"), event("/srv/c")]).expect("started");
    assert_eq!(supervised.end_of(run).out, "/srv/c\n");
    assert!(supervised.notices.iter().any(|notice| matches!(notice,
        SupervisorNotice::PathLeftOut { path, .. } if path.as_os_str() == "/srv/a\n/etc/b")));
    let failure = supervised.start_for(rule(), vec![event("/srv/a\n/etc/b")]).expect_err("nothing is left");
    assert_eq!(failure.class.as_str(), "input");
}

#[test]
fn many_paths_do_not_block_anybody() {
    let rule = script("sleep 0.1; wc -l", "batch = true\nstdin = 'paths'");
    let mut supervised = Supervised::new();
    let events = (0..50_000).map(|number| event(format!("/srv/some/longer/path/{number}"))).collect();
    let before = clock::monotonic();
    let run = supervised.start_for(rule, events).expect("started");
    let took = clock::monotonic().since(before);
    assert_eq!(supervised.end_of(run).out.trim(), "50000");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn much_output_is_drained_and_both_ends_of_it_are_kept() {
    let mut supervised = Supervised::new();
    let end =
        supervised.run(script("yes $(printf %0100d 7) | head -c 50000000; echo; seq 100; echo done >&2", ""));
    assert_eq!(end.exit, Exit::Code(0));
    assert!(end.out.ends_with("99\n100\n") && end.out.starts_with("0000"));
    let left_out = supervised.notices.iter().find_map(|notice| match notice {
        SupervisorNotice::OutputLeftOut { amount, .. } => Some(*amount),
        _ => None,
    });
    assert!(left_out.expect("said").bytes > 49_000_000, "{left_out:?}");
    assert_eq!(end.err, "done\n");
}

#[test]
fn more_lines_than_a_rule_may_log_are_counted() {
    let mut supervised = Supervised::new();
    let end = supervised.run(script("seq 3000", ""));
    assert_eq!(end.out.lines().count() as u64, facron::throttle::LINES_MAX);
    assert!(supervised.supervisor.next_deadline().is_some(), "the rest is going to be said");
}

#[test]
fn a_process_that_keeps_the_pipe_open_does_not_keep_the_run_alive_and_is_not_ended_by_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("done");
    let text = format!("(sleep 2; echo late; echo late >&2; echo yes >{}) & echo early", file.display());
    let mut supervised = Supervised::new();
    let before = clock::monotonic();
    let end = supervised.run(script(&text, ""));
    let took = clock::monotonic().since(before);
    assert_eq!(end.out, "early\n");
    assert!((Duration::from_millis(900)..Duration::from_millis(1900)).contains(&took), "{took:?}");
    // The supervisor goes on reading, so the one that was left running can write and go on.
    let patience = clock::monotonic() + PATIENCE;
    while fs::read_to_string(&file).unwrap_or_default() != "yes\n" {
        assert!(clock::monotonic() < patience, "the process that was left running was ended");
        supervised.work_until(clock::monotonic() + Duration::from_millis(50));
    }
}

#[test]
fn output_can_be_discarded() {
    let end = Supervised::new().run(script("echo a; echo b >&2", "output = 'discard'"));
    assert_eq!((end.exit, end.out.as_str(), end.error_tail.as_str()), (Exit::Code(0), "", ""));
}

#[test]
fn a_run_that_is_asked_to_stop_stops_even_when_it_is_stopped() {
    let mut supervised = Supervised::new();
    let run = supervised
        .start(script("trap 'echo bye; exit 7' TERM; echo up; kill -STOP $$", ""))
        .expect("started");
    supervised.wait_for(|notice| matches!(notice, SupervisorNotice::Output { .. }));
    supervised.signal(run, StopSignal::Ask(libc::SIGTERM));
    let end = supervised.end_of(run);
    assert_eq!((end.exit, end.out.as_str()), (Exit::Code(7), "up\nbye\n"));
}

#[test]
fn a_stop_reaches_every_process_of_the_session_and_the_end_is_told_when_all_are_gone() {
    let mut supervised = Supervised::new();
    // timeout(1) makes a process group of its own; what it runs takes a moment to end.
    let text = "timeout 1000 sh -c 'trap \"sleep 0.3; echo slow; exit\" TERM; echo up; while :; do sleep 0.05; done' & wait";
    let run = supervised.start(script(text, "")).expect("started");
    supervised.wait_for(|notice| matches!(notice, SupervisorNotice::Output { .. }));
    supervised.signal(run, StopSignal::Ask(libc::SIGTERM));
    let end = supervised.end_of(run);
    assert_eq!(end.exit, Exit::Signal(libc::SIGTERM));
    assert_eq!(end.out, "up\nslow\n");
}

#[test]
fn who_ignores_the_request_is_killed() {
    let mut supervised = Supervised::new();
    let run =
        supervised.start(script("trap '' TERM; echo up; while :; do sleep 0.05; done", "")).expect("started");
    supervised.wait_for(|notice| matches!(notice, SupervisorNotice::Output { .. }));
    supervised.signal(run, StopSignal::Ask(libc::SIGTERM));
    supervised.work_until(clock::monotonic() + Duration::from_millis(200));
    assert_eq!(supervised.supervisor.running().len(), 1);
    supervised.signal(run, StopSignal::Kill);
    assert_eq!(supervised.end_of(run).exit, Exit::Signal(libc::SIGKILL));
}

#[test]
fn what_a_command_leaves_running_is_ended_where_the_rule_says_so() {
    let text = "sh -c 'trap \"echo got it; exit\" TERM; echo up; while :; do sleep 0.05; done' &
                while ! test -s /proc/self/fd/1; do break; done; sleep 0.3; exit 5";
    let rule = script(text, "leftover = 'kill'\nkill-after = '20s'");
    let end = Supervised::new().run(rule);
    assert_eq!((end.exit, end.out.as_str()), (Exit::Code(5), "up\ngot it\n"));
    // One that ignores the request is killed by ourselves.
    let rule = script("(trap '' TERM; sleep 1000) & sleep 0.2", "leftover = 'kill'\nkill-after = '200ms'");
    let before = clock::monotonic();
    assert_eq!(Supervised::new().run(rule).exit, Exit::Code(0));
    assert!(clock::monotonic().since(before) < Duration::from_secs(10));
}

#[test]
fn on_failure_is_told_what_happened() {
    let rule =
        rule(&["/bin/false"], "on-failure = ['/bin/sh', '-c', 'echo $FACRON_OUTCOME $FACRON_ATTEMPT']");
    let run = Run {
        id: RunId(7),
        rule: Arc::new(rule),
        purpose: Purpose::OnFailure(Outcome::Ended(Exit::Signal(libc::SIGSEGV))),
        attempt: 3,
        events: [event("/srv/file")].into(),
    };
    let mut supervised = Supervised::new();
    supervised.spawn(&run).expect("started");
    assert_eq!(supervised.end_of(run.id).out, "signal:SEGV 3\n");
}

#[test]
fn the_counter_of_classic_facron_goes_on_from_run_to_run() {
    let mut supervised = Supervised::new();
    let mut counts = String::new();
    for token in ["$+", "$+", "$=", "$-"] {
        let mut rule = rule(&["/bin/echo"], "");
        if let Command::Argv(words) = &mut rule.command {
            words.push(Template::parse(token).expect("a token"));
        }
        counts += &supervised.run(rule).out;
    }
    assert_eq!(counts, "1\n2\n2\n1\n");
}
