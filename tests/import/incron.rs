//! Commands, paths and owners of incron's tables, as rules. A name never becomes shell text.

use crate::corpus;
use facron::import::{Dialect, Import, Owner};

fn import(line: &str) -> Import {
    corpus::import(line.as_bytes(), Dialect::Incron, Owner::System)
}

/// What becomes of a command: its arguments joined by `|`, `sh: TEXT`, or the codes of its refusal.
fn check(command: &str, expected: &str) {
    let import = import(&format!("/srv/d IN_CREATE {command}"));
    let outcome = match corpus::rules(&import).first() {
        None => corpus::codes(&import).join(" "),
        Some(rule) => match rule.get("shell") {
            Some(text) => format!("sh: {}", text.as_str().expect("a string")),
            None => corpus::strings(rule, "command").join("|"),
        },
    };
    assert_eq!(outcome, expected, "{command}");
}

#[test]
fn a_command_without_shell_syntax_becomes_arguments() {
    check("/bin/h $@/$# $@ $# $%", "/bin/h|{path}|$@|$#|{events}");
    check("/bin/h x$@ $#.bak", "/bin/h|x{dir}|{name}.bak");
    check("/bin/h --in=$@/$#.x", "/bin/h|--in={path}.x");
    check("/bin/h 'a b' \"c d\" e\\ f ''", "/bin/h|a b|c d|e f|");
    check("/bin/h '$@/$#' \"$#\"", "/bin/h|{path}|$#");
    check("/bin/h {x} }", "/bin/h|{{x}}|}}");
    check("/bin/h '{x}'", "/bin/h|{{x}}");
    check("/bin/h $$ a$$ '$$x'", "/bin/h|$|a$|$x");
    check("/bin/h 5% a,b @x +1 100$", "/bin/h|5%|a,b|@x|+1|100$");
    check("/bin/h # $# is the name", "/bin/h");
    check("echo $@", "/usr/bin/echo|$@");
    check("bin/h x", "/bin/h|x");
}

#[test]
fn shell_syntax_becomes_shell_text_with_the_name_as_its_parameter() {
    check("/bin/h $@/$# > /x", "sh: /bin/h \"$1\" > /x");
    check("/bin/h \"$@/$#.bak\" && /bin/i $#", "sh: /bin/h \"${1}.bak\" && /bin/i \"${1##*/}\"");
    check("/bin/h x$#y $@; true", "sh: /bin/h x\"${1##*/}\"y \"${1%/*}\"; true");
    check("f=$@/$#; /bin/h \"$$f\"", "sh: f=\"$1\"; /bin/h \"$f\"");
    check("/bin/h $$HOME/x", "sh: /bin/h $HOME/x");
    check("/bin/h `/bin/i $#`", "sh: /bin/h `/bin/i \"${1##*/}\"`");
    check("/bin/h $$(/bin/i $#)", "sh: /bin/h $(/bin/i \"${1##*/}\")");
    check("/bin/h *.txt", "sh: /bin/h *.txt");
    check("cd /x && /bin/h", "sh: cd /x && /bin/h");
    check("A=b /bin/h", "sh: A=b /bin/h");
    check("~/bin/h", "sh: ~/bin/h");
    check("/bin/h $$$#; x", "sh: /bin/h \\$\"${1##*/}\"; x");
    check("/bin/h \"$$$#\"; x", "sh: /bin/h \"\\$${1##*/}\"; x");
    check("/bin/h '$$HOME'; x", "sh: /bin/h '$HOME'; x");
    // What `command` would replace stays literal in shell text.
    check("/bin/h '$$$$'", "sh: /bin/h '$$'");
    check("/bin/h a # $# is the name; x", "/bin/h|a");
    check("/bin/h; # $# is the name", "sh: /bin/h;");
}

