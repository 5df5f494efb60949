//! Reloads in the middle of everything.

use std::fs;
use std::time::{Duration, Instant};

use crate::common::require_root;
use crate::harness::{Place, wait_until};
use crate::history::{Changes, Recorder};
use crate::lives::{Lives, descriptors};

#[test]
fn a_thousand_reloads_in_ten_seconds_with_a_hundred_runs_in_flight() {
    if !require_root("a_thousand_reloads_in_ten_seconds_with_a_hundred_runs_in_flight") {
        return;
    }
    let place = Place::new(0);
    let recorder = Recorder::new(&place, 100, "sleep 12");
    let (input, other) = (place.input(), place.directory("other"));
    let stays = recorder.rule("stays", &input, "concurrency = 100");
    let comes = stays.clone() + &recorder.rule("comes", &other, "debounce = '1h'");
    let daemon_settings = "[daemon]\nconcurrency = 200\n";
    let texts = [
        Some(format!("{daemon_settings}{stays}")),
        Some(format!("{daemon_settings}{comes}")),
        // Broken, cut in the middle, and gone.
        Some(format!("{daemon_settings}{stays}unknown = 1\n")),
        Some(comes[..comes.len() / 2].to_owned()),
        None,
    ];
    let (lives, mut changes) =
        (Lives::begin(&place, texts[0].as_deref().expect("a text")), Changes::default());
    for number in 0..100 {
        changes.write(&input.join(number.to_string()));
    }
    wait_until(|| recorder.history().runs() == 100, || lives.daemon.log());
    let pid = lives.daemon.pid();
    let (before, started) = (descriptors(pid), Instant::now());
    for (number, text) in texts.iter().cycle().take(1000).enumerate() {
        match text {
            Some(text) => drop(place.file("facron.toml", text)),
            None => fs::remove_file(place.path("facron.toml")).expect("it was there"),
        }
        lives.daemon.signal(libc::SIGHUP);
        if number % 10 == 0 {
            changes.write(&input.join((100 + number / 10).to_string()));
        }
        std::thread::sleep(Duration::from_millis(9));
    }
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    place.file("facron.toml", texts[0].as_deref().expect("a text"));
    let reloaded = || lives.daemon.log().matches(" reloaded rules=").count();
    let before_last = reloaded();
    lives.daemon.signal(libc::SIGHUP);
    wait_until(|| reloaded() > before_last, || lives.daemon.log());
    recorder.wait_until_answered(&changes, || lives.daemon.log());
    wait_until(|| recorder.history().ends == 200, || format!("{:?}", recorder.history().ends));
    assert!(lives.daemon.log().contains("reload refused"), "the broken ones were seen too");
    wait_until(
        || descriptors(pid) <= before,
        || format!("{before} descriptors before, {} after", descriptors(pid)),
    );
    let missing = lives.daemon.log().matches("dropped").count();
    assert_eq!(missing, 0, "{}", lives.daemon.log());
}

#[test]
fn what_waits_for_a_rule_outlives_reloads_of_others_and_a_kill() {
    if !require_root("what_waits_for_a_rule_outlives_reloads_of_others_and_a_kill") {
        return;
    }
    let place = Place::new(0);
    let recorder = Recorder::new(&place, 1, "");
    let (input, other) = (place.input(), place.directory("other"));
    let stays = recorder.rule("stays", &input, "debounce = '3s'");
    let (mut lives, mut changes) =
        (Lives::begin(&place, &(stays.clone() + &recorder.rule("goes", &other, ""))), Changes::default());
    for number in 0..10 {
        changes.write(&input.join(number.to_string()));
    }
    std::thread::sleep(Duration::from_millis(300));
    place.file("facron.toml", &stays);
    lives.daemon.signal(libc::SIGHUP);
    lives.daemon.wait_for_log(" reloaded rules=1");
    assert_eq!(recorder.history().runs(), 0, "they still wait");
    lives.kill_and_begin_again();
    recorder.wait_until_answered(&changes, || lives.daemon.log());
}
