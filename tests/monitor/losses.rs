//! Events that were lost, and walks that make good for them.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use facron::event::{EventMask, Origin};
use facron::monitor::Notice;
use facron::rule::RuleId;
use facron::sys::clock;

use crate::common::require_root;
use crate::ground::{Ground, is_user, shell};
use crate::kit::{Watched, rule, rules};

const RULE: RuleId = RuleId(0);

fn rescan(watched: &mut Watched, since: Option<std::time::SystemTime>, origin: Origin) {
    watched.monitor.rescan(RULE, since, origin);
    watched.until("rescanned", |watched| {
        watched.notices.iter().any(|notice| matches!(notice, Notice::RescanDone { rule: RULE, .. }))
    });
}

/// 40 000 files in 40 directories while nobody reads: the queue holds 16 384 events.
fn an_overflow(mark: &str) {
    let ground = Ground::new();
    for number in 0..20 {
        fs::create_dir_all(ground.at(format!("old/{number}"))).expect("directories");
    }
    let keys = format!("scope = 'tree'\non = ['change', 'q-overflow']\nmark = '{mark}'");
    let mut watched = Watched::new(&rule(&ground.path(), &keys));
    watched.forget();
    let script = "d=0; while [ $d -lt 40 ]; do \
        if [ $d -lt 20 ]; then p=\"$1/old/$d\"; else p=\"$1/new/$d\"; mkdir -p \"$p\"; fi; \
        i=0; while [ $i -lt 1000 ]; do : > \"$p/$i\"; i=$((i+1)); done; d=$((d+1)); done";
    shell(script, &[&ground.path()]);
    let expected: BTreeSet<PathBuf> = (0..40)
        .flat_map(|directory| {
            let parent = if directory < 20 { "old" } else { "new" };
            (0..1000).map(move |file| format!("{parent}/{directory}/{file}"))
        })
        .map(|name| ground.at(name))
        .collect();
    watched.until("overflow", |watched| {
        watched.notices.iter().any(|notice| matches!(notice, Notice::Overflow { rules } if *rules == [RULE]))
    });
    assert_eq!(watched.paths(EventMask::Q_OVERFLOW), BTreeSet::from([ground.path()]));
    assert!(
        watched.paths(EventMask::ARRIVED).len() < expected.len(),
        "no event was lost: this tests nothing"
    );
    rescan(&mut watched, None, Origin::Rescan);
    let missing: Vec<_> = expected.difference(&watched.paths(EventMask::ARRIVED)).cloned().collect();
    assert!(missing.is_empty(), "{} are missing: {:?}…", missing.len(), missing.first());
    watched.quiet();
    watched.forget();
    fs::write(ground.at("new/30/later"), "x").expect("a file");
    watched.expect(EventMask::ARRIVED, &ground.at("new/30/later"));
}

#[test]
fn what_an_overflow_lost_is_found() {
    an_overflow("directories");
}

#[test]
fn what_an_overflow_lost_is_found_by_a_mark_on_the_file_system() {
    if require_root("what_an_overflow_lost_is_found_by_a_mark_on_the_file_system") {
        an_overflow("filesystem");
    }
}

#[test]
fn what_an_overflow_lost_is_found_for_a_user() {
    if is_user("losses::what_an_overflow_lost_is_found_for_a_user") {
        an_overflow("directories");
    }
}

#[test]
fn a_rescan_finds_what_changed_and_all_below_a_directory_that_changed() {
    let ground = Ground::new();
    fs::create_dir_all(ground.at("in/old")).expect("directories");
    fs::create_dir_all(ground.at("out/deep/er")).expect("directories");
    fs::write(ground.at("in/old/untouched"), "x").expect("a file");
    fs::write(ground.at("out/deep/er/f"), "x").expect("a file");
    let mut watched = Watched::new(&rule(&ground.at("in"), "scope = 'tree'"));
    // Change times cannot be set; so the test waits for them to be older than the slack.
    std::thread::sleep(Duration::from_millis(2100));
    let since = clock::wall();
    fs::write(ground.at("in/old/new"), "x").expect("a file");
    fs::rename(ground.at("out/deep"), ground.at("in/deep")).expect("moved in");
    watched.expect(EventMask::ARRIVED, &ground.at("in/deep/er/f"));
    watched.quiet();
    watched.forget();
    rescan(&mut watched, Some(since), Origin::CatchUp);
    let found = watched.paths(EventMask::ARRIVED);
    assert!(found.contains(&ground.at("in/old/new")), "{found:?}");
    assert!(found.contains(&ground.at("in/deep/er/f")), "below a directory that was moved: {found:?}");
    assert!(watched.events().all(|event| event.origin == Origin::CatchUp), "{:#?}", watched.summary());
    watched.forget();
    rescan(&mut watched, Some(clock::wall() + Duration::from_secs(10)), Origin::Rescan);
    assert_eq!(watched.events().count(), 0, "{:#?}", watched.summary());
}