#[test]
fn what_only_bash_understands_goes_to_bash() {
    check(
        "/bin/h $# &> /x",
        "/bin/bash|-c|/bin/h \"$${{1##*/}}\" &> /x|facron|{path}".replace("$$", "$").as_str(),
    );
    check("[[ -f $@/$# ]]; x", "I104");
    check("[[ -f /x ]] && /bin/h $#", "/bin/bash|-c|[[ -f /x ]] && /bin/h \"${{1##*/}}\"|facron|{path}");
    check("/bin/h {a,b}", "/bin/bash|-c|/bin/h {{a,b}}|facron|{path}");
    check("source /x; /bin/h", "/bin/bash|-c|source /x; /bin/h|facron|{path}");
    // `shell` has no escape for what looks like a placeholder.
    check("/bin/h | awk '{name}'", "/bin/sh|-c|/bin/h | awk '{{name}}'|facron|{path}");
}

#[test]
fn a_name_that_would_become_program_text_is_refused() {
    for command in [
        "sh -c 'cp $@/$# /x'",
        "sh -c \"cp $@/$# /x\"",
        "sh -c $@/$#",
        "/usr/bin/sudo -u u /bin/bash -lc \"x $#\"",
        "eval $#",
        "ssh host cat $#",
        "/usr/bin/ssh host cat $#",
        "su u -c \"x $#\"",
        "perl -e \"print '$#'\"",
        "/usr/bin/python3 -c 'print(\"$#\")'",
        "awk \"/$#/\" /x",
        "sed s/x/$#/ /x",
        "trap \"echo $#\" EXIT; x",
        "echo $# | sh",
        "echo \"cp $#\" | at now",
        "echo '$#' | logger",
        "x \"$$(y $#)\"; z",
        "x \"`y $#`\"; z",
        "x \\$#; z",
        "echo $$(( $# + 1 ))",
        "env -S \"x $#\"",
        "/usr/bin/jq $#.x /f",
        "/usr/bin/expect -c $#",
    ] {
        let import = import(&format!("/srv/d IN_CREATE {command}"));
        assert_eq!(corpus::codes(&import), ["I104"], "{command}\n{}", import.toml);
    }
    check("$@/$# x", "I055");
    check("$#", "I055");
}

#[test]
fn a_name_that_bash_would_evaluate_is_refused() {
    for command in [
        "sh <<< $#",
        "cat <<< $# | sh",
        "sh -s <<< $#",
        "python3 - <<< $#",
        "[ -v $# ] && x",
        "test -v $# && x",
        "declare $#; x",
        "declare -i A=$#; x",
        "typeset $#; x",
        "local $#; x",
        "readonly $#; x",
        "export $#=1; x",
        "printf -v $# x; y",
        "read $# < /x",
        "unset $#; x",
        "mapfile $# < /x",
        "readarray $# < /x",
        "getopts a $#",
        "wait -p $#; x",
        "/bin/h $${x[$#]}",
        "X=$#; /bin/h $${!X}",
        "X=$#; /bin/h $${X@P}",
        "X=$#; /bin/h $${Y:X}",
        "X=$#; eval $$X",
        "X=$#; eval \"$$X\"",
        "X=$#; Y=$$X; eval $$Y",
        "for f in $#; do eval $$f; done",
        "echo $# | while read f; do eval $$f; done",
        "eval $$(echo $#)",
        "sh -c $$(echo $#)",
        "X=$$(echo $#); sh -c \"$$X\"",
        "eval `echo $#`",
        "trap $# EXIT; x",
        "alias $#; x",
        "echo $# | sudo -u u bash",
        "echo $# | bash -s x",
        "echo $# | bash -o pipefail",
        "echo $# | python3",
        "echo $# | xargs sh -c",
        "echo $# | xargs -I{} sh -c \"x {}\"",
        "echo $@/$# | xargs -I{} {}",
        "echo $# | mysql db",
        "echo $# | ssh host",
        "echo $# | su u",
        "echo $# | docker exec -i c sh",
        "x $#; find /y -exec sh -c 'z {}' \\;",
        "tar xf /x --to-command=$@/$#",
        "tar --use-compress-program $@/$# -xf /x",
        "rsync -e $# a b",
        "rsync -ae $# a b",
        "git -c $# pull",
        "env LD_PRELOAD=$@/$# x",
        "LD_PRELOAD=$@/$# x",
        "PATH=$@ x",
        "export PATH=$@; x",
        "BASH_ENV=$@/$# bash /x",
        "sort --compress-program=$# /x",
        "make -f $@/$#",
        "python3.11 -c \"print('$#')\"",
        "python3 -Ic \"print('$#')\"",
        "perl -lne \"print '$#'\" /x",
        "ksh93 -c $#",
        "sg staff -c \"x $#\"",
        "su u --command=$#",
        "timeout --foreground 5 sh -c \"x $#\"",
        "flock /lock python3 -c $#",
        "parallel x $#",
        "crontab $@/$#",
        "java -jar $@/$#",
        "e=eval; $$e $#",
        "f=$@/$#; x \"$$(eval $$f)\"",
    ] {
        let import = import(&format!("/srv/d IN_CREATE {command}"));
        assert_eq!(corpus::codes(&import).last(), Some(&"I104"), "{command}\n{}", import.toml);
        assert!(corpus::rules(&import).is_empty(), "{command}");
    }
}

