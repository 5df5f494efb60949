//! Arguments with placeholders: parsed once at load, expanded for each run in a single pass, as bytes.
//!
//! A file name that looks like a placeholder arrives as it is: what was put in is never looked at again.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::event::{Event, EventMask, RunId};

/// One argument of a command.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Template {
    /// The whole argument is a token of classic facron.
    Classic(ClassicToken),
    /// The whole argument is `{paths}`: one argument for each path of the run.
    Paths,
    /// Text and placeholders.
    Parts(Vec<Part>),
}

/// A piece of an argument.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Stands for itself.
    Text(String),
    /// Stands for something of the run.
    Placeholder(Placeholder),
}

macro_rules! placeholders {
    ($($variant:ident $name:literal $about:literal)*) => {
        /// What an argument may ask for by `{name}`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Placeholder {
            $(#[doc = $about] $variant,)*
        }

        /// Every placeholder with its name and its line in the manual; `{paths}` is the last.
        pub const PLACEHOLDERS: &[(&str, Option<Placeholder>, &str)] = &[
            $(($name, Some(Placeholder::$variant), $about),)*
            ("paths", None, "in a batch, as a whole argument: all paths of the run"),
        ];
    };
}

placeholders! {
    Path    "path"     "the path of the event (in a batch, the first one)"
    Dir     "dir"      "the directory that it is in"
    Name    "name"     "its last component"
    Stem    "stem"     "its last component without the extension"
    Ext     "ext"      "the extension, without the dot"
    Rel     "rel"      "the path below the rule's path (`.` for that path itself)"
    Root    "root"     "the rule's path"
    OldPath "old-path" "the path before a rename"
    Events  "events"   "what happened, comma-separated"
    Pid     "pid"      "the process that caused it, 0 if unknown"
    Rule    "rule"     "the rule's name"
    Run     "run"      "the number of the run"
    Count   "count"    "how many paths the run has"
}

/// A token of classic facron; replaced only where it is the whole argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClassicToken {
    /// `$$`: the path.
    Path,
    /// `$@`: the directory that it is in.
    Dir,
    /// `$#`: its last component.
    Name,
    /// `$*`: the process that caused the event.
    Pid,
    /// `$+`: the daemon's counter, incremented.
    CounterUp,
    /// `$-`: the daemon's counter, decremented.
    CounterDown,
    /// `$=`: the daemon's counter.
    Counter,
}

/// Every token of classic facron with its line in the manual.
pub const CLASSIC_TOKENS: &[(&str, ClassicToken, &str)] = &[
    ("$$", ClassicToken::Path, "the path"),
    ("$@", ClassicToken::Dir, "the directory that it is in"),
    ("$#", ClassicToken::Name, "its last component"),
    ("$*", ClassicToken::Pid, "the process that caused the event"),
    ("$+", ClassicToken::CounterUp, "a counter of the daemon, incremented first"),
    ("$-", ClassicToken::CounterDown, "the same counter, decremented first"),
    ("$=", ClassicToken::Counter, "the same counter as it is"),
];

/// Why a text is no argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// Byte range in the text.
    pub span: std::ops::Range<usize>,
    /// What is wrong.
    pub kind: TemplateErrorKind,
}

/// What is wrong with an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateErrorKind {
    /// `{word}` names no placeholder.
    Unknown(String),
    /// `{paths}` is not the whole argument.
    PathsInside,
    /// A `{` or `}` that belongs to no placeholder and is not doubled.
    LoneBrace(char),
    /// A NUL, which no argument can hold.
    Nul,
}

/// What a run is about, as far as its arguments can ask.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'r> {
    /// The rule's name.
    pub rule: &'r str,
    /// The rule's paths.
    pub roots: &'r [PathBuf],
    /// The number of the run.
    pub run: RunId,
    /// Its paths, each with what happened to it; at least one.
    pub events: &'r [Event],
}

