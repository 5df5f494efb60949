//! Where a path leads changes: links are switched, directories replaced, file systems mounted and unmounted.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use facron::event::{EventMask, Origin};
use nix::mount::{MsFlags, mount};

use crate::common::{require, require_root};
use crate::ground::{Ground, can, is_user, shell, unmount};
use crate::kit::{Watched, rule};

/// As deploys and Kubernetes do it: another link is made and moved over.
fn switch(link: &Path, target: &str) {
    let other = link.with_file_name("other");
    symlink(target, &other).expect("a link");
    fs::rename(&other, link).expect("switched");
}

fn a_switched_link() {
    let ground = Ground::new();
    for release in ["1", "2"] {
        fs::create_dir_all(ground.at(format!("releases/{release}/sub"))).expect("directories");
        fs::write(ground.at(format!("releases/{release}/sub/f")), release).expect("a file");
    }
    symlink("releases/1", ground.at("current")).expect("a link");
    let path = ground.at("current");
    let mut watched = Watched::new(&rule(&path, "scope = 'tree'"));
    fs::write(ground.at("releases/1/g"), "x").expect("a file");
    watched.expect(EventMask::ARRIVED, &path.join("g"));
    watched.quiet();
    watched.forget();
    switch(&path, "releases/2");
    watched.expect(EventMask::ARRIVED, &path.join("sub/f"));
    watched.forget();
    fs::write(ground.at("releases/2/sub/h"), "x").expect("a file");
    watched.expect(EventMask::ARRIVED, &path.join("sub/h"));
    fs::write(ground.at("releases/1/sub/h"), "x").expect("a file");
    watched.quiet();
    assert_eq!(watched.events().count(), 1, "the old one is watched no more: {:#?}", watched.summary());
}

#[test]
fn a_switched_link_is_followed() {
    a_switched_link();
}

#[test]
fn a_switched_link_is_followed_for_a_user() {
    if is_user("ways::a_switched_link_is_followed_for_a_user") {
        a_switched_link();
    }
}

#[test]
fn a_file_behind_two_links_fires_once_when_the_directory_is_switched() {
    let ground = Ground::new();
    for version in ["..1", "..2", "..3"] {
        fs::create_dir(ground.at(version)).expect("a directory");
    }
    fs::write(ground.at("..1/app.conf"), "1").expect("a file");
    fs::write(ground.at("..2/app.conf"), "2").expect("a file");
    symlink("..1", ground.at("..data")).expect("a link");
    symlink("..data/app.conf", ground.at("app.conf")).expect("a link");
    let path = ground.at("app.conf");
    let mut watched = Watched::new(&rule(&path, ""));
    switch(&ground.at("..data"), "..2");
    watched.expect(EventMask::ARRIVED, &path);
    watched.quiet();
    assert_eq!(watched.events().count(), 1, "{:#?}", watched.summary());
    watched.forget();
    switch(&ground.at("..data"), "..3");
    watched.expect(EventMask::DELETE, &path);
    fs::write(ground.at("..3/app.conf"), "3").expect("a file");
    watched.expect(EventMask::ARRIVED, &path);
}

#[test]
fn a_directory_on_the_way_that_is_moved_away_and_back_is_noticed() {
    let ground = Ground::new();
    fs::create_dir_all(ground.at("a/b/in")).expect("directories");
    fs::write(ground.at("a/b/in/old"), "x").expect("a file");
    // What was there before must be older than the slack of a rescan.
    shell("touch -d '1 hour ago' \"$1\"", &[&ground.at("a/b/in/old")]);
    let path = ground.at("a/b/in");
    let mut watched = Watched::new(&rule(&path, "scope = 'tree'"));
    watched.forget();
    fs::rename(ground.at("a/b"), ground.at("elsewhere")).expect("moved");
    watched.until("waiting", |watched| watched.standing() == "waiting");
    fs::write(ground.at("elsewhere/in/f"), "x").expect("a file");
    watched.quiet();
    assert_eq!(watched.events().count(), 0, "{:#?}", watched.summary());
    fs::rename(ground.at("elsewhere"), ground.at("a/b")).expect("moved back");
    watched.expect(EventMask::ARRIVED, &path.join("f"));
    assert!(watched.events().all(|event| event.origin == Origin::Rescan), "{:#?}", watched.summary());
    watched.until("directories", |watched| watched.standing() == "directories");
    fs::write(path.join("g"), "x").expect("a file");
    watched.expect(EventMask::ARRIVED, &path.join("g"));
}