#[test]
fn a_file_is_found_by_a_rescan_of_its_own_rule_only() {
    let ground = Ground::new();
    let path = ground.at("f");
    fs::write(&path, "x").expect("a file");
    let rules = format!("{}{}", rule(&path, ""), rule(&path, "").replace("'r'", "'s'"));
    let mut watched = Watched::new(&rules);
    rescan(&mut watched, Some(clock::wall()), Origin::Rescan);
    assert_eq!(watched.events().count(), 1, "{:#?}", watched.summary());
    assert_eq!(watched.count(EventMask::ARRIVED, &path), 1);
}

#[test]
fn a_rule_that_is_compared_every_so_often_sees_what_no_event_tells() {
    let ground = Ground::new();
    fs::create_dir(ground.at("in")).expect("a directory");
    fs::write(ground.at("elsewhere"), "x").expect("a file");
    fs::hard_link(ground.at("elsewhere"), ground.at("in/f")).expect("a link");
    let mut watched = Watched::new(&rule(&ground.at("in"), "rescan = '1s'"));
    watched.quiet();
    watched.forget();
    // By its other name: the directory is told of nothing.
    fs::write(ground.at("elsewhere"), "y").expect("a file");
    watched.expect(EventMask::ARRIVED, &ground.at("in/f"));
    assert!(!watched.notices.iter().any(|notice| matches!(notice, Notice::RescanDone { .. })));
}

/// While nobody hears the surveyor it gets no further with its walk than a few thousand directories: what is not marked
/// by then is still seen by the mark on the file system.
#[test]
fn a_tree_stays_watched_while_it_comes_to_be_watched_another_way() {
    if !require_root("a_tree_stays_watched_while_it_comes_to_be_watched_another_way") {
        return;
    }
    let ground = Ground::new();
    let directory = |number: usize| ground.at(format!("d{number}"));
    (0..6000).for_each(|number| fs::create_dir(directory(number)).expect("a directory"));
    let stays = rule(&ground.path(), "scope = 'tree'\non = 'close-write'\nmark = 'directories'");
    let goes =
        rule(&ground.path(), "scope = 'tree'\non = 'delete'\nmark = 'filesystem'").replace("'r'", "'goes'");
    let mut watched = Watched::new(&format!("{stays}{goes}"));
    assert_eq!(watched.standing(), "filesystem");
    watched.forget();
    watched.rules = rules(&stays);
    watched.monitor.set_rules(&watched.rules);
    std::thread::sleep(Duration::from_millis(500));
    let written: BTreeSet<PathBuf> = (0..6000).map(|number| directory(number).join("f")).collect();
    written.iter().for_each(|path| fs::write(path, "x").expect("a file"));
    let made: BTreeSet<PathBuf> = (0..600).map(|number| directory(10 * number).join("n")).collect();
    made.iter().for_each(|path| fs::create_dir(path).expect("a directory"));
    watched.until("directories", |watched| watched.standing() == "directories");
    watched.quiet();
    let missing = written.difference(&watched.paths(EventMask::CLOSE_WRITE)).count();
    assert_eq!(missing, 0, "files were missed");
    made.iter().for_each(|path| fs::write(path.join("f"), "x").expect("a file"));
    watched.until("files in the new directories", |watched| {
        let told = watched.paths(EventMask::CLOSE_WRITE);
        made.iter().all(|path| told.contains(&path.join("f")))
    });
}

