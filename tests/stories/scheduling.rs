//! Who runs, who waits, who is stopped.

use crate::script::check;

#[test]
fn a_change_during_a_run_gets_one_run_after_it() {
    check(
        &["r"],
        "
        0 event r a
        1 event r a
        2 event r a
        3 event r b
        9 exit 1 0
        12 exit 2 0
        15 exit 3 0",
        "
        0 spawn 1 r a
        9 end 1 exit:0
        9 spawn 2 r a
        12 end 2 exit:0
        12 spawn 3 r b
        15 end 3 exit:0",
    );
}

#[test]
fn runs_for_one_path_never_overlap() {
    check(
        &["r concurrency=unlimited"],
        "
        0 event r a
        1 event r b
        2 event r a
        3 exit 2 0
        9 exit 1 0",
        "
        0 spawn 1 r a
        1 spawn 2 r b
        3 end 2 exit:0
        9 end 1 exit:0
        9 spawn 3 r a",
    );
}

#[test]
fn in_a_queue_every_trigger_has_its_own_run() {
    check(
        &["r on-busy=queue concurrency=2"],
        "
        0 event r a
        1 event r a
        2 event r a delete
        3 event r b
        5 exit 1 0
        6 exit 3 0",
        "
        0 spawn 1 r a
        3 spawn 2 r b
        5 end 1 exit:0
        5 spawn 3 r a
        6 end 3 exit:0
        6 spawn 4 r a:delete",
    );
}

#[test]
fn a_queue_of_batches_keeps_the_order_of_each_path() {
    check(
        &["r on-busy=queue concurrency=3 batch debounce=10ms"],
        "
        0 event r a
        1 event r b
        20 event r b
        21 event r c
        40 event r c
        60 event r d
        80 exit 1 0
        90 exit 3 0",
        "
        11 spawn 1 r a b
        70 spawn 2 r d
        80 end 1 exit:0
        80 spawn 3 r b c
        90 end 3 exit:0
        90 spawn 4 r c",
    );
}

#[test]
fn what_is_skipped_is_counted() {
    check(
        &["r on-busy=skip concurrency=2 debounce=10ms"],
        "
        0 event r a
        1 event r a
        5 event r b
        20 event r a
        21 event r a
        25 event r c
        40 exit 1 0
        41 event r a
        60 status r",
        "
        11 spawn 1 r a
        15 spawn 2 r b
        31 drop r skip 2 a
        35 drop r skip 1 c
        40 end 1 exit:0
        51 spawn 3 r a
        60 r matched=7 covered=4 dropped=3 waiting=0 ok=1 failed=0 stopped=0 running=2",
    );
}

#[test]
fn what_waits_for_something_else_than_a_busy_slot_is_not_skipped() {
    check(
        &["daemon concurrency=1\nr on-busy=skip\ns on-busy=skip start-limit=1/100ms"],
        "
        0 event r a
        1 event s a
        2 event s b
        5 exit 1 0
        9 exit 2 0
        200 exit 3 0",
        "
        0 spawn 1 r a
        5 end 1 exit:0
        5 spawn 2 s a
        9 end 2 exit:0
        9 limited s
        105 spawn 3 s b
        200 end 3 exit:0",
    );
}

#[test]
fn a_restart_stops_the_run_of_its_path_only() {
    check(
        &["r on-busy=restart concurrency=2 kill-after=50ms"],
        "
        0 event r a
        1 event r b
        10 event r a delete
        20 event r c
        30 exit 1 TERM
        31 exit 3 0
        40 status r",
        "
        0 spawn 1 r a
        1 spawn 2 r b
        10 ask 1 TERM
        30 end 1 restart
        30 spawn 3 r a:arrived,delete
        31 end 3 exit:0
        31 spawn 4 r c
        40 r matched=4 covered=4 dropped=0 waiting=0 ok=1 failed=0 stopped=1 running=2",
    );
}

#[test]
fn a_restarted_batch_starts_for_what_it_had_and_what_came() {
    check(
        &["r on-busy=restart batch debounce=10ms kill-after=50ms"],
        "
        0 event r a
        1 event r b
        20 event r c
        40 event r a delete
        100 exit 1 KILL",
        "
        11 spawn 1 r a b
        30 ask 1 TERM
        80 kill 1
        100 end 1 restart
        100 spawn 2 r a:arrived,delete b c",
    );
}

#[test]
fn rules_take_turns_when_the_daemon_is_full() {
    check(
        &["daemon concurrency=1\nr concurrency=4\ns concurrency=4"],
        "
        0 event r a
        1 event r b
        2 event r c
        3 event s a
        4 event s b
        10 exit 1 0
        20 exit 2 0
        30 exit 3 0
        40 exit 4 0",
        "
        0 spawn 1 r a
        10 end 1 exit:0
        10 spawn 2 r b
        20 end 2 exit:0
        20 spawn 3 s a
        30 end 3 exit:0
        30 spawn 4 r c
        40 end 4 exit:0
        40 spawn 5 s b",
    );
}

#[test]
fn a_batch_that_is_too_long_is_split_and_its_rest_runs_at_once() {
    check(
        &["r batch debounce=10ms batch-bytes=20"],
        "
        0 event r a
        1 event r b
        2 event r c
        3 event r d
        4 event r e
        20 event r f
        25 exit 1 0
        26 exit 2 0
        27 exit 3 0",
        "
        14 spawn 1 r a b
        25 end 1 exit:0
        25 spawn 2 r c d
        26 end 2 exit:0
        26 spawn 3 r e
        27 end 3 exit:0
        30 spawn 4 r f",
    );
}

