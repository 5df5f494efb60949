//! How a run ends, and what follows.

use crate::script::check;

#[test]
fn a_run_that_outlives_its_timeout_is_asked_and_then_killed() {
    check(
        &["r timeout=100ms kill-after=20ms"],
        "
        0 event r a
        130 exit 1 KILL",
        "
        0 spawn 1 r a
        100 ask 1 TERM
        120 kill 1
        130 end 1 timeout failed",
    );
}

#[test]
fn without_grace_it_is_asked_and_killed_at_once() {
    check(
        &["r timeout=100ms kill-after=0ms on-busy=restart"],
        "
        0 event r a
        40 event r a
        41 exit 1 KILL
        150 exit 2 0",
        "
        0 spawn 1 r a
        40 ask 1 TERM
        40 kill 1
        41 end 1 restart
        41 spawn 2 r a
        141 ask 2 TERM
        141 kill 2
        150 end 2 timeout failed",
    );
}

#[test]
fn a_run_that_ends_in_the_very_moment_of_its_timeout_is_not_signalled() {
    check(
        &["r timeout=100ms"],
        "
        0 event r a
        100 exit 1 0",
        "
        0 spawn 1 r a
        100 end 1 exit:0",
    );
}

#[test]
fn a_failed_run_is_tried_again_with_doubling_delay() {
    check(
        &["r retries=3 retry-delay=10ms retry-max-delay=30ms success=0,7 on-failure"],
        "
        0 event r a
        1 exit 1 1
        20 exit 2 SEGV
        50 exit 3 2
        90 exit 4 3
        100 exit 5 9
        100 event r a
        101 exit 6 7",
        "
        0 spawn 1 r a
        1 end 1 exit:1 failed then retry 10ms
        11 spawn 2 r a attempt=2
        20 end 2 signal:SEGV failed then retry 20ms
        40 spawn 3 r a attempt=3
        50 end 3 exit:2 failed then retry 30ms
        80 spawn 4 r a attempt=4
        90 end 4 exit:3 failed then on-failure
        90 spawn 5 r a attempt=4 after exit:3
        100 end 5 exit:9 failed
        100 spawn 6 r a
        101 end 6 exit:7",
    );
}

#[test]
fn a_change_that_comes_while_a_retry_waits_joins_it() {
    check(
        &["r retries=1 retry-delay=100ms debounce=30ms"],
        "
        0 event r a
        35 event r a delete
        40 exit 1 1
        130 event r a modify
        140 event r b
        180 exit 2 0
        190 status r",
        "
        30 spawn 1 r a
        40 end 1 exit:1 failed then retry 100ms
        160 spawn 2 r a:modify,arrived,delete attempt=2
        180 end 2 exit:0
        180 spawn 3 r b
        190 r matched=4 covered=4 dropped=0 waiting=0 ok=1 failed=1 stopped=0 running=1",
    );
}

#[test]
fn a_command_that_never_started_answers_nothing() {
    check(
        &["r on-failure"],
        "
        0 event r a
        1 event r a
        2 fail 1 missing
        3 exit 2 0
        4 exit 3 0
        5 status r",
        "
        0 spawn 1 r a
        2 end 1 not-started:missing failed then on-failure
        2 drop r gave-up 1 a
        2 spawn 2 r a after not-started:missing
        2 spawn 3 r a
        3 end 2 exit:0
        4 end 3 exit:0
        5 r matched=2 covered=1 dropped=1 waiting=0 ok=1 failed=1 stopped=0 running=0",
    );
}

#[test]
fn what_the_system_refuses_for_the_moment_is_tried_again_without_using_up_retries() {
    check(
        &["r"],
        "
        0 event r a
        0 fail 1 busy transient
        101 fail 2 busy transient
        302 exit 3 1
        303 status r",
        "
        0 spawn 1 r a
        0 end 1 not-started:busy failed then retry 100ms
        100 spawn 2 r a
        101 end 2 not-started:busy failed then retry 200ms
        301 spawn 3 r a
        302 end 3 exit:1 failed
        303 r matched=1 covered=1 dropped=0 waiting=0 ok=0 failed=1 stopped=0 running=0",
    );
}

#[test]
fn what_follows_a_failure_needs_no_slot_of_the_rule_but_one_of_the_daemon() {
    check(
        &["daemon concurrency=2\nr on-failure timeout=100ms kill-after=10ms\ns"],
        "
        0 event r a
        1 event s a
        2 event r b
        3 event s b
        5 exit 1 1
        6 exit 2 0
        115 exit 3 TERM",
        "
        0 spawn 1 r a
        1 spawn 2 s a
        5 end 1 exit:1 failed then on-failure
        5 spawn 3 r a after exit:1
        6 end 2 exit:0
        6 spawn 4 r b
        105 ask 3 TERM
        106 ask 4 TERM
        115 end 3 timeout failed
        115 spawn 5 s b
        116 kill 4",
    );
}

