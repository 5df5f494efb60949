//! What the corpus of classic facron does not have: its lines in all their variety.

use crate::corpus;
use facron::import::{Dialect, Import, Options, Owner, Table};

fn import(table: &str) -> Import {
    corpus::import(table.as_bytes(), Dialect::Facron, Owner::System)
}

/// `on` of the only rule in short, then the codes: `open;modify|close-write I025`.
fn check(mask: &str, expected: &str) {
    let import = import(&format!("/srv/f {mask} /bin/true\n"));
    let alternatives = |rule: &toml::Table| {
        let on = corpus::on(rule).into_iter().map(|events| events.to_string().replace(',', "|"));
        on.collect::<Vec<_>>().join(";")
    };
    let mut said: Vec<String> = corpus::rules(&import).iter().map(alternatives).collect();
    said.extend(corpus::codes(&import).into_iter().map(str::to_owned));
    assert_eq!(said.join(" "), expected, "{mask}");
}

#[test]
fn events_are_what_was_meant() {
    check("FAN_OPEN", "open");
    check("FAN_OPEN,FAN_ACCESS|FAN_MODIFY", "open;access|modify I025");
    check("fan_close", "close-write;close-nowrite I024");
    check("FAN_ALL_EVENTS", "access;modify;close-write;close-nowrite;open I024");
    check("FAN_CLOSE|FAN_CLOSE_WRITE", "close-write;close-nowrite I024");
    check("FAN_OPEN|FAN_CLOSE", "close-write|open;close-nowrite|open I024 I025");
    check("FAN_CLOSE,FAN_CLOSE_WRITE", "close-write;close-nowrite I024 I026");
    check("FAN_OPEN|FAN_Q_OVERFLOW", "open;q-overflow I028");
    check("FAN_OPEN_PERM", "open-perm I029");
    check("FAN_OPEN,FAN_OPEN_PERM", "open open-perm I029");
    check("FAN_OPEN|FAN_OPEN_PERM", "open open-perm I029");
    check("FAN_ALL_PERM_EVENTS", "open-perm;access-perm I024 I029");
    check(
        "FAN_ALL_OUTGOING_EVENTS",
        "access;modify;close-write;close-nowrite;open;q-overflow open-perm;access-perm I024 I028 I029",
    );
    check("FAN_OPEN|", "open I023");
    check(",FAN_OPEN", "I020");
    check("FAN_OPEN,,FAN_MODIFY", "I020");
    check("FAN_EVENT_ON_CHILD", "I027");
    check("FAN_OPEM", "I021");
    check("OPEN", "I021");
    check("FAN_OPEN | FAN_CLOSE", "I022");
    check("FAN_OPEN FAN_CLOSE", "I022");
}

#[test]
fn a_mistake_is_told_with_the_way_out() {
    for (line, help) in [
        ("/srv/f FAN_OPEM /bin/true", "did you mean FAN_OPEN?"),
        ("/srv/f FAN_CREATE /bin/true", "facron knows it: write a rule with `on = \"create\"`"),
        ("/srv/f IN_CREATE /bin/true", "translate incrontabs with --from incron"),
        ("/srv/f FAN_OPEN true", "write its absolute path"),
    ] {
        assert_eq!(import(line).findings[0].help.as_deref(), Some(help), "{line}");
    }
}

#[test]
fn a_guard_is_refused_where_the_whole_system_would_wait() {
    for (path, is_refused) in
        [("/", true), ("/usr", true), ("/lib64", true), ("/etc/", true), ("/lib/x", false), ("/srv/f", false)]
    {
        let import = import(&format!("{path} FAN_OPEN_PERM /bin/true"));
        assert_eq!(corpus::codes(&import).contains(&"I030"), is_refused, "{path}");
        assert_eq!(corpus::rules(&import).is_empty(), is_refused, "{path}");
    }
    // The command's own program, its directory, and the programs of everybody.
    for (path, program) in
        [("/srv/d", "/srv/d/x"), ("/srv/f", "/srv/f"), ("/usr/local/bin", "/bin/x"), ("/usr/lib64", "/bin/x")]
    {
        let import = import(&format!("{path} FAN_OPEN_PERM|FAN_EVENT_ON_CHILD {program}"));
        assert!(corpus::codes(&import).contains(&"I030"), "{path}: {}", import.toml);
    }
    let import = import("/srv/f FAN_OPEN_PERM /bin/true");
    assert_eq!(corpus::rules(&import)[0]["verdict"].as_str(), Some("allow"));
}

