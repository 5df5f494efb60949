//! The one table of keys: parser, schema, manual test and `facron check --explain KEY` are made from it.
//!
//! What a value looks like is a [`Kind`]; how it becomes a part of a rule is `lower`'s business, which names every
//! key of [`KeyId`], so that none can be in this table and have no effect.

use super::words::{
    CONTAINS, EDGES, LEFTOVERS, LEVELS, MARKS, NOTIFIES, ON_BUSIES, ON_OVERFLOWS, SCOPES, STDINS,
    VERDICT_DEFAULTS, VERDICTS, Words,
};
use crate::rule::DENY_ERRNOS;

/// One key of the rule file.
#[derive(Debug)]
pub struct Key {
    /// Which, for the code.
    pub id: KeyId,
    /// As it is written.
    pub name: &'static str,
    /// Where it belongs.
    pub section: Section,
    /// What its value looks like.
    pub kind: Kind,
    /// What holds where it is not written.
    pub preset: Preset,
    /// Whether `[defaults]` may have it.
    pub is_in_defaults: bool,
    /// What it means, in a line.
    pub about: &'static str,
}

/// The groups of keys, in the order of the manual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// What to watch.
    Watch,
    /// When to run.
    When,
    /// What to run.
    Run,
    /// How a run ends.
    End,
    /// `[daemon]`.
    Daemon,
}

impl Section {
    /// Its title in the manual.
    pub fn title(self) -> &'static str {
        match self {
            Section::Watch => "what to watch",
            Section::When => "when to run",
            Section::Run => "what to run",
            Section::End => "how a run ends",
            Section::Daemon => "the daemon",
        }
    }
}