#[test]
fn a_stop_lets_runs_end_for_a_while_and_keeps_what_waits() {
    check(
        &["daemon shutdown-timeout=50ms\nr kill-after=10ms concurrency=2 retries=1\ns debounce=5ms"],
        "
        0 event r a
        1 event r b
        2 event r c
        3 event s a
        4 stop
        5 event r a delete
        10 exit 1 0
        70 exit 2 KILL
        80 kept r
        80 kept s",
        "
        0 spawn 1 r a
        1 spawn 2 r b
        10 end 1 exit:0
        54 ask 2 TERM
        64 kill 2
        70 end 2 shutdown
        80 kept r a:delete b:arrived c:arrived
        80 kept s a:arrived",
    );
}

#[test]
fn a_failure_after_a_stop_is_not_followed_and_that_is_said() {
    check(
        &["daemon shutdown-timeout=50ms\nr on-failure concurrency=4 retries=1"],
        "
        0 event r a
        1 exit 1 9
        2000 event r b
        2001 stop
        2002 exit 2 3
        2003 exit 3 1
        2010 kept r",
        "
        0 spawn 1 r a
        1 end 1 exit:9 failed then retry 1000ms
        1001 spawn 2 r a attempt=2
        2000 spawn 3 r b
        2002 end 2 exit:3 failed
        2002 no-on-failure r exit:3 a
        2003 end 3 exit:1 failed then retry 1000ms
        2010 kept r b:arrived",
    );
}

#[test]
fn a_failure_that_waits_for_a_slot_at_a_stop_is_not_followed_and_that_is_said() {
    check(
        &[
            "daemon concurrency=2\nr on-failure concurrency=2",
            "daemon concurrency=1\nr on-failure concurrency=2",
        ],
        "
        0 event r a
        0 event r b
        1 reload 1
        2 exit 1 3
        3 stop
        4 exit 2 0",
        "
        0 spawn 1 r a
        0 spawn 2 r b
        2 end 1 exit:3 failed then on-failure
        3 no-on-failure r exit:3 a
        4 end 2 exit:0",
    );
}

#[test]
fn a_second_stop_is_a_stop_at_once() {
    check(
        &["daemon shutdown-timeout=50ms\nr kill-after=10ms on-busy=restart"],
        "
        0 event r a
        5 event r a
        7 stop
        8 stop-now
        9 exit 1 TERM
        10 kept r",
        "
        0 spawn 1 r a
        5 ask 1 TERM
        9 end 1 restart
        10 kept r a:arrived",
    );
}

#[test]
fn what_a_run_causes_does_not_trigger_its_own_rule() {
    check(
        &["r concurrency=4\ns concurrency=4\nt ignore-self=false"],
        "
        0 event r a
        1 event r b by=1
        2 event s b by=1
        3 exit 1 0
        4 event r c by=2
        5 event s c by=2
        6 event r c
        7 event t a
        8 exit 4 0
        9 event t a by=4
        10 status r",
        "
        0 spawn 1 r a
        1 drop r itself 1 b
        2 spawn 2 s b
        3 end 1 exit:0
        4 drop r itself 1 c
        5 drop s itself 1 c
        6 spawn 3 r c
        7 spawn 4 t a
        8 end 4 exit:0
        9 spawn 5 t a
        10 r matched=2 covered=2 dropped=0 waiting=0 ok=1 failed=0 stopped=0 running=1",
    );
}

#[test]
fn causes_survive_the_merging_of_events() {
    check(
        &["r\ns debounce=10ms"],
        "
        0 event r a
        1 event s b by=1
        2 event s b
        20 event r c by=2
        21 exit 1 0",
        "
        0 spawn 1 r a
        12 spawn 2 s b
        20 drop r itself 1 c
        21 end 1 exit:0",
    );
}

#[test]
fn a_loop_without_known_causes_is_slowed_down_and_never_dropped() {
    let mut script = String::from("0 event r a pid=0\n");
    let mut expected = String::from("0 spawn 1 r a\n");
    for run in 1..=1000 {
        let end = run * 10;
        script += &format!("{} event r a pid=0\n{end} exit {run} 0\n", end - 1);
        if run == 1000 {
            expected += &format!("{} loop r\n", end - 1);
        }
        expected += &format!("{end} end {run} exit:0\n");
        if run < 1000 {
            expected += &format!("{end} spawn {} r a\n", run + 1);
        }
    }
    script += "11000 exit 1001 0\n11050 event r a pid=0\n13060 exit 1002 0\n13200 event r a pid=0\n";
    expected += "10999 spawn 1001 r a\n11000 end 1001 exit:0\n13050 spawn 1002 r a\n13060 end 1002 exit:0\n13200 spawn 1003 r a";
    check(&["r"], &script, &expected);
}
