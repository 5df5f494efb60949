//! A rule before it is written: only what a classic line can say.

use std::fmt;

use crate::escape;
use crate::event::EventMask;
use crate::rule::Scope;

/// A rule before it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Whether the classic daemon would have read it.
    pub is_enabled: bool,
    /// Codes of findings that the line itself has.
    pub allow: Vec<&'static str>,
    /// Absolute and clean.
    pub path: String,
    /// None: the default, which is the file or the directory's entries.
    pub scope: Option<Scope>,
    /// Globs of names that count; none: all.
    pub include: Vec<String>,
    /// Globs of names that do not.
    pub exclude: Vec<String>,
    /// Whether directories count as subjects.
    pub has_dirs: bool,
    /// Any of these; one with several events means all of them.
    pub on: Vec<EventMask>,
    /// What to run.
    pub run: Run,
    /// Whether one run at a time was meant, whatever holds for the other rules.
    pub is_serial: bool,
    /// Whose rights; none: root's.
    pub user: Option<User>,
}

/// The user of a user's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// PATH of the commands.
    pub path: &'static str,
}

/// What a rule runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Run {
    /// Arguments as the rule file has them: placeholders and doubled braces.
    Argv(Vec<String>),
    /// Shell text; names reach it as `"$1"` only.
    Shell(String),
}

impl Draft {
    /// A rule that watches nothing yet.
    pub fn new(path: String, run: Run) -> Draft {
        Draft {
            is_enabled: true,
            allow: Vec::new(),
            path,
            scope: None,
            include: Vec::new(),
            exclude: Vec::new(),
            has_dirs: false,
            on: Vec::new(),
            run,
            is_serial: false,
            user: None,
        }
    }

    /// Whether it asks for a permission event.
    pub fn is_guard(&self) -> bool {
        self.on.iter().any(|events| events.intersects(EventMask::ALL_PERMISSION))
    }
}

/// A scope by its name in the rule file.
pub fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Itself => "self",
        Scope::Children => "children",
        Scope::Tree => "tree",
    }
}

impl fmt::Display for Draft {
    /// In a sentence: when what happens where, what is run.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_enabled {
            f.write_str("(disabled) ")?;
        }
        for (index, events) in self.on.iter().enumerate() {
            let names: Vec<&str> = events.kinds().map(|kind| kind.name).collect();
            write!(f, "{}{}", if index > 0 { " or " } else { "" }, names.join(" with "))?;
        }
        let place = match self.scope {
            None => "at",
            Some(Scope::Itself) => "of",
            Some(Scope::Children) => "in",
            Some(Scope::Tree) => "below",
        };
        write!(f, " {place} {}: ", escape::text(self.path.as_bytes()))?;
        if let Some(user) = &self.user {
            write!(f, "as {}, ", escape::text(user.name.as_bytes()))?;
        }
        match &self.run {
            Run::Argv(arguments) => write!(f, "{}", escape::line(&shell_words::join(arguments))),
            Run::Shell(text) => write!(f, "sh -c {}", escape::line(&shell_words::quote(text))),
        }
    }
}