/// What holds where a key is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// It must be written.
    Required,
    /// This value, in TOML.
    Value(&'static str),
    /// Something that no value says.
    Otherwise(&'static str),
}

/// What a value looks like.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A rule's name.
    Name,
    /// Any string without NUL.
    Text,
    /// `true` or `false`.
    Bool,
    /// An absolute path.
    Path,
    /// One absolute path or several.
    Paths,
    /// One glob or several.
    Globs,
    /// Events, sets of events, and arrays of events.
    Events,
    /// One of a few words.
    Word(&'static dyn Words),
    /// A duration, or a word instead; whether it may be zero.
    Duration {
        /// For example `none`.
        word: Option<&'static str>,
        /// Whether `0s` is one.
        may_be_zero: bool,
        /// The longest, milliseconds.
        millis_max: u64,
    },
    /// A whole number between two bounds, or a word instead.
    Integer {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
        /// For example `unlimited`.
        word: Option<&'static str>,
    },
    /// `"N/DURATION"` or `"none"`.
    StartLimit,
    /// A program and its arguments.
    Command,
    /// A user or group.
    Identity,
    /// One user or several.
    Identities,
    /// An octal number in a string.
    Umask,
    /// A table of resource limits.
    Limits,
    /// A table of variables.
    Environment,
    /// One name of a variable or several.
    Variables,
    /// `"log"`, `"discard"` or `{ file = PATH }`.
    Output,
    /// The name of a signal.
    Signal,
    /// One exit code or several.
    ExitCodes,
    /// One code of a note or warning, or several.
    Codes,
}

/// The longest duration that a rule file may ask for: 366 days.
pub const DURATION_MILLIS_MAX: u64 = 366 * 24 * 60 * 60 * 1000;

const DURATION: Kind = Kind::Duration { word: None, may_be_zero: false, millis_max: DURATION_MILLIS_MAX };
const DURATION_OR_ZERO: Kind =
    Kind::Duration { word: None, may_be_zero: true, millis_max: DURATION_MILLIS_MAX };
const DURATION_OR_NONE: Kind =
    Kind::Duration { word: Some("none"), may_be_zero: false, millis_max: DURATION_MILLIS_MAX };
const DURATION_OR_NEVER: Kind =
    Kind::Duration { word: Some("never"), may_be_zero: false, millis_max: DURATION_MILLIS_MAX };

const fn integer(min: i64, max: i64) -> Kind {
    Kind::Integer { min, max, word: None }
}

use Preset::{Otherwise, Required, Value};

macro_rules! keys {
    ($($section:ident { $($id:ident $name:literal $kind:expr, $preset:expr, $in_defaults:literal, $about:literal;)* })*) => {
        /// Every key.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum KeyId {
            $($(#[doc = $about] $id,)*)*
        }

        /// The table, in the order of [`KeyId`].
        pub const KEYS: &[Key] = &[
            $($(Key {
                id: KeyId::$id,
                name: $name,
                section: Section::$section,
                kind: $kind,
                preset: $preset,
                is_in_defaults: $in_defaults,
                about: $about,
            },)*)*
        ];
    };
}

keys! {
    Watch {
        Name        "name"        Kind::Name, Required, false,
            "the rule's name, unique over all files";
        Description "description" Kind::Text, Otherwise("none"), false,
            "shown by status and in notifications";
        Enabled     "enabled"     Kind::Bool, Value("true"), true,
            "whether the rule is used; it is checked all the same";
        Allow       "allow"       Kind::Codes, Value("[]"), true,
            "notes and warnings that are meant: check leaves them out for this rule";
        Path        "path"        Kind::Paths, Required, false,
            "the file or directory to watch; it need not exist yet";
        Scope       "scope"       Kind::Word(&SCOPES), Value("\"children\""), true,
            "how far below the path";
        Include     "include"     Kind::Globs, Otherwise("everything"), true,
            "only paths that match one of these globs";
        Exclude     "exclude"     Kind::Globs, Otherwise("nothing"), true,
            "no path that matches one of these globs, and nothing below such a directory; wins over include";
        Dirs        "dirs"        Kind::Bool, Value("false"), true,
            "whether events whose subject is a directory count too";
        On          "on"          Kind::Events, Value("\"change\""), true,
            "which events; an inner array means all of them";
        ByExe       "by-exe"      Kind::Paths, Otherwise("by anyone"), true,
            "only events caused by these programs";
        NotByExe    "not-by-exe"  Kind::Paths, Otherwise("no exception"), true,
            "no events caused by these programs";
        ByUser      "by-user"     Kind::Identities, Otherwise("by anyone"), true,
            "only events caused by these users";
        NotByUser   "not-by-user" Kind::Identities, Otherwise("no exception"), true,
            "no events caused by these users";
        IgnoreSelf  "ignore-self" Kind::Bool, Value("true"), true,
            "whether events that a run of this rule caused, however indirectly, are passed over";
        CatchUp     "catch-up"    Kind::Bool, Value("false"), true,
            "whether what changed while facron did not watch counts as just changed at start";
        Rescan      "rescan"      DURATION_OR_NEVER, Value("\"never\""), true,
            "also compare by a walk this often (network file systems)";
        OnOverflow  "on-overflow" Kind::Word(&ON_OVERFLOWS), Value("\"rescan\""), true,
            "what happens after events were lost";
        Mark        "mark"        Kind::Word(&MARKS), Value("\"auto\""), true,
            "how a tree is marked in the kernel";
    }
    When {
        Debounce    "debounce"    DURATION_OR_ZERO, Value("\"0s\""), true,
            "run only once nothing matched for this long: per path, with batch per rule";
        MaxWait     "max-wait"    DURATION_OR_NONE, Value("\"none\""), true,
            "but no later than this after the first event";
        Edge        "edge"        Kind::Word(&EDGES), Value("\"trailing\""), true,
            "at which end of a burst to run";
        Batch       "batch"       Kind::Bool, Value("false"), true,
            "one run for all paths gathered, instead of one a path";
        Concurrency "concurrency" Kind::Integer { min: 1, max: 1024, word: Some("unlimited") }, Value("1"), true,
            "runs of this rule at once";
        OnBusy      "on-busy"     Kind::Word(&ON_BUSIES), Value("\"coalesce\""), true,
            "what happens to what comes while all slots, or the path, are busy";
        QueueLimit  "queue-limit" integer(1, 10_000_000), Value("10000"), true,
            "paths (under queue: triggers) that may wait; beyond it the rule owes a rescan instead";
        StartLimit  "start-limit" Kind::StartLimit, Value("\"none\""), true,
            "at most N starts in any such span; what is over waits";
    }
    Run {
        Command     "command"     Kind::Command, Otherwise("this or `shell`"), false,
            "the program, by its absolute path, and its arguments";
        Shell       "shell"       Kind::Text, Otherwise("this or `command`"), false,
            "run as /bin/sh -c TEXT facron PATH…; names reach it as \"$1\", \"$@\" and in the environment";
        User        "user"        Kind::Identity, Otherwise("the daemon's"), true,
            "whose rights the command has; supplementary groups follow";
        Group       "group"       Kind::Identity, Otherwise("the user's"), true,
            "its group, with `user`";
        Cwd         "cwd"         Kind::Path, Value("\"/\""), true,
            "its working directory";
        Umask       "umask"       Kind::Umask, Value("\"022\""), true,
            "its file mode creation mask";
        Nice        "nice"        integer(-20, 19), Value("0"), true,
            "its nice value";
        Limits      "limits"      Kind::Limits, Value("{}"), true,
            "its resource limits, soft and hard alike";
        Env         "env"         Kind::Environment, Value("{}"), true,
            "variables to set";
        InheritEnv  "inherit-env" Kind::Variables, Value("[]"), true,
            "variables to take from the daemon's own environment";
        Stdin       "stdin"       Kind::Word(&STDINS), Value("\"null\""), true,
            "what it reads";
        Output      "output"      Kind::Output, Value("\"log\""), true,
            "where its output goes: \"log\", \"discard\" or { file = PATH }";
        NoNewPrivs  "no-new-privs" Kind::Bool, Otherwise("true with `user`, else false"), true,
            "whether it is kept from gaining rights by setuid programs";
    }
    End {
        Timeout     "timeout"     DURATION_OR_NONE, Value("\"none\""), true,
            "after this the run is stopped, with everything that it started";
        StopSignal  "stop-signal" Kind::Signal, Value("\"TERM\""), true,
            "the first signal of a stop";
        KillAfter   "kill-after"  DURATION, Value("\"5s\""), true,
            "from the first signal to SIGKILL";
        Contain     "contain"     Kind::Word(&CONTAINS), Value("\"auto\""), true,
            "how the processes of a run are held together";
        Leftover    "leftover"    Kind::Word(&LEFTOVERS), Value("\"keep\""), true,
            "what happens to processes that the command left running when it ended by itself";
        SuccessCodes "success-codes" Kind::ExitCodes, Value("[0]"), true,
            "exit codes that are no failure";
        Retries     "retries"     integer(0, 100), Value("0"), true,
            "further tries after a failure";
        RetryDelay  "retry-delay" DURATION, Value("\"1s\""), true,
            "before the first further try; it doubles";
        RetryMaxDelay "retry-max-delay" DURATION, Value("\"1m\""), true,
            "where the doubling ends";
        OnFailure   "on-failure"  Kind::Command, Otherwise("nothing"), true,
            "a command that runs after the last failed try";
        Notify      "notify"      Kind::Word(&NOTIFIES), Value("\"failure\""), true,
            "when the desktop is told";
        Verdict     "verdict"     Kind::Word(&VERDICTS), Value("\"allow\""), true,
            "for permission events: who decides";
        VerdictDefault "verdict-default" Kind::Word(&VERDICT_DEFAULTS), Value("\"allow\""), true,
            "for permission events: what holds when the command does not decide in time";
        VerdictCache "verdict-cache" DURATION_OR_NONE, Value("\"none\""), true,
            "for permission events: how long a verdict holds for a file that is not modified";
        DenyErrno   "deny-errno"  Kind::Word(&DENY_ERRNOS), Value("\"EPERM\""), true,
            "for permission events: the error of a denied opener; all but EPERM need Linux 6.14";
        Audit       "audit"       Kind::Bool, Value("false"), true,
            "for permission events: whether verdicts go to the audit log";
    }
    Daemon {
        DaemonConcurrency "concurrency" integer(1, 4096), Value("64"), false,
            "runs at once over all rules";
        StateDir    "state-dir"   Kind::Path, Otherwise("by privilege and environment"), false,
            "where what waits is kept across a restart";
        RuntimeDir  "runtime-dir" Kind::Path, Otherwise("by privilege and environment"), false,
            "where the control socket is";
        ShutdownTimeout "shutdown-timeout" DURATION, Value("\"10s\""), false,
            "how long runs may go on after a request to stop";
        LogLevel    "log-level"   Kind::Word(&LEVELS), Otherwise("info"), false,
            "the least severe level that is logged";
    }
}

impl KeyId {
    /// Its row.
    pub fn key(self) -> &'static Key {
        &KEYS[self as usize]
    }
}

/// The keys of `[[rule]]`.
pub fn rule_keys() -> impl Iterator<Item = &'static Key> + Clone {
    KEYS.iter().filter(|key| key.section != Section::Daemon)
}

