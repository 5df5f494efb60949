//! Rule files in, rules and findings out.

use std::path::PathBuf;
use std::time::Duration;

use facron::config::{self, Parsed};
use facron::diagnostic::{Lines, SourceText};
use facron::event::EventMask;
use facron::rule::{Command, Identity, Leftover, On, Output, Resource, Rule, Scope, Stdin};
use facron::template::Template;

fn parse(texts: &[&str]) -> (Parsed, Vec<String>) {
    let sources: Vec<SourceText> = (1..)
        .zip(texts)
        .map(|(number, text)| SourceText { name: format!("{number}.toml").into(), text: (*text).into() })
        .collect();
    let parsed = config::parse(&sources);
    let said = parsed
        .findings
        .iter()
        .map(|finding| {
            let source = &sources[finding.source.expect("about a text")];
            let (line, column) = Lines::new(&source.text).position(finding.span.start);
            format!("{}:{line}:{column} {} {}", source.name, finding.code, finding.message)
        })
        .collect();
    (parsed, said)
}

/// The findings in one file.
fn check(text: &str, expected: &[&str]) {
    let (_, said) = parse(&[text]);
    let said: Vec<&str> = said.iter().map(|line| line.trim_start_matches("1.toml:")).collect();
    assert_eq!(said, expected, "{text}");
}

/// The findings of a rule with these further lines, each without its code; places are those in the lines.
fn check_keys(lines: &str, expected: &[&str]) {
    let text = format!("[[rule]]\nname = \"r\"\npath = \"/srv/in\"\ncommand = [\"/bin/true\"]\n{lines}\n");
    let (_, said) = parse(&[&text]);
    let said: Vec<String> =
        said.iter().map(|line| line[line.find(" F").expect("a code") + 6..].to_owned()).collect();
    assert_eq!(said, expected, "{lines}");
}

/// The one rule of a file with these further lines.
fn rule(lines: &str) -> Rule {
    let text = format!("[[rule]]\nname = \"r\"\npath = \"/srv/in\"\n{lines}\n");
    let (parsed, said) = parse(&[&text]);
    assert_eq!(said, [""; 0], "{lines}");
    (*parsed.rules.rules[0]).clone()
}