#[test]
fn a_file_that_would_be_run_itself_is_refused() {
    for command in [
        "source $@/$#",
        ". $@/$#",
        "exec $@/$#",
        "nice $@/$#",
        "nice -n 5 $@/$#",
        "nohup $@/$# &",
        "setsid $@/$#",
        "env $@/$#",
        "env $# x",
        "env A=b $@/$#",
        "timeout 5 $@/$#",
        "timeout -k 5 -s KILL 10s $@/$#",
        "stdbuf -oL $@/$#",
        "ionice -c 3 $@/$#",
        "chrt 5 $@/$#",
        "sudo $@/$#",
        "sudo -u alice $@/$#",
        "echo x | xargs $@/$#",
        "time $@/$#",
        "command $@/$#",
        "builtin $#",
        "flock /lock $@/$#",
        "/bin/sh $@/$#",
        "bash -x $@/$#",
        "tclsh $#",
        "python $#",
        "python3 -u $@/$#",
        "perl -w $#",
        "find /x -exec $@/$# \\;",
        "find $@ -name $# -exec {} \\;",
        "X=$#; $$X",
        "X=$@/$#; nice $$X",
        "cd $@; ./$#",
        "true && $@/$#",
        "/lib64/ld-linux-x86-64.so.2 $@/$#",
        "$$(echo $#) x",
        "`echo $@/$#`",
        "if true; then $@/$#; fi",
        "case x in (x) $@/$#;; esac",
        "f() { $@/$#; }; f",
        "2>/dev/null $@/$#",
        "echo x 2>&1 | $@/$#",
    ] {
        let import = import(&format!("/srv/d IN_CREATE {command}"));
        assert_eq!(corpus::codes(&import).last(), Some(&"I055"), "{command}\n{}", import.toml);
        assert!(corpus::rules(&import).is_empty(), "{command}");
    }
}