impl Template {
    /// Parses one argument.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        if let Some(offset) = text.find('\0') {
            return Err(TemplateError { span: offset..offset + 1, kind: TemplateErrorKind::Nul });
        }
        if let Some((_, token, _)) = CLASSIC_TOKENS.iter().find(|(name, ..)| *name == text) {
            return Ok(Template::Classic(*token));
        }
        if text == "{paths}" {
            return Ok(Template::Paths);
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut offset = 0;
        while let Some(character) = text[offset..].chars().next() {
            let rest = &text[offset..];
            if rest.starts_with("{{") || rest.starts_with("}}") {
                literal.push(character);
                offset += 2;
            } else if character == '{' {
                let (placeholder, len) = placeholder(rest)
                    .map_err(|(len, kind)| TemplateError { span: offset..offset + len, kind })?;
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                }
                parts.push(Part::Placeholder(placeholder));
                offset += len;
            } else if character == '}' {
                let kind = TemplateErrorKind::LoneBrace('}');
                return Err(TemplateError { span: offset..offset + 1, kind });
            } else {
                literal.push(character);
                offset += character.len_utf8();
            }
        }
        if !literal.is_empty() || parts.is_empty() {
            parts.push(Part::Text(literal));
        }
        // It is kept for as long as the rule, and has mostly one part.
        parts.shrink_to_fit();
        Ok(Template::Parts(parts))
    }

    /// An argument that is exactly this text, whatever it looks like.
    pub fn literal(text: &str) -> Template {
        Template::Parts(vec![Part::Text(text.to_owned())])
    }

    /// The text, if nothing in it is ever replaced.
    pub fn as_literal(&self) -> Option<&str> {
        match self {
            Template::Parts(parts) => match parts.as_slice() {
                [Part::Text(text)] => Some(text),
                _ => None,
            },
            Template::Classic(_) | Template::Paths => None,
        }
    }

    /// What stands before the first placeholder.
    pub fn beginning(&self) -> &str {
        match self {
            Template::Parts(parts) => match parts.first() {
                Some(Part::Text(text)) => text,
                Some(Part::Placeholder(_)) | None => "",
            },
            Template::Classic(_) | Template::Paths => "",
        }
    }

    /// Whether the argument begins with bytes of a file name that may be a `-`: `{name}`, `{stem}`, `{rel}`, ….
    pub fn may_begin_with_dash(&self) -> bool {
        match self {
            Template::Classic(token) => *token == ClassicToken::Name,
            Template::Paths => false,
            Template::Parts(parts) => matches!(
                parts.first(),
                Some(Part::Placeholder(
                    Placeholder::Name | Placeholder::Stem | Placeholder::Ext | Placeholder::Rel
                ))
            ),
        }
    }

    /// Appends what the argument stands for in this run: one string, or one for each path.
    pub fn expand(&self, facts: &Facts<'_>, counter: &mut u32, arguments: &mut Vec<OsString>) {
        match self {
            Template::Classic(token) => arguments.push(token.expand(facts, counter)),
            Template::Paths => {
                arguments.extend(facts.events.iter().map(|event| event.path.as_os_str().to_owned()))
            }
            Template::Parts(parts) => {
                let mut argument = Vec::new();
                for part in parts {
                    match part {
                        Part::Text(text) => argument.extend_from_slice(text.as_bytes()),
                        Part::Placeholder(placeholder) => {
                            argument.extend_from_slice(placeholder.expand(facts).as_bytes());
                        }
                    }
                }
                arguments.push(OsString::from_vec(argument));
            }
        }
    }
}

/// Reads `{word}` at the start of a text; gives its length in bytes.
fn placeholder(text: &str) -> Result<(Placeholder, usize), (usize, TemplateErrorKind)> {
    let Some(len) = text.find('}').map(|end| end + 1) else {
        return Err((1, TemplateErrorKind::LoneBrace('{')));
    };
    let word = &text[1..len - 1];
    match PLACEHOLDERS.iter().find(|(name, ..)| *name == word) {
        Some((_, Some(placeholder), _)) => Ok((*placeholder, len)),
        Some((_, None, _)) => Err((len, TemplateErrorKind::PathsInside)),
        None => Err((len, TemplateErrorKind::Unknown(word.to_owned()))),
    }
}

impl Placeholder {
    fn expand(self, facts: &Facts<'_>) -> OsString {
        let path = facts.path();
        match self {
            Placeholder::Path => path.into(),
            Placeholder::Dir => directory(path).into(),
            Placeholder::Name => name(path).into(),
            Placeholder::Stem => path.file_stem().unwrap_or(path.as_os_str()).into(),
            Placeholder::Ext => path.extension().unwrap_or_default().into(),
            Placeholder::Rel => facts.below_root().into(),
            Placeholder::Root => facts.root().into(),
            Placeholder::OldPath => facts.old_path().unwrap_or(Path::new("")).into(),
            Placeholder::Events => facts.mask().to_string().into(),
            Placeholder::Pid => facts.pid().to_string().into(),
            Placeholder::Rule => facts.rule.into(),
            Placeholder::Run => facts.run.to_string().into(),
            Placeholder::Count => facts.events.len().to_string().into(),
        }
    }
}

impl ClassicToken {
    fn expand(self, facts: &Facts<'_>, counter: &mut u32) -> OsString {
        match self {
            ClassicToken::Path => facts.path().into(),
            ClassicToken::Dir => directory(facts.path()).into(),
            ClassicToken::Name => name(facts.path()).into(),
            ClassicToken::Pid => facts.pid().to_string().into(),
            ClassicToken::CounterUp => {
                *counter = counter.wrapping_add(1);
                counter.to_string().into()
            }
            ClassicToken::CounterDown => {
                *counter = counter.wrapping_sub(1);
                counter.to_string().into()
            }
            ClassicToken::Counter => counter.to_string().into(),
        }
    }
}