/// With and without a mark on the directory above, which tells of a directory's going before it does itself.
#[test]
fn a_directory_on_the_way_that_another_takes_the_place_of_is_quiet() {
    for others in ["", "missing/x"] {
        let ground = Ground::new();
        fs::create_dir(ground.at("A")).expect("a directory");
        fs::write(ground.at("A/conf"), "1").expect("a file");
        let path = ground.at("A/conf");
        let mut rules = rule(&path, "");
        if !others.is_empty() {
            rules += &rule(&ground.at(others), "").replace("'r'", "'other'");
        }
        let mut watched = Watched::new(&rules);
        fs::rename(ground.at("A"), ground.at("A.old")).expect("moved");
        fs::create_dir(ground.at("A")).expect("a directory");
        fs::write(&path, "2").expect("a file");
        watched.expect(EventMask::ARRIVED, &path);
        watched.quiet();
        watched.forget();
        fs::write(ground.at("A.old/conf"), "3").expect("a file");
        watched.quiet();
        assert_eq!(watched.events().count(), 0, "{:#?}", watched.summary());
        fs::write(&path, "4").expect("a file");
        watched.expect(EventMask::ARRIVED, &path);
    }
}

#[test]
fn a_rule_whose_directory_is_replaced_beside_the_file_of_another_rule_goes_on() {
    let ground = Ground::new();
    for directory in ["app/in", "app.new/in"] {
        fs::create_dir_all(ground.at(directory)).expect("directories");
    }
    fs::write(ground.at("app.new/in/f"), "x").expect("a file");
    fs::write(ground.at("conf"), "x").expect("a file");
    let path = ground.at("app/in");
    let rules = format!("{}{}", rule(&path, ""), rule(&ground.at("conf"), "").replace("'r'", "'conf'"));
    let mut watched = Watched::new(&rules);
    fs::rename(ground.at("app"), ground.at("app.old")).expect("moved away");
    fs::rename(ground.at("app.new"), ground.at("app")).expect("moved there");
    watched.expect(EventMask::ARRIVED, &path.join("f"));
    fs::write(path.join("g"), "x").expect("a file");
    watched.expect(EventMask::ARRIVED, &path.join("g"));
}

#[test]
fn a_directory_tells_of_its_own_going_beside_what_is_told_of_its_name() {
    let ground = Ground::new();
    for directory in ["a", "b", "tree/x", "out"] {
        fs::create_dir_all(ground.at(directory)).expect("directories");
    }
    fs::write(ground.at("conf"), "x").expect("a file");
    let keys = ["on = 'move-self'\ndirs = true", "scope = 'self'\non = ['change', 'move-self']\ndirs = true"];
    let rules = format!(
        "{}{}{}{}",
        rule(&ground.at("a"), keys[0]).replace("'r'", "'a'"),
        rule(&ground.at("b"), keys[1]).replace("'r'", "'b'"),
        rule(&ground.at("tree"), "scope = 'tree'\non = 'move-self'\ndirs = true").replace("'r'", "'tree'"),
        rule(&ground.at("conf"), "").replace("'r'", "'conf'")
    );
    let mut watched = Watched::new(&rules);
    for (from, to) in [("a", "z"), ("b", "y"), ("tree/x", "out/x")] {
        fs::rename(ground.at(from), ground.at(to)).expect("moved");
        watched.expect(EventMask::MOVE_SELF, &ground.at(from));
    }
}

