//! What is known of shells' words and of programs that read text: what the importer alone must know.

use crate::config::interpreter::is_dangerous_variable;

/// Words that a shell itself carries out.
pub const BUILTINS: &[&str] = &[
    "!",
    ".",
    ":",
    "[[",
    "{",
    "}",
    "alias",
    "bg",
    "builtin",
    "case",
    "cd",
    "command",
    "coproc",
    "declare",
    "do",
    "done",
    "elif",
    "else",
    "esac",
    "eval",
    "exec",
    "exit",
    "export",
    "fg",
    "fi",
    "for",
    "function",
    "getopts",
    "hash",
    "if",
    "jobs",
    "let",
    "local",
    "mapfile",
    "popd",
    "pushd",
    "read",
    "readarray",
    "readonly",
    "return",
    "select",
    "set",
    "shift",
    "shopt",
    "source",
    "then",
    "time",
    "times",
    "trap",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "until",
    "wait",
    "while",
];

/// Words that bash carries out and sh does not.
pub const BASH_BUILTINS: &[&str] = &[
    "[[",
    "builtin",
    "coproc",
    "declare",
    "function",
    "let",
    "mapfile",
    "popd",
    "pushd",
    "readarray",
    "select",
    "shopt",
    "source",
    "time",
    "typeset",
];

/// Builtins that change the parameters of the shell.
pub const PARAMETER_BUILTINS: &[&str] = &["set", "shift", "getopts"];

/// Builtins that read their words as the text of a shell.
pub const EVALUATORS: &[&str] = &["alias", "eval", "trap"];

/// Syntax that only bash understands, outside of quotes.
pub const BASH_SYNTAX: &[&str] = &["((", "<(", ">(", "<<<", "&>", "|&", "+=", "==", "=~"];

/// The same, where `$` means something.
pub const BASH_EXPANSIONS: &[&str] =
    &["//", "^", ":0", ":1", ":2", ":3", ":4", ":5", ":6", ":7", ":8", ":9", "!", "["];

/// Words of a shell behind which a command stands.
pub const KEYWORDS: &[&str] = &["!", "do", "elif", "else", "if", "then", "time", "until", "while", "{"];

/// Words of a shell behind which no command stands.
pub const LISTS: &[&str] = &["case", "for", "select"];

/// What reads each of its words as text of some language, as a variable's name, or as a file of commands.
pub const EVERYWHERE: &[&str] = &[
    "[[",
    "alias",
    "at",
    "batch",
    "bind",
    "compgen",
    "complete",
    "crontab",
    "dc",
    "ed",
    "enable",
    "entr",
    "eval",
    "fc",
    "gdb",
    "getopts",
    "hash",
    "lftp",
    "let",
    "m4",
    "mapfile",
    "parallel",
    "read",
    "readarray",
    "rsh",
    "screen",
    "sqlite",
    "ssh",
    "start-stop-daemon",
    "tmux",
    "trap",
    "unset",
    "wait",
    "watch",
];

/// What reads its first word that is no option as text, and what stands behind `-e` and `-f`.
pub const TEXT_FIRST: &[&str] = &["awk", "gawk", "jq", "mawk", "nawk", "prename", "rename", "sed"];

/// Builtins that give values to variables.
pub const DECLARERS: &[&str] = &["declare", "export", "local", "readonly", "typeset"];

/// Interpreters whose first word is no script.
pub const SCRIPTLESS: &[&str] = &["mariadb", "mysql", "psql"];

/// Programs that read commands from standard input, beside shells and interpreters without a script.
pub const COMMAND_READERS: &[&str] = &[
    "at", "batch", "crontab", "dc", "ed", "ftp", "gdb", "gnuplot", "lftp", "m4", "parallel", "sftp", "sqlite",
];

/// Programs with options behind which a command or a file of commands stands: by letters, and in full.
pub const OPTIONS: &[(&str, &str, &[&str])] = &[
    ("ex", "cS", &["--cmd"]),
    ("git", "c", &["--config-env", "--exec-path", "--receive-pack", "--upload-pack"]),
    ("gpg", "", &["--options", "--photo-viewer"]),
    ("java", "", &["-classpath", "-cp", "-jar"]),
    ("less", "k", &[]),
    ("make", "fI", &["--eval", "--file", "--makefile"]),
    ("man", "CPH", &["--html", "--pager"]),
    ("rsync", "e", &["--rsh", "--rsync-path"]),
    ("scp", "FoS", &[]),
    ("script", "c", &["--command"]),
    ("sftp", "bDFoS", &[]),
    ("sort", "", &["--compress-program"]),
    ("split", "", &["--filter"]),
    (
        "tar",
        "FI",
        &[
            "--checkpoint-action",
            "--info-script",
            "--new-volume-script",
            "--rsh-command",
            "--to-command",
            "--use-compress-program",
        ],
    ),
    ("vi", "cS", &["--cmd"]),
    ("vim", "cS", &["--cmd"]),
    ("xterm", "e", &[]),
    ("zip", "T", &["--unzip-command"]),
];

/// Variables that name programs, or where programs and their parts are looked for.
const PROGRAM_VARIABLES: &[&str] = &[
    "BROWSER",
    "CDPATH",
    "CLASSPATH",
    "EDITOR",
    "GCONV_PATH",
    "HOME",
    "IFS",
    "JAVA_TOOL_OPTIONS",
    "LESSCLOSE",
    "LESSOPEN",
    "LOCPATH",
    "MAKEFLAGS",
    "MANPAGER",
    "NLSPATH",
    "PAGER",
    "PATH",
    "PROMPT_COMMAND",
    "RSYNC_RSH",
    "SHELL",
    "SUDO_ASKPASS",
    "TAR_OPTIONS",
    "VISUAL",
];

/// How the names of more of them begin.
const PROGRAM_PREFIXES: &[&str] =
    &["BASH", "GIT_", "LD_", "LUA_", "NODE_", "PERL", "PYTHON", "RUBY", "SSH_", "TCL", "XDG_"];

/// Whether what is given to the variable of an assignment can be run.
pub fn is_program_variable(assignment: &str) -> bool {
    let name = assignment.split(['=', '+', '[']).next().unwrap_or(assignment);
    is_dangerous_variable(name)
        || PROGRAM_VARIABLES.contains(&name)
        || PROGRAM_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