#[test]
fn a_name_that_stays_an_argument_is_translated() {
    for command in [
        "/bin/cp $@/$# /dest; x",
        "/bin/cp \"$@/$#\" \"/dest/$#\"; x",
        "/bin/echo $# >> /log",
        "[ -f $@/$# ] && /bin/cp $@/$# /dest",
        "test -n $# && /bin/h $#",
        "/bin/h $# 2>&1",
        "/bin/h 2>&1 $# >&2",
        "echo $@/$# >&2; x",
        "echo $# | /usr/bin/logger",
        "/bin/mv $@/$# /dest/$$(date +%s)-$#",
        "/bin/mv $@/$# /dest/`date +%s`-$#",
        "/bin/mv $@/$# \"/dest/$$(date +%s)\"",
        "f=$@/$#; /bin/h \"$$f\" \"$${f%.*}\"",
        "for f in $#; do /bin/h $$f; done",
        "export F=$@/$#; /bin/h",
        "F=$@/$# /bin/h",
        "sudo -u alice /bin/cp $@/$# /dest && x",
        "nice -n 5 /bin/h $@/$#; x",
        "timeout 5 /bin/h $@/$#; x",
        "flock $@/$#.lock /bin/h $#; x",
        "flock -n /lock /bin/cp $@/$# /dest; x",
        "/bin/sh /script $@/$#; x",
        "/bin/bash -x /script $@/$#; x",
        "/bin/sh -c 'cp \"$$0\" /x' $@/$#; x",
        "/usr/bin/perl -ne 'print' $@/$#; x",
        "/usr/bin/python3 -u /x.py $@/$#; x",
        "/usr/bin/python3 -m json.tool $@/$#; x",
        "/usr/bin/sed -i s/a/b/ $@/$#; x",
        "/usr/bin/tar xf $@/$# -C /dest; x",
        "/usr/bin/rsync -a $@/$# host:/dest; x",
        "/usr/bin/git -C $@ pull; x",
        "/usr/bin/find $@ -name $# -delete; x",
        "/usr/bin/find $@ -type f -exec chmod 644 {} \\; && x $#",
        "printf \"%s\\n\" $# >> /log",
        "if [ -f $@/$# ]; then /bin/h $#; fi",
        "case $# in *.txt) /bin/h $@/$#;; esac",
        "(/bin/h $#; x) > /log",
    ] {
        let import = import(&format!("/srv/d IN_CREATE {command}"));
        assert_eq!(corpus::rules(&import).len(), 1, "{command}: {:?}", corpus::codes(&import));
    }
}

#[test]
fn what_no_shell_would_run_or_would_run_differently_is_refused() {
    check("/bin/h 'x", "I108");
    check("/bin/h $$1; x", "I109");
    check("/bin/h $$@; x", "I109");
    check("set -- a; /bin/h", "I109");
    check("nowhere x", "I101");
    check("IN_CREATE /bin/h", "I022");
    check("# only a comment", "I073");
}

#[test]
fn a_path_is_what_was_meant() {
    for (path, expected) in [
        ("/srv/a\\ b", "path=/srv/a b"),
        ("/srv/d/../d", "path=/srv/d scope=tree exclude=.*/ dirs"),
        ("srv/d", "path=/srv/d scope=tree exclude=.*/ dirs"),
        ("/srv/d/*", "path=/srv/d scope=tree exclude=.*/ dirs"),
        ("/srv/d/*.t?t", "path=/srv/d scope=children include=*.t\\?t"),
        ("/srv/d/!x*", "path=/srv/d scope=children include=\\!x*"),
        ("/srv/d/{a,b}*", "path=/srv/d scope=children include=\\{a,b}*"),
        ("/srv/f/*/in", "path=/srv/f scope=tree include=*/in,*/in/** exclude=.*/ dirs"),
        ("/srv/d/*/in", "path=/srv/d scope=tree include=*/in,*/in/** exclude=.*/ dirs"),
        ("/x/.config", "path=/x/.config scope=tree exclude=.*/ dirs"),
        ("/srv/f", "path=/srv/f"),
        ("\"/srv/d\"", "I074"),
        ("/srv/$(id)", "I076"),
        ("~/x", "I078"),
    ] {
        let import = import(&format!("{path} IN_CLOSE_WRITE /bin/h"));
        let Some(rule) = corpus::rules(&import).into_iter().next() else {
            assert_eq!(corpus::codes(&import), [expected], "{path}");
            continue;
        };
        let mut said = format!("path={}", rule["path"].as_str().expect("a string"));
        if let Some(scope) = rule.get("scope") {
            said.push_str(&format!(" scope={}", scope.as_str().expect("a string")));
        }
        for key in ["include", "exclude"] {
            if rule.contains_key(key) {
                said.push_str(&format!(" {key}={}", corpus::strings(&rule, key).join(",")));
            }
        }
        if rule.contains_key("dirs") {
            said.push_str(" dirs");
        }
        assert_eq!(said, expected, "{path}");
    }
}

#[test]
fn the_wildcards_of_a_watched_file_are_the_file() {
    let import = import("/srv/f IN_CLOSE_WRITE /bin/h $@ $# $@/$#");
    let rules = corpus::rules(&import);
    assert_eq!(corpus::strings(&rules[0], "command"), ["/bin/h", "{path}", "$#", "{path}"]);
    assert_eq!(corpus::codes(&import), ["I107"]);
}

