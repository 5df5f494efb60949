//! Whose rights a command has: exactly those that its rule names, or it does not start. Needs root.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use facron::engine::Exit;
use facron::rule::Rule;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::common;
use crate::supervised::*;

/// Users by name with the number of groups that name them as a member.
const USERS: &[(&str, u32, u32)] = &[
    ("none", 70_000, 0),
    ("one", 70_001, 1),
    ("sixteen", 70_002, 16),
    ("seventeen", 70_003, 17),
    ("thousand", 70_004, 1_023),
    ("thousand-and-one", 70_005, 1_024),
    ("very-many", 70_006, 65_535),
];

/// The primary group of all of them; it has no entry.
const PRIMARY: u32 = 80_000;

/// The first of the groups that have members.
const FIRST: u32 = 100_000;

/// A user database of this thread's own: private mounts over /etc/passwd and /etc/group.
fn own_user_database(directory: &Path) {
    unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace");
    let nothing = None::<&str>;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing).expect("made private");
    let mut passwd = "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/nonexistent:\n".to_owned();
    let mut group = "root:x:0:\nextra:x:90000:\n".to_owned();
    for (name, uid, _) in USERS {
        writeln!(passwd, "{name}:x:{uid}:{PRIMARY}::/home/{name}:/bin/{name}-shell").expect("a String");
    }
    for number in 0..65_535 {
        let members: Vec<&str> =
            USERS.iter().filter(|(.., count)| number < *count).map(|(name, ..)| *name).collect();
        writeln!(group, "g{number}:x:{}:{}", FIRST + number, members.join(",")).expect("a String");
    }
    for (name, text) in [("passwd", passwd), ("group", group)] {
        let path = directory.join(name);
        fs::write(&path, text).expect("written");
        let target = format!("/etc/{name}");
        mount(Some(&path), target.as_str(), nothing, MsFlags::MS_BIND, nothing).expect("mounted over");
    }
}

/// What a command says of itself, as `Uid: 0 0 0 0` and the like; written to a file, since it can be long.
fn state_of(supervised: &mut Supervised, directory: &Path, keys: &str) -> BTreeMap<String, String> {
    let file = directory.join("state");
    let text = "cat /proc/self/status; env; echo umask: $(umask); pwd | sed s/^/cwd:/";
    let mut rule = script(text, keys);
    rule.setting.output = facron::rule::Output::File(file.clone());
    assert_eq!(supervised.run(rule).exit, Exit::Code(0));
    let text = fs::read_to_string(&file).expect("it has written");
    fs::remove_file(&file).expect("removed");
    let pairs = text.lines().filter_map(|line| line.split_once([':', '=']));
    pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

fn numbers(text: &str) -> Vec<u32> {
    text.split_whitespace().map(|number| number.parse().expect("a number")).collect()
}

fn refusal_of(supervised: &mut Supervised, rule: Rule) -> String {
    let failure = supervised.start(rule).expect_err("it is refused");
    assert_eq!(failure.class.as_str(), "identity", "{failure:?}");
    assert!(!failure.is_transient);
    failure.message
}

#[test]
fn a_command_has_exactly_the_ids_of_its_user_however_many_groups_that_has() {
    if !common::require_root("a_command_has_exactly_the_ids_of_its_user_however_many_groups_that_has") {
        return;
    }
    let directory = tempfile::tempdir_in("/run").expect("a directory");
    own_user_database(directory.path());
    let mut supervised = Supervised::new();
    for (name, uid, count) in USERS {
        for user in [format!("'{name}'"), format!("'{uid}'")] {
            let state = state_of(&mut supervised, directory.path(), &format!("user = {user}"));
            assert_eq!(numbers(&state["Uid"]), [*uid; 4], "{name}");
            assert_eq!(numbers(&state["Gid"]), [PRIMARY; 4], "{name}");
            let groups: BTreeSet<u32> = numbers(&state["Groups"]).into_iter().collect();
            let expected: BTreeSet<u32> = (FIRST..FIRST + count).chain([PRIMARY]).collect();
            assert!(groups == expected, "{name} has {} groups instead of {}", groups.len(), expected.len());
            for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
                assert_eq!(state[set], "0000000000000000", "{name}: {set}");
            }
            assert_eq!(state["NoNewPrivs"], "1");
            for (variable, value) in [("USER", *name), ("LOGNAME", *name), ("HOME", &format!("/home/{name}"))]
            {
                assert_eq!(state[variable], value);
            }
            assert_eq!(state["SHELL"], format!("/bin/{name}-shell"));
        }
    }
}