impl<'r> Facts<'r> {
    /// The path of the run; in a batch, the first.
    pub fn path(&self) -> &'r Path {
        self.events.first().map_or(Path::new(""), |event| &event.path)
    }

    /// The path before a rename.
    pub fn old_path(&self) -> Option<&'r Path> {
        self.events.iter().find_map(|event| event.old_path.as_deref())
    }

    /// Everything that happened to the paths of the run.
    pub fn mask(&self) -> EventMask {
        self.events.iter().fold(EventMask::EMPTY, |mask, event| mask | event.mask)
    }

    /// The process that caused the run, 0 if unknown.
    pub fn pid(&self) -> i32 {
        self.events.iter().map(|event| event.cause.pid).find(|pid| *pid != 0).unwrap_or(0)
    }

    /// The rule's path that the run's path is at or below: the longest, where several are.
    pub fn root(&self) -> &'r Path {
        let path = self.path();
        let roots = self.roots.iter().filter(|root| path.starts_with(root));
        roots.max_by_key(|root| root.as_os_str().len()).map_or(Path::new("/"), PathBuf::as_path)
    }

    fn below_root(&self) -> &'r OsStr {
        match self.path().strip_prefix(self.root()) {
            Ok(below) if below.as_os_str().is_empty() => OsStr::new("."),
            Ok(below) => below.as_os_str(),
            Err(_) => self.path().as_os_str(),
        }
    }
}

/// The directory that a path is in; `/` is in `/`.
fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn name(path: &Path) -> &OsStr {
    path.file_name().unwrap_or(path.as_os_str())
}

impl fmt::Display for TemplateErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TemplateErrorKind::Unknown(word) => write!(f, "unknown placeholder `{{{word}}}`"),
            TemplateErrorKind::PathsInside => f.write_str("`{paths}` must be an argument of its own"),
            TemplateErrorKind::LoneBrace(brace) => write!(f, "a lone `{brace}`"),
            TemplateErrorKind::Nul => f.write_str("an argument cannot hold a NUL"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Cause, Origin};
    use std::time::SystemTime;

    fn event(path: &[u8]) -> Event {
        Event {
            mask: EventMask::ARRIVED,
            path: Path::new(OsStr::from_bytes(path)).into(),
            old_path: None,
            is_dir: false,
            cause: Cause { pid: 7, ..Cause::default() },
            time: SystemTime::UNIX_EPOCH,
            origin: Origin::Event,
            object: None,
        }
    }

    fn expand(argument: &str, paths: &[&[u8]]) -> Vec<Vec<u8>> {
        let events: Vec<Event> = paths.iter().map(|path| event(path)).collect();
        let roots = [PathBuf::from("/srv"), PathBuf::from("/srv/in")];
        let facts = Facts { rule: "r", roots: &roots, run: RunId(3), events: &events };
        let mut arguments = Vec::new();
        Template::parse(argument).expect(argument).expand(&facts, &mut 5, &mut arguments);
        arguments.into_iter().map(OsString::into_vec).collect()
    }

    #[test]
    fn every_placeholder_stands_for_its_part() {
        let path: &[u8] = b"/srv/in/a b/c.tar.gz";
        for (argument, expected) in [
            ("{path}", "/srv/in/a b/c.tar.gz"),
            ("{dir}", "/srv/in/a b"),
            ("{name}", "c.tar.gz"),
            ("{stem}", "c.tar"),
            ("{ext}", "gz"),
            ("{rel}", "a b/c.tar.gz"),
            ("{root}", "/srv/in"),
            ("{old-path}", ""),
            ("{events}", "arrived"),
            ("{pid}", "7"),
            ("{rule}", "r"),
            ("{run}", "3"),
            ("{count}", "1"),
            ("x{name}{{y}}z", "xc.tar.gz{y}z"),
            ("", ""),
            ("$$", "/srv/in/a b/c.tar.gz"),
            ("$@", "/srv/in/a b"),
            ("$#", "c.tar.gz"),
            ("$*", "7"),
            ("$+", "6"),
            ("$-", "4"),
            ("$=", "5"),
            ("x$$", "x$$"),
        ] {
            assert_eq!(expand(argument, &[path]), [expected.as_bytes()], "{argument}");
        }
        assert_eq!(expand("{rel}", &[b"/srv/in"]), [b"."]);
    }

    #[test]
    fn paths_becomes_one_argument_for_each() {
        assert_eq!(expand("{paths}", &[b"/srv/a", b"/srv/\xff"]), [&b"/srv/a"[..], b"/srv/\xff"]);
    }

    #[test]
    fn names_that_look_like_placeholders_arrive_as_they_are() {
        assert_eq!(expand("{path}{name}", &[b"/srv/{name}"]), [b"/srv/{name}{name}"]);
        assert_eq!(expand("$#", &[b"/srv/$$"]), [b"$$"]);
    }

    #[test]
    fn mistakes_are_said_with_their_place() {
        for (text, span, kind) in [
            ("a{pth}", 1..6, TemplateErrorKind::Unknown("pth".into())),
            ("{}", 0..2, TemplateErrorKind::Unknown(String::new())),
            ("a{", 1..2, TemplateErrorKind::LoneBrace('{')),
            ("a}b", 1..2, TemplateErrorKind::LoneBrace('}')),
            ("x{paths}", 1..8, TemplateErrorKind::PathsInside),
            ("a\0", 1..2, TemplateErrorKind::Nul),
        ] {
            assert_eq!(Template::parse(text), Err(TemplateError { span, kind }), "{text:?}");
        }
    }
}