#[test]
fn rules_whose_trees_overlap_are_each_told_of_what_their_own_rescan_finds() {
    let ground = Ground::new();
    fs::create_dir_all(ground.at("in/sub")).expect("directories");
    for number in 0..300 {
        fs::write(ground.at(format!("in/sub/{number}")), "x").expect("a file");
    }
    // Of what changed for it a rule is told in one word where it asks for that; another may ask for others.
    let ons = ["'arrived'", "'arrived'", "'attrib'", "['create', 'modify']", "'arrived'"];
    let places = ["in", "in", "in", "in/sub", "in/sub/7"];
    let rules: String = ons
        .iter()
        .zip(places)
        .enumerate()
        .map(|(id, (on, below))| {
            let scope = if id < 3 { "scope = 'tree'\n" } else { "" };
            rule(&ground.at(below), &format!("{scope}on = {on}")).replace("'r'", &format!("'r{id}'"))
        })
        .collect();
    let mut watched = Watched::new(&rules);
    watched.forget();
    for id in 0..5 {
        watched.monitor.rescan(RuleId(id), Some(std::time::SystemTime::UNIX_EPOCH), Origin::CatchUp);
    }
    watched.until("rescanned", |watched| {
        watched.notices.iter().filter(|notice| matches!(notice, Notice::RescanDone { .. })).count() == 5
    });
    let counts = [0, 1, 2, 3, 4].map(|id| watched.count_of(id));
    assert_eq!(counts, [300, 300, 300, 300, 1], "each rule is told of each file once");
}

#[test]
fn what_came_after_a_walk_was_asked_for_is_found_by_the_next_though_the_first_goes_on() {
    let ground = Ground::new();
    fs::create_dir_all(ground.at("in")).expect("a directory");
    fs::create_dir_all(ground.at("full")).expect("a directory");
    fs::write(ground.at("elsewhere"), "x").expect("a file");
    fs::hard_link(ground.at("elsewhere"), ground.at("in/f")).expect("a link");
    for number in 0..10_000 {
        fs::write(ground.at(format!("full/{number}")), "x").expect("a file");
    }
    let full = rule(&ground.at("full"), "").replace("'r'", "'full'");
    let mut watched = Watched::new(&format!("{}{full}", rule(&ground.at("in"), "")));
    watched.room = |rule| if rule == RULE { usize::MAX } else { 0 };
    watched.monitor.rescan(RuleId(1), Some(std::time::SystemTime::UNIX_EPOCH), Origin::Rescan);
    for round in 0..3 {
        watched.quiet();
        watched.forget();
        // By its other name: the directory is told of nothing.
        fs::write(ground.at("elsewhere"), "y").expect("a file");
        rescan(&mut watched, Some(clock::wall()), Origin::Rescan);
        assert_eq!(watched.count(EventMask::ARRIVED, &ground.at("in/f")), 1, "round {round}");
    }
}

#[test]
fn what_another_rule_was_told_is_told_to_the_rule_whose_link_is_switched_there() {
    let ground = Ground::new();
    for number in 0..=10 {
        fs::create_dir_all(ground.at(format!("releases/{number}"))).expect("directories");
    }
    std::os::unix::fs::symlink("releases/0", ground.at("current")).expect("a link");
    let link = rule(&ground.at("current"), "").replace("'r'", "'link'");
    let mut watched = Watched::new(&format!("{}{link}", rule(&ground.at("releases"), "scope = 'tree'")));
    for number in 1..=10 {
        watched.forget();
        std::os::unix::fs::symlink(format!("releases/{number}"), ground.at("other")).expect("a link");
        fs::rename(ground.at("other"), ground.at("current")).expect("switched");
        let name = format!("f{number}");
        fs::write(ground.at("current").join(&name), "x").expect("a file");
        watched.expect(EventMask::ARRIVED, &ground.at(format!("releases/{number}")).join(&name));
        watched.expect(EventMask::ARRIVED, &ground.at("current").join(&name));
    }
}

