//! When events become a trigger.

use crate::script::check;

#[test]
fn without_debounce_an_event_runs_at_once() {
    check(
        &["r"],
        "
        5 event r a
        9 exit 1 0
        9 status r",
        "
        5 spawn 1 r a
        9 end 1 exit:0
        9 r matched=1 covered=1 dropped=0 waiting=0 ok=1 failed=0 stopped=0 running=0",
    );
}

#[test]
fn a_run_waits_until_its_path_is_quiet() {
    check(
        &["r debounce=100ms concurrency=2"],
        "
        0 event r a
        60 event r b
        80 event r a delete
        180 event r b
        200 exit 1 0
        ",
        "
        160 spawn 1 r b
        180 spawn 2 r a:arrived,delete
        200 end 1 exit:0
        280 spawn 3 r b",
    );
}

#[test]
fn but_no_longer_than_max_wait() {
    check(
        &["r debounce=100ms max-wait=250ms"],
        "
        0 event r a
        80 event r a
        160 event r a
        240 event r a
        251 exit 1 0
        320 event r a",
        "
        250 spawn 1 r a
        251 end 1 exit:0
        420 spawn 2 r a",
    );
}

#[test]
fn a_batch_waits_until_the_rule_is_quiet() {
    check(
        &["r debounce=100ms batch max-wait=300ms"],
        "
        0 event r a
        60 event r b
        120 event r a
        500 exit 1 0
        600 event r a
        690 event r b
        780 event r c
        870 event r d
        900 event r e",
        "
        220 spawn 1 r a b
        500 end 1 exit:0
        900 spawn 2 r a b c d",
    );
}

#[test]
fn what_comes_while_it_runs_is_debounced_from_its_own_last_event() {
    check(
        &["r debounce=100ms"],
        "
        0 event r a
        150 event r a
        190 event r a
        200 exit 1 0
        400 exit 2 0",
        "
        100 spawn 1 r a
        200 end 1 exit:0
        290 spawn 2 r a
        400 end 2 exit:0",
    );
}

#[test]
fn the_leading_edge_runs_at_once_and_swallows_the_rest_of_the_burst() {
    check(
        &["r debounce=100ms edge=leading concurrency=2"],
        "
        0 event r a
        10 exit 1 0
        50 event r a
        60 event r b
        99 event r a
        100 event r a
        110 exit 2 0
        150 event r a trigger
        200 status r",
        "
        0 spawn 1 r a
        10 end 1 exit:0
        50 drop r leading 1 a
        60 spawn 2 r b
        99 drop r leading 1 a
        100 spawn 3 r a
        110 end 2 exit:0
        200 r matched=6 covered=3 dropped=2 waiting=1 ok=2 failed=0 stopped=0 running=1",
    );
}

#[test]
fn a_leading_batch_has_one_window_for_all_paths() {
    check(
        &["r debounce=100ms edge=leading batch"],
        "
        0 event r a
        50 event r b
        100 event r b
        120 event r c
        130 exit 1 0",
        "
        0 spawn 1 r a
        50 drop r leading 1 b
        120 drop r leading 1 c
        130 end 1 exit:0
        130 spawn 2 r b",
    );
}

#[test]
fn a_group_fires_when_all_of_it_is_there() {
    check(
        &["r on=delete,modify+close-write concurrency=unlimited"],
        "
        0 event r a modify
        0 event r b close-write
        900 event r a close-write
        900 exit 1 0
        901 event r a close-write
        1500 event r c delete
        2000 event r b modify
        3001 event r b close-write
        3002 status r",
        "
        900 spawn 1 r a:modify,close-write
        900 end 1 exit:0
        1500 spawn 2 r c:delete
        3002 r matched=2 covered=2 dropped=0 waiting=0 ok=1 failed=0 stopped=0 running=1",
    );
}

#[test]
fn the_parts_of_a_group_may_come_in_any_order_within_its_span() {
    check(
        &["r on=open+modify+close-write"],
        "
        0 event r a modify
        800 event r a modify
        1500 event r a close-write
        1700 event r a open",
        "1700 spawn 1 r a:modify,close-write,open",
    );
}

#[test]
fn the_last_rename_is_the_one_that_is_told() {
    check(
        &["r on=rename,modify debounce=10ms"],
        "
        0 event r b rename from=a
        1 event r b modify
        2 event r b rename from=c
        3 event r b modify",
        "13 spawn 1 r b:modify,rename<c",
    );
}

#[test]
fn an_event_at_the_very_moment_of_the_run_gets_another_run() {
    check(
        &["r debounce=100ms"],
        "
        0 event r a
        100 event r a
        100 exit 1 0",
        "
        100 spawn 1 r a
        100 end 1 exit:0
        200 spawn 2 r a",
    );
}