#[test]
fn a_file_that_becomes_a_directory_and_a_file_again_is_watched_as_what_it_is() {
    let ground = Ground::new();
    let path = ground.at("x");
    fs::write(&path, "x").expect("a file");
    let mut watched = Watched::new(&rule(&path, ""));
    assert_eq!(watched.standing(), "parent");
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("a directory");
    watched.until("directory", |watched| watched.standing() == "directory");
    fs::write(path.join("f"), "x").expect("a file");
    watched.expect(EventMask::ARRIVED, &path.join("f"));
    fs::remove_dir_all(&path).expect("removed");
    fs::write(&path, "x").expect("a file");
    watched.expect(EventMask::ARRIVED, &path);
    watched.until("parent", |watched| watched.standing() == "parent");
}

fn tmpfs(target: &Path) {
    mount(Some("test"), target, Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("a tmpfs");
}

#[test]
fn a_file_system_is_watched_whenever_it_is_mounted_and_can_always_be_unmounted() {
    if !require_root("a_file_system_is_watched_whenever_it_is_mounted_and_can_always_be_unmounted") {
        return;
    }
    for mark in ["directories", "filesystem"] {
        let mut ground = Ground::new();
        let point = ground.at("point");
        fs::create_dir(&point).expect("a directory");
        ground.mounted(&point);
        let path = point.join("in");
        let mut watched = Watched::new(&rule(&path, &format!("scope = 'tree'\nmark = '{mark}'")));
        assert_eq!(watched.standing(), "waiting");
        for round in 0..3 {
            watched.forget();
            tmpfs(&point);
            fs::create_dir(&path).expect("a directory");
            fs::write(path.join("f"), "x").expect("a file");
            watched.expect(EventMask::ARRIVED, &path.join("f"));
            watched.until(mark, |watched| watched.standing() == mark);
            fs::create_dir(path.join("sub")).expect("a directory");
            fs::write(path.join("sub/g"), "x").expect("a file");
            watched.expect(EventMask::ARRIVED, &path.join("sub/g"));
            watched.quiet();
            unmount(&point);
            watched.until(&format!("waiting, round {round}"), |watched| watched.standing() == "waiting");
        }
    }
}

#[test]
fn a_mount_over_the_path_and_below_it_is_noticed() {
    if !require_root("a_mount_over_the_path_and_below_it_is_noticed") {
        return;
    }
    for mark in ["directories", "filesystem"] {
        let mut ground = Ground::new();
        let path = ground.at("in");
        fs::create_dir_all(path.join("sub")).expect("directories");
        let mut watched = Watched::new(&rule(&path, &format!("scope = 'tree'\nmark = '{mark}'")));
        let below = path.join("sub");
        ground.mounted(&below);
        tmpfs(&below);
        fs::write(below.join("f"), "x").expect("a file");
        watched.expect(EventMask::ARRIVED, &below.join("f"));
        watched.quiet();
        watched.forget();
        fs::write(below.join("g"), "x").expect("a file");
        watched.expect(EventMask::ARRIVED, &below.join("g"));
        watched.quiet();
        unmount(&below);
        watched.quiet();
        fs::write(below.join("h"), "x").expect("a file");
        watched.expect(EventMask::ARRIVED, &below.join("h"));
        ground.mounted(&path);
        tmpfs(&path);
        fs::write(path.join("over"), "x").expect("a file");
        watched.expect(EventMask::ARRIVED, &path.join("over"));
        watched.quiet();
        unmount(&path);
        watched.quiet();
        watched.forget();
        fs::write(path.join("sub/i"), "x").expect("a file");
        watched.expect(EventMask::ARRIVED, &path.join("sub/i"));
    }
}

#[test]
fn a_mount_over_the_way_that_is_gone_at_once_leaves_the_tree_watched() {
    if !require_root("a_mount_over_the_way_that_is_gone_at_once_leaves_the_tree_watched") {
        return;
    }
    let mut ground = Ground::new();
    let point = ground.at("point");
    for directory in ["point", "other"] {
        fs::create_dir(ground.at(directory)).expect("a directory");
    }
    ground.mounted(&point);
    tmpfs(&point);
    fs::create_dir_all(point.join("in/sub")).expect("directories");
    let keys = "scope = 'tree'\nmark = 'directories'";
    let mut watched = Watched::new(&rule(&point.join("in"), keys));
    for round in 0..200 {
        mount(Some(&ground.at("other")), &point, None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .expect("a mount");
        std::thread::sleep(std::time::Duration::from_micros(round * 7 % 1500));
        nix::mount::umount2(&point, nix::mount::MntFlags::MNT_DETACH).expect("unmounted");
        for _ in 0..5 {
            watched.turn(std::time::Duration::from_millis(2));
        }
        let path = point.join(format!("in/sub/f{round}"));
        fs::write(&path, "x").expect("a file");
        watched.expect(EventMask::ARRIVED, &path);
    }
}

#[test]
fn what_is_mounted_in_a_directory_is_watched_where_that_is_moved() {
    if !require_root("what_is_mounted_in_a_directory_is_watched_where_that_is_moved") {
        return;
    }
    for mark in ["directories", "filesystem"] {
        let mut ground = Ground::new();
        let tree = ground.at("tree");
        fs::create_dir_all(tree.join("a/mnt")).expect("directories");
        ground.mounted(&tree.join("b/mnt"));
        tmpfs(&tree.join("a/mnt"));
        fs::create_dir(tree.join("a/mnt/s")).expect("a directory");
        let mut watched = Watched::new(&rule(&tree, &format!("scope = 'tree'\nmark = '{mark}'")));
        fs::rename(tree.join("a"), tree.join("b")).expect("moved");
        watched.quiet();
        fs::write(tree.join("b/mnt/s/f"), "x").expect("a file");
        watched.expect(EventMask::ARRIVED, &tree.join("b/mnt/s/f"));
        watched.quiet();
        fs::write(tree.join("b/mnt/g"), "x").expect("a file");
        watched.expect(EventMask::ARRIVED, &tree.join("b/mnt/g"));
    }
}

#[test]
fn one_directory_at_two_places_is_told_at_both() {
    if !require_root("one_directory_at_two_places_is_told_at_both") {
        return;
    }
    for mark in ["directories", "filesystem"] {
        let mut ground = Ground::new();
        let (one, other) = (ground.at("one"), ground.at("other"));
        fs::create_dir_all(one.join("sub")).expect("directories");
        fs::create_dir(&other).expect("a directory");
        ground.mounted(&other);
        mount(Some(&one), &other, None::<&str>, MsFlags::MS_BIND, None::<&str>).expect("a bind mount");
        let keys = format!("scope = 'tree'\nmark = '{mark}'");
        let rules = format!("{}{}", rule(&one, &keys), rule(&other, &keys).replace("'r'", "'s'"));
        let mut watched = Watched::new(&rules);
        fs::write(one.join("sub/f"), "x").expect("a file");
        watched.expect(EventMask::ARRIVED, &one.join("sub/f"));
        watched.expect(EventMask::ARRIVED, &other.join("sub/f"));
        fs::write(other.join("sub/g"), "x").expect("a file");
        watched.expect(EventMask::ARRIVED, &one.join("sub/g"));
        watched.quiet();
        unmount(&other);
        watched.quiet();
        watched.forget();
        fs::write(one.join("sub/h"), "x").expect("a file");
        watched.expect(EventMask::ARRIVED, &one.join("sub/h"));
        watched.quiet();
        assert_eq!(watched.events().count(), 1, "{mark} {:#?}", watched.summary());
    }
}

/// The kernel has one mark for a directory, through whichever mounts it is seen.
#[test]
fn a_rule_that_goes_leaves_what_another_sees_through_another_mount() {
    if !require_root("a_rule_that_goes_leaves_what_another_sees_through_another_mount") {
        return;
    }
    for scope in ["tree", "children"] {
        let mut ground = Ground::new();
        let (one, other) = (ground.at("one"), ground.at("mounted"));
        fs::create_dir_all(one.join("sub")).expect("directories");
        fs::create_dir(&other).expect("a directory");
        ground.mounted(&other);
        mount(Some(&one), &other, None::<&str>, MsFlags::MS_BIND, None::<&str>).expect("a bind mount");
        symlink(&other, ground.at("link")).expect("a link");
        let keys = format!("scope = '{scope}'\nmark = 'directories'");
        let keys = if scope == "tree" { keys } else { String::new() };
        let of_one = rule(&one, &keys);
        let of_link = rule(&ground.at("link"), &keys).replace("'r'", "'s'");
        let below = if scope == "tree" { one.join("sub") } else { one.clone() };
        let mut watched = Watched::new(&format!("{of_one}{of_link}"));
        fs::create_dir(ground.at("else")).expect("a directory");
        switch(&ground.at("link"), "else");
        watched.quiet();
        fs::write(below.join("f"), "x").expect("a file");
        watched.expect(EventMask::ARRIVED, &below.join("f"));
        switch(&ground.at("link"), "mounted");
        watched.quiet();
        watched.set_rules(&of_one);
        watched.quiet();
        fs::write(below.join("g"), "x").expect("a file");
        watched.expect(EventMask::ARRIVED, &below.join("g"));
    }
}

#[test]
fn a_path_that_may_not_be_entered_is_told_and_tried_again() {
    if !is_user("ways::a_path_that_may_not_be_entered_is_told_and_tried_again") {
        return;
    }
    let ground = Ground::new();
    let path = ground.at("shut/in");
    fs::create_dir_all(&path).expect("directories");
    shell("chmod 0 \"$1\"", &[&ground.at("shut")]);
    let mut watched = Watched::new(&rule(&path, ""));
    assert!(watched.standing().contains("ermission denied"), "{}", watched.standing());
    shell("chmod 755 \"$1\"", &[&ground.at("shut")]);
    watched.until("directory", |watched| watched.standing() == "directory");
    fs::write(path.join("f"), "x").expect("a file");
    watched.expect(EventMask::ARRIVED, &path.join("f"));
}

/// A FUSE server that answers until it is stopped.
struct Server {
    child: std::process::Child,
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "a test is nobody's daemon")]
    fn start(base: &Path, point: &Path) -> Server {
        let child =
            std::process::Command::new("bindfs").arg("-f").arg(base).arg(point).spawn().expect("bindfs");
        let server = Server { child };
        let mounted = || {
            fs::read_to_string("/proc/self/mountinfo")
                .is_ok_and(|text| text.contains(&format!(" {} ", point.display())))
        };
        for _ in 0..500 {
            if mounted() {
                return server;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("bindfs does not mount {}", point.display());
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).expect("it lives");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Killed, so that nothing waits for its answers any more.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_hung_file_system_degrades_its_own_rule_only() {
    let name = "a_hung_file_system_degrades_its_own_rule_only";
    if !require_root(name) || !require(name, "bindfs", can("bindfs")) {
        return;
    }
    let mut ground = Ground::new();
    for directory in ["base/in/deep", "point", "local"] {
        fs::create_dir_all(ground.at(directory)).expect("directories");
    }
    ground.mounted(&ground.at("point"));
    let server = Server::start(&ground.at("base"), &ground.at("point"));
    let hung = ground.at("point/in");
    server.signal(nix::sys::signal::Signal::SIGSTOP);
    let rules = format!(
        "{}{}",
        rule(&hung, "scope = 'tree'"),
        rule(&ground.at("local"), "scope = 'tree'").replace("'r'", "'local'")
    );
    let begin = facron::sys::clock::monotonic();
    let mut watched = Watched::start(&rules);
    watched.until("local", |watched| watched.standing_of(1) == "directories");
    assert!(facron::sys::clock::monotonic().since(begin).as_secs() < 4, "the hung one held up the other");
    fs::write(ground.at("local/f"), "x").expect("a file");
    watched.expect(EventMask::ARRIVED, &ground.at("local/f"));
    watched.until("degraded", |watched| watched.standing_of(0).contains("does not answer"));
    watched.until("settled", |watched| {
        watched.notices.iter().any(|notice| matches!(notice, facron::monitor::Notice::Settled))
    });
    // So that the way there is followed once more, while the walk that marks the tree has only begun.
    fs::create_dir(ground.at("beside")).expect("a directory");
    ground.mount("facron-test", &ground.at("beside"), "tmpfs", MsFlags::empty(), None);
    server.signal(nix::sys::signal::Signal::SIGCONT);
    watched.until("armed", |watched| watched.standing_of(0) == "directories");
    fs::write(hung.join("deep/f"), "x").expect("a file");
    watched.expect(EventMask::ARRIVED, &hung.join("deep/f"));
    server.signal(nix::sys::signal::Signal::SIGSTOP);
    fs::write(ground.at("local/g"), "x").expect("a file");
    watched.expect(EventMask::ARRIVED, &ground.at("local/g"));
    // The end of the monitor does not wait for it either.
    drop(watched);
}

/// What a rule on a link to a file is told of what is done to the link.
fn of_a_link(watched: &mut Watched, act: impl FnOnce()) -> Vec<String> {
    watched.quiet();
    watched.forget();
    act();
    watched.quiet();
    watched.events().map(|event| format!("{} {}", event.mask, event.is_dir)).collect()
}

#[test]
fn a_link_to_a_file_is_an_entry_like_any_other() {
    let ground = Ground::new();
    fs::create_dir(ground.at("links")).expect("a directory");
    for target in ["links/t", "t"] {
        fs::write(ground.at(target), "x").expect("a file");
        // What is told of a file that changed with the link is told twice.
        std::thread::sleep(std::time::Duration::from_millis(20));
        let target = &ground.at(target);
        let (path, other) = (&ground.at("links/l"), &ground.at("links/l2"));
        symlink(target, path).expect("a link");
        let keys = "on = ['arrived', 'delete', 'moved-from']";
        let mut watched = Watched::new(&rule(path, keys));
        let told = of_a_link(&mut watched, || fs::remove_file(path).expect("removed"));
        assert_eq!(told, ["delete false"]);
        let told = of_a_link(&mut watched, || symlink(target, path).expect("a link"));
        assert_eq!(told, ["arrived false"]);
        let told = of_a_link(&mut watched, || fs::rename(path, other).expect("moved"));
        assert_eq!(told, ["moved-from false"]);
        let told = of_a_link(&mut watched, || fs::rename(other, path).expect("moved"));
        assert_eq!(told, ["arrived false"]);
        for _ in 0..4 {
            let told = of_a_link(&mut watched, || {
                fs::remove_file(path).expect("removed");
                symlink(target, path).expect("a link");
            });
            assert_eq!(told.join(" ").matches("arrived").count(), 1, "{told:?}");
            assert_eq!(told.join(" ").matches("delete").count(), 1, "{told:?}");
        }
        let told = of_a_link(&mut watched, || fs::write(target, "y").expect("written"));
        assert_eq!(told, ["arrived false"], "what it leads to is told of as well");
        let told = of_a_link(&mut watched, || fs::remove_file(target).expect("removed"));
        assert_eq!(told, ["delete false"]);
        let told = of_a_link(&mut watched, || fs::write(target, "y").expect("made"));
        assert_eq!(told, ["arrived false"]);
        watched.set_rules(&rule(path, "on = 'rename'"));
        let told = of_a_link(&mut watched, || fs::rename(path, other).expect("moved"));
        assert_eq!(told, ["rename false"]);
        fs::remove_file(other).expect("removed");
        fs::remove_file(target).expect("removed");
    }
}

#[test]
fn what_changed_in_a_directory_that_is_moved_away_and_back_at_once_is_found() {
    let ground = Ground::new();
    fs::create_dir_all(ground.at("in")).expect("a directory");
    let path = ground.at("in");
    let mut watched = Watched::new(&rule(&path, ""));
    for round in 0..20 {
        fs::rename(&path, ground.at("elsewhere")).expect("moved");
        fs::write(ground.at(format!("elsewhere/f{round}")), "x").expect("a file");
        fs::rename(ground.at("elsewhere"), &path).expect("moved back");
        watched.expect(EventMask::ARRIVED, &path.join(format!("f{round}")));
    }
    watched.quiet();
    watched.forget();
    // The events of the move itself are all that is told of these: the file was written by its other name.
    fs::create_dir(ground.at("out")).expect("a directory");
    fs::hard_link(path.join("f0"), ground.at("out/f0")).expect("a link");
    watched.quiet();
    watched.forget();
    fs::rename(&path, ground.at("elsewhere")).expect("moved");
    fs::write(ground.at("out/f0"), "y").expect("written");
    fs::rename(ground.at("elsewhere"), &path).expect("moved back");
    watched.expect(EventMask::ARRIVED, &path.join("f0"));
}

#[test]
fn a_rescan_of_a_hung_file_system_is_made_up_for_when_it_answers_again() {
    let name = "a_rescan_of_a_hung_file_system_is_made_up_for_when_it_answers_again";
    if !require_root(name) || !require(name, "bindfs", can("bindfs")) {
        return;
    }
    let mut ground = Ground::new();
    for directory in ["base/in", "point"] {
        fs::create_dir_all(ground.at(directory)).expect("directories");
    }
    ground.mounted(&ground.at("point"));
    let server = Server::start(&ground.at("base"), &ground.at("point"));
    let path = ground.at("point/in");
    let mut watched = Watched::new(&rule(&path, "scope = 'tree'"));
    server.signal(nix::sys::signal::Signal::SIGSTOP);
    let done = |watched: &Watched| {
        watched.notices.iter().any(|notice| matches!(notice, facron::monitor::Notice::RescanDone { .. }))
    };
    let rule = facron::rule::RuleId(0);
    let later = facron::sys::clock::wall() + std::time::Duration::from_hours(1);
    watched.monitor.rescan(rule, Some(later), Origin::Rescan);
    watched.until("degraded", |watched| watched.standing().contains("does not answer"));
    watched.until("given up", done);
    watched.forget();
    let since = facron::sys::clock::wall();
    fs::write(ground.at("base/in/f"), "x").expect("a file behind its back");
    watched.monitor.rescan(rule, Some(since), Origin::Rescan);
    watched.until("done without it", done);
    assert_eq!(watched.events().count(), 0, "{:#?}", watched.summary());
    server.signal(nix::sys::signal::Signal::SIGCONT);
    watched.expect(EventMask::ARRIVED, &path.join("f"));
}

#[test]
fn a_file_system_that_may_not_answer_leaves_no_group_behind() {
    let name = "a_file_system_that_may_not_answer_leaves_no_group_behind";
    if !require_root(name) || !require(name, "bindfs", can("bindfs")) {
        return;
    }
    let mut ground = Ground::new();
    for directory in ["base/in", "point"] {
        fs::create_dir_all(ground.at(directory)).expect("directories");
    }
    let (base, point) = (ground.at("base"), ground.at("point"));
    ground.mounted(&point);
    let server = Server::start(&base, &point);
    let mut watched = Watched::new(&rule(&point.join("in"), ""));
    assert_eq!(watched.standing(), "directory");
    unmount(&point);
    watched.until("let go", |watched| {
        watched.notices.iter().any(|notice| matches!(notice, facron::monitor::Notice::LetGo { .. }))
    });
    drop(server);
}