/// The keys of `[defaults]`.
pub fn default_keys() -> impl Iterator<Item = &'static Key> + Clone {
    KEYS.iter().filter(|key| key.is_in_defaults)
}

/// The keys of `[daemon]`.
pub fn daemon_keys() -> impl Iterator<Item = &'static Key> + Clone {
    KEYS.iter().filter(|key| key.section == Section::Daemon)
}

impl Kind {
    /// What the key takes, as a noun for messages and manual.
    pub fn expected(&self) -> String {
        match self {
            Kind::Name => "a string of the characters A-Z a-z 0-9 . _ -".to_owned(),
            Kind::Text => "a string".to_owned(),
            Kind::Bool => "true or false".to_owned(),
            Kind::Path => "an absolute path".to_owned(),
            Kind::Paths => "an absolute path, or an array of them".to_owned(),
            Kind::Globs => "an array of globs".to_owned(),
            Kind::Events => "an event, or an array of events".to_owned(),
            Kind::Word(words) => alternatives(words.words().iter().map(|(word, _)| *word)),
            Kind::Duration { word, .. } => or_word("a duration such as \"500ms\" or \"10m\"", *word),
            Kind::Integer { min, max, word } => {
                or_word(&format!("a whole number from {min} to {max}"), *word)
            }
            Kind::StartLimit => "\"N/DURATION\" such as \"10/1m\", or \"none\"".to_owned(),
            Kind::Command => "an array of strings, or one string that is split into words".to_owned(),
            Kind::Identity => "a name or a decimal number".to_owned(),
            Kind::Identities => "an array of names or decimal numbers".to_owned(),
            Kind::Umask => "an octal number in a string, \"000\" to \"777\"".to_owned(),
            Kind::Limits => "a table such as { nofile = 1024, as = \"1GiB\" }".to_owned(),
            Kind::Environment => "a table of strings".to_owned(),
            Kind::Variables => "an array of names".to_owned(),
            Kind::Output => "\"log\", \"discard\" or { file = PATH }".to_owned(),
            Kind::Signal => "the name of a signal such as \"TERM\"".to_owned(),
            Kind::ExitCodes => "an array of exit codes, 0 to 255".to_owned(),
            Kind::Codes => "an array of codes of notes and warnings such as \"F031\"".to_owned(),
        }
    }
}

fn or_word(noun: &str, word: Option<&str>) -> String {
    match word {
        Some(word) => format!("{noun}, or \"{word}\""),
        None => noun.to_owned(),
    }
}

/// `"a", "b" or "c"`.
pub(super) fn alternatives<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let words: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}