#[test]
fn starts_over_the_limit_wait() {
    check(
        &["r start-limit=2/100ms concurrency=unlimited"],
        "
        0 event r a
        10 event r b
        20 event r c
        30 event r d
        40 event r e",
        "
        0 spawn 1 r a
        10 spawn 2 r b
        20 limited r
        100 spawn 3 r c
        110 spawn 4 r d
        200 spawn 5 r e",
    );
}

#[test]
fn what_arrives_for_a_paused_rule_waits() {
    check(
        &["r on-busy=skip debounce=10ms"],
        "
        0 event r a
        5 pause r
        20 event r a
        30 event r b
        40 kept r
        50 resume r
        60 exit 1 0",
        "
        40 kept r a:arrived b:arrived paused
        50 spawn 1 r a
        60 end 1 exit:0
        60 spawn 2 r b",
    );
}

#[test]
fn above_the_limit_the_rule_owes_a_rescan() {
    check(
        &["r queue-limit=2"],
        "
        0 event r a
        1 event r b
        2 event r c
        3 event r d
        4 event r e
        5 event r c delete
        6 status r
        10 exit 1 0
        11 event r f
        12 event r d rescan
        13 rescanned r
        20 exit 2 0
        30 exit 3 0
        31 status r",
        "
        0 spawn 1 r a
        3 over r
        6 r matched=6 covered=1 dropped=0 waiting=5 ok=0 failed=0 stopped=0 running=1
        10 end 1 exit:0
        10 spawn 2 r b
        10 rescan r
        12 over r
        20 end 2 exit:0
        20 spawn 3 r c:arrived,delete
        20 rescan r
        30 end 3 exit:0
        30 spawn 4 r f
        31 r matched=8 covered=7 dropped=0 waiting=1 ok=3 failed=0 stopped=0 running=1",
    );
}

#[test]
fn each_overflow_is_answered_by_a_rescan_that_starts_after_it() {
    check(
        &["r\ns on-overflow=ignore"],
        "
        0 overflow r s
        5 overflow r s
        6 overflow r s
        10 rescanned r
        20 rescanned r",
        "
        0 rescan r
        10 rescan r",
    );
}

#[test]
fn a_rule_that_asks_for_q_overflow_is_told_of_ours_too() {
    check(
        &["r queue-limit=1 on=arrived,q-overflow"],
        "
        0 event r a
        1 event r b
        2 event r c
        10 exit 1 0
        11 exit 2 0
        12 exit 3 0",
        "
        0 spawn 1 r a
        2 over r
        10 end 1 exit:0
        10 spawn 2 r b
        11 end 2 exit:0
        11 spawn 3 r /r:q-overflow
        11 rescan r
        12 end 3 exit:0",
    );
}

#[test]
fn a_rule_that_did_not_change_keeps_everything_across_a_reload() {
    check(
        &["r debounce=100ms retries=1\ns", "s\nr debounce=100ms retries=1 description=other"],
        "
        0 event r a
        50 reload 1
        60 event r b
        110 exit 1 3
        200 reload 0
        300 status r",
        "
        100 spawn 1 r a
        110 end 1 exit:3 failed then retry 1000ms
        160 spawn 2 r b
        300 r matched=2 covered=1 dropped=0 waiting=1 ok=0 failed=1 stopped=0 running=1",
    );
}

#[test]
fn a_rule_that_changed_keeps_what_waits_and_its_runs() {
    check(
        &["r concurrency=2 kill-after=1s timeout=100ms", "r concurrency=1 kill-after=9s on-busy=skip"],
        "
        0 event r a
        1 event r b
        2 event r a delete
        3 event r c
        10 reload 1
        20 exit 2 0
        100 tick
        1101 exit 1 KILL
        1102 exit 3 0",
        "
        0 spawn 1 r a
        1 spawn 2 r b
        20 end 2 exit:0
        100 ask 1 TERM
        1100 kill 1
        1101 end 1 timeout failed
        1101 spawn 3 r a:delete
        1102 end 3 exit:0
        1102 spawn 4 r c",
    );
}

#[test]
fn what_waits_for_a_removed_rule_is_dropped_and_its_runs_still_count() {
    check(
        &["r\ns", "s", "r concurrency=1"],
        "
        0 event r a
        1 event r b
        2 event r b
        10 reload 1
        20 reload 2
        30 event r a
        31 event r c
        40 exit 1 0
        50 status r",
        "
        0 spawn 1 r a
        10 drop r removed 2
        40 end 1 exit:0
        40 spawn 2 r a
        50 r matched=5 covered=2 dropped=2 waiting=1 ok=1 failed=0 stopped=0 running=1",
    );
}

#[test]
fn what_an_earlier_life_left_runs_as_if_it_had_just_come() {
    check(
        &["r debounce=50ms on-busy=skip"],
        "
        10 restore r a,b owes
        11 kept r
        70 exit 1 0",
        "
        10 rescan r
        11 kept r a:arrived b:arrived owes
        60 spawn 1 r a
        70 end 1 exit:0
        70 spawn 2 r b",
    );
}
