//! The path of a line of an incrontab: what is watched, and which names of it.

use crate::glob::Glob;
use crate::import::codes;
use crate::import::findings::Findings;
use crate::import::path::clean;
use crate::import::table::{Line, Owner, shown};

use super::Context;
use super::words::Entry;

/// What a path asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Watched {
    /// Absolute and clean.
    pub path: String,
    /// Below it, what a `*` takes; none: everything.
    pub pattern: Option<Pattern>,
}

/// The part of a path that begins with the first component with a `*`.
#[derive(Debug, PartialEq, Eq)]
pub struct Pattern {
    /// As a glob of `include`.
    pub glob: String,
    /// Whether it takes directories, and what is in them: more components follow the first, or it is `*`.
    pub is_deep: bool,
}

/// Reads the path; none: the reasons are among the findings.
pub fn parse(
    line: &Line<'_>,
    entry: &Entry<'_>,
    context: &Context<'_>,
    findings: &mut Findings,
) -> Option<Watched> {
    let range = || line.at(entry.path_range.clone());
    let said = shown(&entry.path);
    let Ok(text) = std::str::from_utf8(&entry.path) else {
        findings.push(&codes::NOT_UTF8, range(), format!("the path `{said}` is not UTF-8"), None);
        return None;
    };
    if text.starts_with(['"', '\'']) {
        let help = "put a backslash before each blank of the path, without quotes".to_owned();
        findings.push(
            &codes::QUOTED_PATH,
            range(),
            format!("the path `{said}` begins with a quote"),
            Some(help),
        );
        return None;
    }
    if text.contains(['$', '`']) {
        let message = format!("the path `{said}` has shell syntax in it");
        let help = "write the path that it stands for".to_owned();
        findings.push(&codes::PATH_FOR_SHELL, range(), message, Some(help));
        return None;
    }
    if entry.has_escaped_blank {
        findings.push(&codes::ESCAPED_BLANK, range(), format!("the path is `{said}`"), None);
    }
    let absolute = absolute(line, entry, text, context, findings)?;
    if absolute.split('/').any(|component| component == "..") {
        let message = format!("the path `{said}` becomes `{}`", shown(clean(&absolute).as_bytes()));
        findings.push(&codes::CLEANED_PATH, range(), message, None);
    }
    let cleaned = clean(&absolute);
    let components: Vec<&str> = cleaned.split('/').skip(1).collect();
    let Some(first) = components.iter().position(|component| component.contains('*')) else {
        return Some(Watched { path: cleaned.into_owned(), pattern: None });
    };
    let (above, below) = components.split_at(first);
    let watched = Watched {
        path: format!("/{}", above.join("/")),
        pattern: Some(Pattern { glob: glob(&below.join("/")), is_deep: below.len() > 1 || below == ["*"] }),
    };
    let message = format!("the path `{said}` becomes `{}` and a pattern", shown(watched.path.as_bytes()));
    findings.push(&codes::PATTERN, range(), message, None);
    let glob = watched.pattern.as_ref().map_or("", |pattern| &pattern.glob);
    if let Err(error) = Glob::parse(&format!("{glob}/**")) {
        let message = format!("the pattern `{}` cannot be a glob: {error}", shown(glob.as_bytes()));
        findings.push(&codes::BAD_PATTERN, range(), message, None);
        return None;
    }
    Some(watched)
}

/// The path with what it starts from.
fn absolute(
    line: &Line<'_>,
    entry: &Entry<'_>,
    text: &str,
    context: &Context<'_>,
    findings: &mut Findings,
) -> Option<String> {
    let range = line.at(entry.path_range.clone());
    let said = shown(&entry.path);
    if let Some(rest) = text.strip_prefix('~') {
        let home = match context.owner {
            Owner::User(user) if rest.is_empty() || rest.starts_with('/') => context.surroundings.home(user),
            Owner::User(_) | Owner::System => None,
        };
        let Some(home) = home else {
            let message = format!("whose home directory is meant by `{said}` is not known");
            let help = "write its path".to_owned();
            findings.push(&codes::HOME_UNKNOWN, range, message, Some(help));
            return None;
        };
        let absolute = format!("{home}{rest}");
        let message = format!("the path `{said}` becomes `{}`", shown(absolute.as_bytes()));
        findings.push(&codes::HOME, range, message, None);
        return Some(absolute);
    }
    if text.starts_with('/') {
        return Some(text.to_owned());
    }
    let absolute = format!("/{text}");
    let message = format!("the path `{said}` becomes `{}`", shown(clean(&absolute).as_bytes()));
    findings.push(&codes::ROOT_RELATIVE, range, message, None);
    Some(absolute)
}

/// incron knew no pattern but `*`; what only looks like more stands for itself.
fn glob(text: &str) -> String {
    let mut glob = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        if matches!(character, '?' | '[' | '{' | '\\') || (at == 0 && matches!(character, '!' | '@')) {
            glob.push('\\');
        }
        glob.push(character);
    }
    glob
}