#[test]
fn root_is_only_who_is_named_root_or_nobody_else() {
    if !common::require_root("root_is_only_who_is_named_root_or_nobody_else") {
        return;
    }
    let directory = tempfile::tempdir_in("/run").expect("a directory");
    own_user_database(directory.path());
    let mut supervised = Supervised::new();
    for (keys, no_new_privs) in [("", "0"), ("user = 'root'", "1"), ("user = '0'\nno-new-privs = false", "0")]
    {
        let state = state_of(&mut supervised, directory.path(), keys);
        assert_eq!(numbers(&state["Uid"]), [0; 4], "{keys}");
        assert_ne!(state["CapEff"], "0000000000000000", "{keys}");
        assert_eq!(state["NoNewPrivs"], no_new_privs, "{keys}");
        assert_eq!((state["USER"].as_str(), state["HOME"].as_str()), ("root", "/root"), "{keys}");
    }
}

#[test]
fn a_group_takes_the_place_of_the_primary_one_and_the_others_stay() {
    if !common::require_root("a_group_takes_the_place_of_the_primary_one_and_the_others_stay") {
        return;
    }
    let directory = tempfile::tempdir_in("/run").expect("a directory");
    own_user_database(directory.path());
    let mut supervised = Supervised::new();
    let state = state_of(&mut supervised, directory.path(), "user = 'one'\ngroup = 'extra'");
    assert_eq!(numbers(&state["Gid"]), [90_000; 4]);
    let groups: BTreeSet<u32> = numbers(&state["Groups"]).into_iter().collect();
    assert_eq!(groups, BTreeSet::from([90_000, FIRST]));
    // One that the user database does not know has the group that is said, and no other.
    let state = state_of(&mut supervised, directory.path(), "user = '71234'\ngroup = '71235'");
    assert_eq!(numbers(&state["Uid"]), [71_234; 4]);
    assert_eq!(numbers(&state["Gid"]), [71_235; 4]);
    assert_eq!(numbers(&state["Groups"]), [71_235]);
    assert_eq!((state["USER"].as_str(), state["HOME"].as_str()), ("71234", "/"));
}

#[test]
fn who_does_not_exist_is_not_replaced_by_anybody() {
    if !common::require_root("who_does_not_exist_is_not_replaced_by_anybody") {
        return;
    }
    let directory = tempfile::tempdir_in("/run").expect("a directory");
    own_user_database(directory.path());
    let mut supervised = Supervised::new();
    let unknown = |keys: &str| rule(&["/bin/true"], keys);
    assert_eq!(refusal_of(&mut supervised, unknown("user = 'stranger'")), "there is no user stranger");
    let message = refusal_of(&mut supervised, unknown("user = '71234'"));
    assert!(message.contains("not in the user database") && message.contains("`group`"), "{message}");
    let message = refusal_of(&mut supervised, unknown("user = 'one'\ngroup = 'strangers'"));
    assert_eq!(message, "there is no group strangers");
    // One that goes while the daemon runs.
    assert_eq!(supervised.run(unknown("user = 'one'")).exit, Exit::Code(0));
    fs::write("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n").expect("this thread's own file");
    assert_eq!(refusal_of(&mut supervised, unknown("user = 'one'")), "there is no user one");
}

#[test]
fn a_daemon_that_is_not_root_can_only_be_itself() {
    if !common::require_root("a_daemon_that_is_not_root_can_only_be_itself") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    own_user_database(directory.path());
    become_nobody_in_this_thread();
    let mut supervised = Supervised::new();
    let message = refusal_of(&mut supervised, rule(&["/bin/true"], "user = 'root'"));
    assert!(message.contains("not root can only be itself"), "{message}");
    refusal_of(&mut supervised, rule(&["/bin/true"], "user = 'nobody'\ngroup = 'root'"));
    for keys in ["", "user = 'nobody'", "user = '65534'\ngroup = '65534'"] {
        let end = supervised.run(script("id -u; id -g; echo $USER $HOME $SHELL", keys));
        assert_eq!(end.out, "65534\n65534\nnobody /nonexistent /bin/sh\n", "{keys}");
    }
}

/// The ids of a thread are its own; only libc gives all threads the same.
#[expect(unsafe_code, reason = "libc has no call for one thread alone")]
pub fn become_nobody_in_this_thread() {
    const NOBODY: u32 = 65_534;
    // SAFETY: setgroups(2) takes an empty list.
    let groups = unsafe { libc::syscall(libc::SYS_setgroups, 0, 0) };
    // SAFETY: setresgid(2) takes plain numbers.
    let group = unsafe { libc::syscall(libc::SYS_setresgid, NOBODY, NOBODY, NOBODY) };
    // SAFETY: setresuid(2) takes plain numbers.
    let user = unsafe { libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) };
    assert_eq!([groups, group, user], [0; 3]);
}
