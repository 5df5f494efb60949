//! From any path and any words to a line, to a rule, and back to the same words.

use crate::corpus;
use facron::event::{Cause, Event, EventMask, Origin, RunId};
use facron::import::{Dialect, Owner};
use facron::template::{CLASSIC_TOKENS, Facts, Template};
use proptest::prelude::*;
use std::path::PathBuf;
use std::time::SystemTime;

const PATH: &str = "/srv/d/the name";

/// What a rule would run for a path.
pub fn expanded(arguments: &[String], path: &str) -> Vec<String> {
    let roots = [PathBuf::from("/srv/d")];
    let events = [Event {
        mask: EventMask::OPEN,
        path: std::path::Path::new(path).into(),
        old_path: None,
        is_dir: false,
        cause: Cause { pid: 7, ..Cause::default() },
        time: SystemTime::UNIX_EPOCH,
        origin: Origin::Event,
        object: None,
    }];
    let facts = Facts { rule: "r", roots: &roots, run: RunId(3), events: &events };
    let mut expanded = Vec::new();
    for argument in arguments {
        let template = Template::parse(argument).unwrap_or_else(|error| panic!("{argument}: {error:?}"));
        template.expand(&facts, &mut 5, &mut expanded);
    }
    expanded.into_iter().map(|argument| argument.into_string().expect("text")).collect()
}

/// A word of facron.conf: a quote that is not in it, or none.
fn quoted(word: &str) -> Option<String> {
    let is_plain = !word.is_empty() && !word.starts_with(['"', '\'']) && !word.contains([' ', '\t', '\r']);
    match () {
        () if is_plain => Some(word.to_owned()),
        () if !word.contains('\'') => Some(format!("'{word}'")),
        () if !word.contains('"') => Some(format!("\"{word}\"")),
        () => None,
    }
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof!["[^\0\n]{0,12}", "[$@#{}|a-z ]{0,6}", "\\{(path|name|paths)\\}"]
}

proptest! {
    #[test]
    fn words_of_facron_conf_arrive_as_they_were(
        path in "(/[^\0\n/]{1,8}){1,4}",
        words in proptest::collection::vec(word(), 0..6),
    ) {
        let is_clean = path.split('/').all(|component| !matches!(component, "." | ".."));
        // A backslash at the very end is refused as a continuation.
        prop_assume!(is_clean && words.last().is_none_or(|word| word != "\\"));
        let Some(path_word) = quoted(&path) else { return Ok(()) };
        let Some(command) = words.iter().map(|word| quoted(word)).collect::<Option<Vec<_>>>() else { return Ok(()) };
        let line = format!("{path_word} FAN_OPEN /bin/x {}\n", command.join(" "));
        let import = corpus::import(line.as_bytes(), Dialect::Facron, Owner::System);
        let rules = corpus::rules(&import);
        prop_assert_eq!(rules.len(), 1, "{}\n{:?}", line, import.findings);
        prop_assert_eq!(rules[0]["path"].as_str(), Some(path.as_str()));
        let arguments = expanded(&corpus::strings(&rules[0], "command")[1..], PATH);
        let expected: Vec<String> = words
            .iter()
            .map(|word| match word.as_str() {
                token if CLASSIC_TOKENS.iter().any(|(name, ..)| *name == token) => expanded(&[token.to_owned()], PATH).remove(0),
                plain => plain.to_owned(),
            })
            .collect();
        prop_assert_eq!(arguments, expected, "{}", line);
    }

    #[test]
    fn quoted_words_of_an_incrontab_arrive_as_bash_would_have_read_them(
        words in proptest::collection::vec("[^\0\n\r$]{0,12}", 0..6),
    ) {
        let command = shell_words::join(std::iter::once("/bin/x").chain(words.iter().map(String::as_str)));
        let line = format!("/srv/d IN_OPEN {command}\n");
        let import = corpus::import(line.as_bytes(), Dialect::Incron, Owner::System);
        let rules = corpus::rules(&import);
        prop_assert_eq!(rules.len(), 1, "{}\n{:?}", line, import.findings);
        match rules[0].get("command") {
            Some(_) => prop_assert_eq!(expanded(&corpus::strings(&rules[0], "command")[1..], PATH), words, "{}", line),
            // Quotes make it arguments, whatever is in them.
            None => prop_assert!(false, "{} became shell text", line),
        }
    }
}