#[test]
fn a_users_table_runs_as_the_user_with_the_environment_of_incron() {
    let line = b"/srv/d IN_CREATE /bin/h\n~/x IN_CREATE abcd\n";
    let import = corpus::import(line, Dialect::Incron, Owner::User("u1".to_owned()));
    let rules = corpus::rules(&import);
    assert_eq!(rules[0]["user"].as_str(), Some("u1"));
    assert_eq!(rules[0]["env"]["PATH"].as_str(), Some("/usr/local/bin:/usr/bin:/bin:/usr/X11R6/bin"));
    assert_eq!(rules[0]["no-new-privs"].as_bool(), Some(false));
    assert_eq!(rules[1]["path"].as_str(), Some("/home/u1/x"));
    assert_eq!(corpus::strings(&rules[1], "command"), ["/usr/local/bin/abcd"]);

    let root = corpus::import(line, Dialect::Incron, Owner::User("root".to_owned()));
    assert!(!corpus::rules(&root)[0].contains_key("user"), "{}", root.toml);
}

#[test]
fn events_and_options_are_what_they_meant() {
    for (mask, on, codes) in [
        ("IN_MOVE,IN_CLOSE", "close-write,close-nowrite,moved-from,moved-to", ""),
        ("IN_CREATE,IN_UNMOUNT", "create", "I089"),
        ("IN_CREATE,IN_Q_OVERFLOW", "create,q-overflow", "I095"),
        ("IN_Q_OVERFLOW", "q-overflow", "I095"),
        ("IN_CREATE,IN_ONESHOT", "", "I090"),
        ("IN_CREATE,IN_DONT_FOLLOW", "create", ""),
        ("IN_CREATE,recursive=true,dotdirs=false,loopable=false", "create", ""),
        ("IN_CREATE,,", "create", ""),
        ("67108872", "close-write", "I089"),
        ("4294967296", "", "I087"),
        ("-1", "", "I087"),
        ("+8", "", "I087"),
        ("0x100", "", "I087"),
        ("IN_MOVE_FROM", "", "I085 I086"),
    ] {
        let import = import(&format!("/srv/d {mask} /bin/h"));
        assert_eq!(corpus::codes(&import).join(" "), codes, "{mask}");
        let rules = corpus::rules(&import);
        let events: Vec<String> =
            rules.iter().flat_map(corpus::on).map(|events| events.to_string()).collect();
        assert_eq!(events.join(","), on, "{mask}");
    }
}

#[test]
fn the_end_of_what_a_pattern_takes_is_an_event_of_its_directory() {
    for (path, mask, on, command) in [
        ("/srv/d/*.txt", "IN_DELETE_SELF", "delete", "/bin/h {path} $#"),
        ("/srv/d/*.txt", "IN_CLOSE_WRITE,IN_MOVE_SELF", "close-write,moved-from", "/bin/h {path} $#"),
        ("/srv/d/*", "IN_DELETE_SELF", "delete", "/bin/h {path} $#"),
        ("/srv/d/*/in", "IN_DELETE_SELF", "delete", "/bin/h {path} $#"),
        // Which of the two is meant by a deletion further below cannot be told apart.
        ("/srv/d/*/in", "IN_CLOSE_WRITE,IN_DELETE_SELF", "close-write,delete-self", "/bin/h $@ $#"),
    ] {
        let import = import(&format!("{path} {mask} /bin/h $@ $#"));
        let rules = corpus::rules(&import);
        let events: Vec<String> =
            rules.iter().flat_map(corpus::on).map(|events| events.to_string()).collect();
        assert_eq!(events.join(","), on, "{path} {mask}");
        assert_eq!(corpus::strings(&rules[0], "command").join(" "), command, "{path} {mask}");
        let is_of_entries = !corpus::strings(&rules[0], "include").iter().any(|glob| glob.ends_with("/**"));
        assert_eq!(is_of_entries, !on.contains("delete-self"), "{path} {mask}");
    }
}