#[test]
fn a_program_is_absolute_or_found() {
    for (command, expected) in [
        ("echo x", "/usr/bin/echo I054"),
        ("./usr/bin/echo x", "/usr/bin/echo I054"),
        ("nowhere x", "I053"),
        ("./nowhere x", "I053"),
        ("\"\" x", "I053"),
        ("$# x", "I055"),
        ("/bin/sh -c $$", "I062"),
        ("/usr/bin/perl -e $$", "I062"),
        ("/usr/bin/sed -n $# x", "I062"),
        ("/bin/sh -c \"x $$\"", "/bin/sh I056"),
        ("/bin/a > /x", "/bin/a I058"),
    ] {
        let import = import(&format!("/srv/f FAN_OPEN {command}\n"));
        let program = corpus::rules(&import).first().map(|rule| corpus::strings(rule, "command").remove(0));
        let said: Vec<String> =
            program.into_iter().chain(corpus::codes(&import).into_iter().map(str::to_owned)).collect();
        assert_eq!(said.join(" "), expected, "{command}");
    }
}

#[test]
fn the_file_keeps_comments_at_their_lines_and_every_line_above_its_rule() {
    let import = import(
        "# head\n\n\n/srv/f FAN_OPEN /bin/true\n# about the next\n/srv/f FAN_CLOSE /bin/echo \"a b\"\n\
         \t# indented\n f FAN_OPEN\n/srv/f FAN_OPE /bin/true\n#: not for editors\n/srv/f FAN_OPEN,FAN_OPEN_PERM /bin/true\n# tail\n",
    );
    let expected = r##"#:schema /usr/share/facron/facron.schema.json
# Translated by facron import from table (classic facron).

[defaults]
concurrency = "unlimited"
on-busy = "queue"

# head

# /srv/f FAN_OPEN /bin/true
[[rule]]
name = "f-true"
path = "/srv/f"
on = "open"
command = ["/bin/true"]

# about the next
# /srv/f FAN_CLOSE /bin/echo "a b"
# Changed (I024): a set asks for close-write,close-nowrite in one event, which never comes.
[[rule]]
name = "f-echo"
path = "/srv/f"
on = ["close-write", "close-nowrite"]
command = ["/bin/echo", "a b"]

# indented
# f FAN_OPEN
# Refused (I021): unknown event `FAN_OPE`.
# /srv/f FAN_OPE /bin/true

## : not for editors
"##;
    let expected = expected.replace("## : not", "##: not");
    assert_eq!(import.toml.get(..expected.len()), Some(expected.as_str()), "{}", import.toml);
    let end = r#"
# /srv/f FAN_OPEN,FAN_OPEN_PERM /bin/true
# Changed (I029): a permission event never fired in classic facron.
[[rule]]
name = "f-true-open"
path = "/srv/f"
on = "open"
command = ["/bin/true"]

[[rule]]
name = "f-true-open-perm"
path = "/srv/f"
on = "open-perm"
command = ["/bin/true"]
verdict = "allow"

# tail
"#;
    assert!(import.toml.ends_with(end.trim_start_matches('\n')), "{}", import.toml);
}

#[test]
fn names_do_not_depend_on_the_lines_below() {
    let lines = ["/srv/f FAN_OPEN /bin/true", "/srv/f FAN_MODIFY /bin/true", "/srv/d/f FAN_OPEN /bin/true"];
    let names = |count: usize| -> Vec<String> {
        let import = import(&lines[..count].join("\n"));
        corpus::rules(&import)
            .iter()
            .map(|rule| rule["name"].as_str().expect("a string").to_owned())
            .collect()
    };
    assert_eq!(names(3), ["f-true", "f-true-modify", "d-f-true"]);
    assert_eq!(names(2), names(3)[..2]);
}

#[test]
fn rules_of_several_tables_say_where_they_come_from() {
    let table = |name: &str, text: &str| Table {
        name: name.into(),
        bytes: text.into(),
        dialect: Dialect::Facron,
        owner: Owner::System,
    };
    let line = "/srv/f FAN_OPEN /bin/true\n";
    let tables = [table("a", line), table("b", &format!("# head\n{line}")), table("-", "# nothing\n")];
    let import = facron::import::import(&tables, &Options::default(), &corpus::Recorded);
    let expected = r#"#:schema /usr/share/facron/facron.schema.json
# Translated by facron import from a (classic facron).
# Translated by facron import from b (classic facron).
# Translated by facron import from standard input (classic facron).

[defaults]
concurrency = "unlimited"
on-busy = "queue"

# From a (classic facron).

# /srv/f FAN_OPEN /bin/true
[[rule]]
name = "f-true"
path = "/srv/f"
on = "open"
command = ["/bin/true"]

# From b (classic facron).

# head
# /srv/f FAN_OPEN /bin/true
[[rule]]
name = "f-true-open"
path = "/srv/f"
on = "open"
command = ["/bin/true"]

# From standard input (classic facron).

# nothing
"#;
    assert_eq!(import.toml, expected);
}