#[test]
fn a_file_that_is_still_written_at_the_end_is_owed_to_its_rule_and_not_told_of() {
    let ground = Ground::new();
    fs::create_dir_all(ground.at("in")).expect("a directory");
    let path = ground.at("in/f");
    let mut watched = Watched::new(&rule(&ground.at("in"), ""));
    let writer = fs::File::create(ground.at("elsewhere")).expect("a file");
    fs::hard_link(ground.at("elsewhere"), &path).expect("a link");
    watched.quiet();
    assert_eq!(watched.count(EventMask::ARRIVED, &path), 0, "{:#?}", watched.summary());
    let changed =
        facron::sys::place::status_at(facron::sys::place::ANYWHERE, &path).expect("it is there").changed;
    assert_eq!(watched.monitor.let_go_of_held(), [(RULE, changed)]);
    assert_eq!(watched.count(EventMask::ARRIVED, &path), 0, "{:#?}", watched.summary());
    drop(writer);
}

#[test]
fn a_link_to_a_file_of_another_user_arrives() {
    let foreign = PathBuf::from("/dev/shm/facron-test-file-of-root");
    if nix::unistd::geteuid().is_root() {
        fs::write(&foreign, "x").expect("a file");
        crate::ground::shell("chmod 666 \"$1\"", &[&foreign]);
    }
    if !is_user("losses::a_link_to_a_file_of_another_user_arrives") {
        fs::remove_file(&foreign).expect("removed");
        return;
    }
    let ground = Ground::new();
    let mut watched = Watched::new(&rule(&ground.path(), ""));
    if let Err(error) = fs::hard_link(&foreign, ground.at("f")) {
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "only root can make one: {error}");
        return;
    }
    watched.expect(EventMask::ARRIVED, &ground.at("f"));
}

#[test]
fn a_rule_that_had_no_room_is_told_by_a_rescan_that_goes_back_to_before_that() {
    let ground = Ground::new();
    fs::create_dir_all(ground.at("in")).expect("a directory");
    let path = ground.at("in/f");
    let mut watched = Watched::new(&rule(&ground.at("in"), ""));
    watched.quiet();
    fs::write(&path, "x").expect("a file");
    watched.expect(EventMask::ARRIVED, &path);
    let now = facron::monitor::Now { moment: clock::monotonic(), wall: clock::wall() };
    watched.monitor.owe(RULE, now);
    // Until it is older than the slack, and everything was read many times since.
    std::thread::sleep(Duration::from_millis(2500));
    watched.quiet();
    watched.forget();
    rescan(&mut watched, None, Origin::Rescan);
    assert_eq!(watched.count(EventMask::ARRIVED, &path), 1, "{:#?}", watched.summary());
    watched.forget();
    rescan(&mut watched, None, Origin::Rescan);
    assert_eq!(watched.events().count(), 0, "once: {:#?}", watched.summary());
}

#[test]
fn a_subdirectory_that_is_told_of_alone_is_known_whatever_else_is_trimmed_and_after_an_overflow() {
    let ground = Ground::new();
    fs::create_dir_all(ground.at("top/k/s")).expect("directories");
    fs::create_dir(ground.at("noise")).expect("a directory");
    let stays = rule(&ground.at("top/k"), "dirs = true\non = 'attrib'");
    let goes = rule(&ground.at("top"), "scope = 'tree'").replace("'r'", "'goes'");
    let noise = rule(&ground.at("noise"), "on = 'close-write'").replace("'r'", "'noise'");
    let mut watched = Watched::new(&format!("{stays}{goes}{noise}"));
    watched.set_rules(&format!("{stays}{noise}"));
    watched.quiet();
    shell("chmod 700 \"$1\"", &[&ground.at("top/k/s")]);
    watched.expect(EventMask::ATTRIB, &ground.at("top/k/s"));
    (0..17000).for_each(|number| drop(fs::write(ground.at(format!("noise/{number}")), "x")));
    fs::create_dir(ground.at("top/k/new")).expect("a directory");
    watched.until("overflow", |watched| {
        watched.notices.iter().any(|notice| matches!(notice, Notice::Overflow { .. }))
    });
    watched.quiet();
    shell("chmod 700 \"$1\"", &[&ground.at("top/k/new")]);
    watched.expect(EventMask::ATTRIB, &ground.at("top/k/new"));
}