#[test]
fn the_rule_of_the_contract_is_read() {
    let (parsed, said) = parse(&["
[defaults]
timeout = \"10m\"

[[rule]]
name = \"reload-nginx\"
path = \"/etc/nginx\"
scope = \"tree\"
include = [\"*.conf\"]
on = \"change\"
command = [\"/usr/sbin/nginx\", \"-s\", \"reload\"]
debounce = \"500ms\"
batch = true
"]);
    assert_eq!(said, [""; 0]);
    let rule = &parsed.rules.rules[0];
    assert_eq!(&*rule.name, "reload-nginx");
    assert_eq!(rule.source.line, 5);
    assert_eq!(rule.watch.paths, [PathBuf::from("/etc/nginx")]);
    assert_eq!(rule.watch.scope, Scope::Tree);
    assert_eq!(rule.watch.filter.include[0].as_str(), "*.conf");
    assert_eq!(rule.watch.on.any.to_string(), "arrived,delete,moved-from");
    assert_eq!(rule.watch.on.any_directory, EventMask::CREATE);
    assert_eq!(rule.gather.debounce, Duration::from_millis(500));
    assert_eq!(rule.gather.batch_bytes_max, None, "its arguments do not grow with the paths");
    assert_eq!(rule.ending.timeout, Some(Duration::from_secs(600)));
}

/// A value for every key that means something else than leaving the key out.
const VALUES: &[(&str, &str)] = &[
    ("description", "'d'"),
    ("scope", "'tree'"),
    ("include", "['*.conf']"),
    ("exclude", "['@temporary', 'build/']"),
    ("dirs", "true"),
    ("on", "['open', ['modify', 'FAN_CLOSE_WRITE']]"),
    ("by-exe", "'/usr/bin/vim'"),
    ("not-by-exe", "['/usr/bin/vim']"),
    ("by-user", "[1000, 'bob']"),
    ("not-by-user", "'1000'"),
    ("ignore-self", "false"),
    ("catch-up", "true"),
    ("rescan", "'1h 30m'"),
    ("on-overflow", "'ignore'"),
    ("mark", "'directories'"),
    ("debounce", "'250ms'"),
    ("max-wait", "'5s'"),
    ("edge", "'leading'"),
    ("batch", "true"),
    ("concurrency", "'unlimited'"),
    ("on-busy", "'restart'"),
    ("queue-limit", "1"),
    ("start-limit", "'10/1m'"),
    ("user", "'nobody'"),
    ("cwd", "'/srv//in/'"),
    ("umask", "'0077'"),
    ("nice", "-5"),
    ("limits", "{ nofile = 1024, as = '1GiB', core = 'unlimited' }"),
    ("env", "{ A = 'b' }"),
    ("inherit-env", "['SSH_AUTH_SOCK']"),
    ("stdin", "'paths0'"),
    ("output", "{ file = '/var/log/x' }"),
    ("no-new-privs", "true"),
    ("timeout", "'10m'"),
    ("stop-signal", "'SIGINT'"),
    ("kill-after", "'1s'"),
    ("contain", "'cgroup'"),
    ("leftover", "'kill'"),
    ("success-codes", "[3, 0, 3]"),
    ("retries", "5"),
    ("retry-delay", "'2s'"),
    ("retry-max-delay", "'2m'"),
    ("on-failure", "'/usr/bin/logger -t \"a b\" {path}'"),
    ("notify", "'never'"),
    ("verdict-default", "'deny'"),
    ("verdict-cache", "'5m'"),
    ("deny-errno", "'EIO'"),
    ("audit", "true"),
];

#[test]
fn every_key_has_an_effect_of_its_own() {
    let plain = rule("command = ['/bin/true']");
    for (key, value) in VALUES {
        let mut changed = rule(&format!("command = ['/bin/true']\n{key} = {value}"));
        assert_ne!(plain, changed, "{key}");
        // … also from [defaults], where it may stand there.
        if *key != "description" {
            let (parsed, said) = parse(&[&format!(
                "[defaults]\n{key} = {value}\n[[rule]]\nname = 'r'\npath = '/srv/in'\ncommand = ['/bin/true']\n"
            )]);
            assert_eq!(said, [""; 0], "{key}");
            changed.source = parsed.rules.rules[0].source.clone();
            assert_eq!(*parsed.rules.rules[0], changed, "{key}");
        }
    }
    // What `check` leaves out is nothing to the rule: a reload keeps what waits and runs.
    assert_eq!(plain, rule("command = ['/bin/true']\nallow = ['F031']"));
    // These need company, or make a rule another one.
    let apart = ["name", "path", "command", "shell", "enabled", "allow", "group", "verdict"];
    for key in config::keys::rule_keys() {
        assert!(
            VALUES.iter().any(|(name, _)| *name == key.name) || apart.contains(&key.name),
            "{}",
            key.name
        );
    }
}

#[test]
fn values_are_read_as_they_are_meant() {
    let rule = rule(
        "command = '/bin/echo \"a b\" {path}'\nuser = 0\ngroup = '0'\nverdict = 'command'\non = 'open-perm'\ntimeout = '1m'\nlimits = { stack = '8M', pids = 5 }\noutput = 'discard'\nstdin = 'file'\ncontain = 'pid-namespace'",
    );
    let Command::Argv(arguments) = &rule.command else { panic!("a command") };
    assert_eq!(arguments[1], Template::literal("a b"));
    assert_eq!(rule.setting.user, Some(Identity::Id(0)));
    assert_eq!(rule.setting.group, Some(Identity::Id(0)));
    assert!(rule.setting.no_new_privs, "with a user");
    assert!(rule.verdict.command);
    assert_eq!(rule.setting.limits[&Resource::Stack], Some(8 << 20));
    assert_eq!((rule.setting.output, rule.setting.stdin), (Output::Discard, Stdin::File));
    assert_eq!(rule.ending.leftover, Leftover::Kill, "a PID namespace implies it");
}

#[test]
fn paths_are_cleaned() {
    let (parsed, said) = parse(&["[[rule]]\nname='r'\npath=['/a//b/./', '/']\ncommand=['/bin/true']"]);
    assert_eq!(said, [""; 0]);
    assert_eq!(parsed.rules.rules[0].watch.paths, [PathBuf::from("/a/b"), PathBuf::from("/")]);
}

#[test]
fn inner_arrays_ask_for_all_of_their_events() {
    let on = rule("command=['/bin/true']\non = ['open', ['modify', 'close-write'], ['attrib']]").watch.on;
    let expected = On {
        any: EventMask::OPEN | EventMask::ATTRIB,
        any_directory: EventMask::EMPTY,
        all_of: vec![EventMask::MODIFY | EventMask::CLOSE_WRITE],
    };
    assert_eq!(on, expected);
}

#[test]
fn a_batch_whose_arguments_grow_has_a_limit() {
    let limit = |lines: &str| rule(lines).gather.batch_bytes_max;
    assert_eq!(limit("command=['/bin/ls', '{path}']\nbatch=true"), None);
    assert_eq!(limit("command=['/bin/ls', '{paths}']"), None);
    let one = limit("command=['/bin/ls', '{paths}']\nbatch=true").expect("a limit");
    assert!((900_000..1 << 20).contains(&one), "{one}");
    let two = limit("command=['/bin/ls', '{paths}', '{paths}']\nbatch=true").expect("a limit");
    assert!(two <= one / 2);
    let shell = limit("shell='ls -- \"$@\"'\nbatch=true").expect("a limit");
    assert!((900_000..1 << 20).contains(&shell), "{shell}");
    let small = limit("shell='ls'\nbatch=true\nlimits={stack='1M'}").expect("a limit");
    assert!(small < 256 << 10, "{small}");
}

#[test]
fn disabled_rules_are_checked_and_not_used() {
    let (parsed, said) = parse(&[
        "[[rule]]\nname='a'\npath='/a'\ncommand=['/bin/true']\nenabled=false\n[[rule]]\nname='a'\npath='x'\nenabled=false",
    ]);
    assert!(parsed.rules.rules.is_empty());
    assert_eq!(parsed.written.len(), 1);
    assert_eq!(
        said,
        [
            "1.toml:6:1 F004 a rule needs a `command` or a `shell`",
            "1.toml:7:6 F016 another rule is called `a`",
            "1.toml:8:6 F010 the path `x` is not absolute",
        ]
    );
}

#[test]
fn twelve_mistakes_are_twelve_findings_in_order() {
    check(
        r#"[daemon]
concurency = 3
[[rule]]
name = "é b"
path = "srv/in"
on = ["close_write", ["change"]]
command = ["/bin/cp", "{pth}", "é{path"]
debounce = 5
[[rule]]
name = "b"
path = ["/x", "/y/../z"]
shell = "rm {path}"
command = []
"#,
        &[
            "2:1 F002 unknown key `concurency`",
            "4:8 F015 a rule's name has no `é`: only A-Z a-z 0-9 . _ -",
            "5:8 F010 the path `srv/in` is not absolute",
            "6:7 F006 unknown event `close_write`",
            "6:23 F007 an inner array asks for all of its events, and `change` is any of several",
            "7:24 F013 unknown placeholder `{pth}`",
            "7:34 F013 a lone `{`",
            "8:12 F008 `debounce` needs a unit of time",
            "11:15 F010 the path `/y/../z` has a `..`, which leads elsewhere where a directory before it is a link",
            "12:13 F014 `{path}` in shell text would run what the file's name says",
            "13:1 F017 a rule has `command` or `shell`, not both",
            "13:11 F012 `command` has no program",
        ],
    );
}

#[test]
fn syntax_errors_do_not_cascade() {
    check(
        "[[rule]]\nname = a\nscope = tree\npath = /srv/in\ntimeout = 10m\ncommand = [\"/bin/true\"]\non = \"nothing\"\n",
        &[
            "2:8 F001 `a` is not quoted",
            "3:9 F001 `tree` is not quoted",
            "4:8 F001 `/srv/in` is not quoted",
            "5:11 F001 `10m` is not quoted",
            "7:6 F006 unknown event `nothing`",
        ],
    );
    check(
        "[[rule]]\nname = \"a\"\non = [\"x\", \"y\"\ntimeout = \"1s\"\n[[rule]]\nname = \"b\"\nx = y\n",
        &["3:6 F001 this array is never closed"],
    );
    check(
        "[[rule]]\nname = \"a\ndebonce = \"1s\"\n",
        &["2:10 F001 this string is never closed", "3:1 F002 unknown key `debonce`"],
    );
    check(
        "a = 'b\nb = \"\"\"x\n",
        &[
            "1:1 F002 unknown key `a` at the top of a file",
            "1:7 F001 this string is never closed",
            "2:1 F002 unknown key `b` at the top of a file",
            "3:1 F001 this string is never closed",
        ],
    );
    check(
        "[[rule]]\nname = 'a'\npath = '/srv/in'\ncomand = ['/bin/true']\n",
        &["4:1 F002 unknown key `comand`"],
    );
    check("[daemon]\nconcurrency = 022\n", &["2:15 F001 a number has no leading zero"]);
    check("[[rule]]\nname = 'a'\nname = 'b'\n", &["3:1 F001 `name` is written twice"]);
    check("[rule]\nname = 'a'\n", &["1:1 F001 there may be any number of rules: `[[rule]]`"]);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_taken() {
    check("\u{feff}[[rule]]\r\nname='a'\r\npath='/a'\r\ncommand='/bin/true'\r\n", &[]);
    check("\u{feff}nme=1", &["1:1 F002 unknown key `nme` at the top of a file"]);
}

#[test]
fn what_is_missing_is_said_at_the_rule() {
    check(
        "\n[[rule]]\n",
        &[
            "2:1 F004 a rule needs a `name`",
            "2:1 F004 a rule needs a `path`",
            "2:1 F004 a rule needs a `command` or a `shell`",
        ],
    );
    check("[[rule]]\nname='a'\npath=[]\ncommand='/bin/true'", &["3:6 F004 a rule needs at least one path"]);
}

#[test]
fn durations_have_units_and_bounds() {
    for (value, expected) in [
        ("'0s'", "`timeout` is at least 1 ms, not `0s`"),
        ("'1us'", "`timeout` is at least 1 ms, not `1us`"),
        ("'-5s'", "`timeout` is not a duration: `-5s`"),
        ("nan", "`timeout` takes a duration such as \"500ms\" or \"10m\", or \"none\", not a fraction"),
        ("'292471208677 years'", "`timeout` is at most 366 days, not `292471208677 years`"),
        ("'367 days'", "`timeout` is at most 366 days, not `367 days`"),
        ("9223372036854775807", "`timeout` needs a unit of time"),
        ("'10'", "`timeout` needs a unit of time"),
        ("'1M'", "`timeout` is not a duration: `M` in `1M` would be a month"),
        ("''", "`timeout` is not a duration: ``"),
        ("'never'", "`timeout` is not a duration: `never`"),
    ] {
        check_keys(&format!("timeout = {value}"), &[expected]);
    }
    for value in ["'1ms'", "'366 days'", "'1h 30m'", "'1.5s'", "'none'"] {
        check_keys(&format!("timeout = {value}"), &[]);
    }
    check_keys("debounce = '0s'", &[]);
    check_keys("debounce = 'none'", &["`debounce` is not a duration: `none`"]);
}

#[test]
fn numbers_have_bounds() {
    for (line, expected) in [
        ("concurrency = 0", "`concurrency` takes a whole number from 1 to 1024, or \"unlimited\""),
        ("concurrency = 4294967295", "`concurrency` takes a whole number from 1 to 1024, or \"unlimited\""),
        ("retries = 18446744073709551615", "`retries` takes a whole number from 0 to 100"),
        ("nice = 20", "`nice` takes a whole number from -20 to 19"),
        ("nice = '5'", "`nice` takes a whole number from -20 to 19, not a string"),
        ("umask = '8'", "`umask` takes an octal number in a string, \"000\" to \"777\""),
        ("umask = '1000'", "`umask` takes an octal number in a string, \"000\" to \"777\""),
        ("umask = 22", "`umask` takes an octal number in a string, \"000\" to \"777\", not a whole number"),
        ("success-codes = [256]", "an exit code is a whole number from 0 to 255"),
        ("start-limit = '0/1s'", "`start-limit` allows 1 to 1000000 starts, not `0`"),
        ("start-limit = '5/9'", "the span of `start-limit` needs a unit of time"),
        ("start-limit = '5'", "`start-limit` takes \"N/DURATION\" such as \"10/1m\", or \"none\", not `5`"),
        ("limits = { nofile = -1 }", "the limit `nofile` takes a whole number, or \"unlimited\""),
        (
            "limits = { as = '1GB' }",
            "the limit `as` takes a size such as \"512M\" or \"1GiB\", or \"unlimited\"",
        ),
        ("limits = { nofiles = 1 }", "unknown resource `nofiles`"),
    ] {
        check_keys(line, &[expected]);
    }
    check_keys("umask = 0o027", &[]);
}

#[test]
fn what_cannot_be_together_is_refused() {
    for (lines, expected) in [
        ("group = 'adm'", "`group` alone would keep the daemon's user"),
        ("batch = true\nstdin = 'file'", "`stdin = \"file\"` gives one file, and `batch` has many"),
        ("verdict = 'command'", "`verdict = \"command\"` decides about permission events only"),
        (
            "on = 'open-perm'\nbatch = true",
            "permission events cannot be gathered: each opener waits for its own answer",
        ),
        ("on = 'open-perm'\nverdict = 'command'", "`verdict = \"command\"` needs a `timeout`"),
        ("on = 'open-perm'\nverdict = 'command'\ntimeout = '61s'", "no opener waits longer than a minute"),
        ("on = ['open-perm', 'open']", "permission events cannot be mixed with `open` in one rule"),
        ("on = [['q-overflow']]", "`q-overflow` is about no path, so it stands alone"),
        (
            "on = [['open-perm', 'access-perm']]",
            "`open-perm,access-perm` cannot be gathered: the opener waits for an answer to each",
        ),
        ("on = []", "a rule without events never fires"),
        ("on = [[]]", "this asks for all of no events"),
        ("env = { 'A=B' = 'x' }", "`A=B` is no name of a variable"),
        ("env = { A = 1 }", "a variable is a string, not a whole number"),
        ("user = ''", "`user` must not be empty; leave the key out for the daemon's own: `''`"),
        ("user = 4294967295", "`user` must be at most 4294967294: `4294967295`"),
        ("user = 0x10", "`user` must be decimal: `0x10`"),
        ("include = ['[a']", "`[a` is no glob: this class is never closed"),
        ("stop-signal = 'TREM'", "unknown signal `TREM`"),
        ("output = '/var/log/x'", "`output` takes \"log\", \"discard\" or { file = PATH }, not `/var/log/x`"),
        (
            "on-failure = ['/bin/sh', '-c', 'echo {path}']",
            "`{path}` in shell text would run what the file's name says",
        ),
    ] {
        check_keys(lines, &[expected]);
    }
    check_keys("on = 'open-perm'", &[]);
    check_keys("on = ['q-overflow', 'open']", &[]);
    check_keys("on = 'all-perm'\nverdict = 'command'\ntimeout = '1m'", &[]);
}

#[test]
fn places_that_the_whole_system_needs_are_never_guarded() {
    for path in ["/", "/usr", "/etc/", "//var", "/bin", "/lib", "/lib64", "/libexec"] {
        let text =
            format!("[[rule]]\nname='g'\npath=['/srv', '{path}']\non='open-perm'\ncommand='/bin/true'");
        let (_, said) = parse(&[&text]);
        assert_eq!(said.len(), 1, "{path}: {said:?}");
        assert!(said[0].contains("F019"), "{said:?}");
    }
}

#[test]
fn commands_are_programs_with_arguments() {
    for (command, expected) in [
        ("['true']", "the program `true` is not an absolute path"),
        ("['']", "the program is empty"),
        ("['{path}']", "the program is an absolute path, not a placeholder"),
        ("['/']", "`/` is no program"),
        ("['/bin/true', \"a\\u0000b\"]", "`command` cannot hold a NUL"),
        ("'/bin/echo \"a'", "`command` has a quote that is never closed"),
        (
            "[1]",
            "`command` takes an array of strings, or one string that is split into words, not a whole number",
        ),
        ("['/bin/sh', '-c', 'cp {path} /x']", "`{path}` in shell text would run what the file's name says"),
        (
            "['/usr/bin/env', 'bash', '-ec', '{path}']",
            "`{path}` in shell text would run what the file's name says",
        ),
        ("['/bin/sh', '-c', '$$']", "`$$` as shell text would run what the file's name says"),
        ("'/bin/sh -c \"cp {path} /x\"'", "`{path}` in shell text would run what the file's name says"),
        ("['/bin/ls', 'x{paths}']", "`{paths}` must be an argument of its own"),
    ] {
        let text = format!("[[rule]]\nname='r'\npath='/srv'\ncommand={command}");
        let (_, said) = parse(&[&text]);
        assert_eq!(
            said.iter().map(|line| &line[line.find(" F").expect("a code") + 6..]).collect::<Vec<_>>(),
            [expected]
        );
    }
}

#[test]
fn the_safe_form_of_shell_text_is_shown_and_right() {
    for (line, safe) in [
        (
            "command = ['/bin/sh', '-c', 'cp {path} /x/{name}']",
            r#"["/bin/sh", "-c", 'cp "$1" /x/"$2"', "sh", "{path}", "{name}"]"#,
        ),
        (
            "command = ['/bin/sh', '-c', 'cp {path} $1', 'me', 'b']",
            r#"["/bin/sh", "-c", 'cp "$2" $1', "me", "b", "{path}"]"#,
        ),
        ("shell = 'cp {path} /x'", "'cp \"$1\" /x'"),
    ] {
        let text = format!("[[rule]]\nname='r'\npath='/srv'\n{line}");
        let (parsed, _) = parse(&[&text]);
        let fix = parsed.findings[0].fix.clone().expect("a fix");
        assert_eq!(fix.replacement, safe);
        let mut fixed = text.clone();
        fixed.replace_range(fix.span, &fix.replacement);
        check(&fixed, &[]);
    }
}

#[test]
fn files_merge() {
    let (parsed, said) = parse(&[
        "[daemon]\nconcurrency = 3\n[defaults]\nnice = 5\n[[rule]]\nname='a'\npath='/a'\ncommand='/bin/true'",
        "[daemon]\nconcurrency = 3\nshutdown-timeout='5s'\n[[rule]]\nname='b'\npath='/b'\ncommand='/bin/true'",
    ]);
    assert_eq!(said, [""; 0]);
    assert_eq!(
        (parsed.rules.daemon.concurrency, parsed.rules.daemon.shutdown_timeout),
        (3, Duration::from_secs(5))
    );
    let nice: Vec<(&str, i32)> =
        parsed.rules.rules.iter().map(|rule| (&*rule.name, rule.setting.nice)).collect();
    assert_eq!(nice, [("a", 5), ("b", 0)], "[defaults] holds for its own file");
    let (_, said) = parse(&["[daemon]\nconcurrency = 3", "[daemon]\nconcurrency = 4"]);
    assert_eq!(said, ["2.toml:2:15 F016 another file says otherwise about `concurrency`"]);
}

#[test]
fn limits_hold_before_anything_is_parsed() {
    let big = "#".repeat(config::FILE_BYTES_MAX + 1);
    assert_eq!(parse(&[&big]).1, ["1.toml:1:1 F020 the file is larger than 1 MiB"]);
    let full = "#".repeat(config::FILE_BYTES_MAX);
    let (_, said) = parse(&[full.as_str(); 9]);
    assert_eq!(said, ["9.toml:1:1 F020 all rule files together are larger than 8 MiB"]);
    let many = "[[rule]]\n".repeat(config::RULES_MAX + 1);
    assert_eq!(parse(&[&many]).1, ["1.toml:1:1 F020 all rule files together have more than 10000 rules"]);
}

#[test]
fn what_is_suggested_is_near() {
    for (key, expected) in [
        ("on_busy = 'skip'", Some("did you mean `on-busy`?")),
        ("debonce = '1s'", Some("did you mean `debounce`?")),
        ("events = 'open'", Some("did you mean `on`?")),
        ("watch = '/x'", Some("did you mean `path`?")),
        ("state-dir = '/x'", Some("`state-dir` stands below `[daemon]`")),
        ("xyzzy = 1", None),
    ] {
        let (parsed, _) = parse(&[&format!("[[rule]]\nname='r'\npath='/srv'\ncommand='/bin/true'\n{key}")]);
        assert_eq!(parsed.findings[0].help.as_deref(), expected, "{key}");
    }
}
