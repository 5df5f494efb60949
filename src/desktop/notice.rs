//! What a notification says: the title and body of SPEC 11, and the lines between daemon and child.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::escape;
use crate::rule::Notify;

/// A body has so many characters, as they are seen.
pub const BODY_CHARS_MAX: usize = 300;

/// Of these, so many for the path; more is cut in its middle.
const PATH_CHARS_MAX: usize = 120;

/// … and so many for the description.
const DESCRIPTION_CHARS_MAX: usize = 80;

/// The end of a run, as far as a desktop is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Whose.
    pub rule: Arc<str>,
    /// The rule's description.
    pub description: Option<String>,
    /// When the rule wants the desktop to be told.
    pub notify: Notify,
    /// Whether it is a failure, and the last try.
    pub is_failure: bool,
    /// How, in the log's words.
    pub outcome: String,
    /// From its start to its end.
    pub took: Duration,
    /// Its (first) path.
    pub path: PathBuf,
    /// The end of its error output.
    pub error_output: Vec<u8>,
    /// Whose rights it had: who may see the error output, besides the daemon's own user.
    pub user: u32,
}

/// A notification to be shown, in place of the last one with the same key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The rule's name; none: about several rules.
    pub key: Option<Arc<str>>,
    /// The title.
    pub summary: String,
    /// What everybody may see.
    pub body: String,
    /// What the user of the run, and that of the daemon, may see besides.
    pub output: String,
    /// Who the user of the run is.
    pub user: u32,
    /// How pressing.
    pub urgency: Urgency,
}

/// How pressing a notification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Urgency {
    /// It went well.
    Low,
    /// It fails again.
    Normal,
    /// It fails for the first time: stays until it is seen.
    Critical,
}

/// A line from the daemon to the child: a notification, with everything that its reader may see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// As in [`Notice`].
    pub key: Option<String>,
    /// The title.
    pub summary: String,
    /// The body, escaped for markup.
    pub body: String,
    /// How pressing.
    pub urgency: Urgency,
    /// The number under which the last one is shown, 0: none.
    pub replaces: u32,
}

/// A line from the child to the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sent {
    /// It is shown under this number.
    Shown {
        /// As in [`Letter`].
        key: Option<String>,
        /// The number.
        id: u32,
    },
    /// Nobody shows notifications there.
    NoService,
    /// The bus or the service refuses.
    Failed(String),
}

impl Notice {
    /// What is said of the end of a run that failed so many times in a row (0: it did not).
    pub fn new(ended: &Ended, failures: u64) -> Notice {
        let (word, urgency) = match failures {
            0 => ("succeeded", Urgency::Low),
            1 => ("failed", Urgency::Critical),
            _ => ("failed", Urgency::Normal),
        };
        let count = if failures > 1 { format!(", {failures} times in a row") } else { String::new() };
        let took = crate::moment::told(ended.took);
        let mut body = format!("{} after {took}{count}\n", ended.outcome);
        body += &cut_middle(&escape::text(ended.path.as_os_str().as_bytes()), PATH_CHARS_MAX);
        if let Some(description) = &ended.description {
            body.push('\n');
            body += &cut_middle(&plain(description.as_bytes()).replace('\n', " "), DESCRIPTION_CHARS_MAX);
        }
        let room = BODY_CHARS_MAX.saturating_sub(body.chars().count() + 1);
        Notice {
            key: Some(Arc::clone(&ended.rule)),
            summary: format!("facron: {} {word}", ended.rule),
            body,
            output: last_lines(&plain(&ended.error_output), room),
            user: ended.user,
            urgency,
        }
    }

    /// What is said of failures that found no room of their own.
    pub fn of_many<'r>(rules: impl ExactSizeIterator<Item = (&'r Arc<str>, &'r u64)>) -> Notice {
        const NAMES_MAX: usize = 5;
        let (mut failures, mut body) = (0, String::new());
        let more = rules.len().saturating_sub(NAMES_MAX);
        for (index, (rule, count)) in rules.enumerate() {
            failures += count;
            if index < NAMES_MAX {
                body += &format!("{rule} ({count})\n");
            }
        }
        body += &if more > 0 {
            format!("and {more} more rules; see facron status")
        } else {
            "see facron status".to_owned()
        };
        Notice {
            key: None,
            summary: format!("facron: {failures} more failures"),
            body,
            output: String::new(),
            user: 0,
            urgency: Urgency::Normal,
        }
    }

    /// What a reader gets, who may see the error output or not.
    pub fn letter(&self, shows_output: bool) -> Letter {
        let mut body = escape::markup(&self.body);
        if shows_output && !self.output.is_empty() {
            body.push('\n');
            body += &escape::markup(&self.output);
        }
        let key = self.key.as_deref().map(str::to_owned);
        Letter { key, summary: self.summary.clone(), body, urgency: self.urgency, replaces: 0 }
    }
}

/// The text of an output as a person would see it: no colours, no cursor movements, no control characters.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\n' => plain.push('\n'),
            '\t' => plain.push(' '),
            '\u{1b}' => skip_sequence(&mut characters),
            other if escape::line(other.encode_utf8(&mut [0; 4])).len() == other.len_utf8() => {
                plain.push(other)
            }
            _ => {}
        }
    }
    plain
}

/// The rest of a terminal sequence (ECMA-48): with `[` up to its final letter, else one character.
fn skip_sequence(characters: &mut impl Iterator<Item = char>) {
    if characters.next() == Some('[') {
        characters.find(|character| ('\u{40}'..='\u{7e}').contains(character));
    }
}

/// As many of the last lines as fit; of one that is too long, its end.
fn last_lines(text: &str, chars_max: usize) -> String {
    let text = text.trim();
    let count = text.chars().count();
    if count <= chars_max {
        return text.to_owned();
    }
    let rest: String = text.chars().skip(count - chars_max.saturating_sub(1)).collect();
    match rest.split_once('\n') {
        Some((_, whole_lines)) => format!("…\n{whole_lines}").chars().take(chars_max).collect(),
        None if chars_max > 1 => format!("…{rest}"),
        None => String::new(),
    }
}

/// The beginning and the end, where the whole is too long.
fn cut_middle(text: &str, chars_max: usize) -> Cow<'_, str> {
    let count = text.chars().count();
    if count <= chars_max {
        return Cow::Borrowed(text);
    }
    let half = (chars_max - 1) / 2;
    let begin: String = text.chars().take(half).collect();
    let end: String = text.chars().skip(count - half).collect();
    Cow::Owned(format!("{begin}…{end}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(path: &str, error_output: &[u8]) -> Ended {
        Ended {
            rule: "deploy".into(),
            description: Some("Puts the site online".to_owned()),
            notify: Notify::Failure,
            is_failure: true,
            outcome: "exit:3".to_owned(),
            took: Duration::from_millis(1200),
            path: path.into(),
            error_output: error_output.to_vec(),
            user: 1000,
        }
    }

    fn full(notice: &Notice) -> String {
        notice.letter(true).body
    }

    #[test]
    fn a_failure_says_what_how_and_why() {
        let notice = Notice::new(&ended("/srv/a", b"step 1\ncannot reach the host\n"), 3);
        assert_eq!(notice.summary, "facron: deploy failed");
        assert_eq!(
            full(&notice),
            "exit:3 after 1.2s, 3 times in a row\n/srv/a\nPuts the site online\nstep 1\ncannot reach the host"
        );
        assert_eq!(Notice::new(&ended("/srv/a", b""), 0).summary, "facron: deploy succeeded");
    }

    #[test]
    fn the_output_is_for_those_who_may_see_it() {
        let notice = Notice::new(&ended("/srv/a", b"the password is x"), 1);
        assert!(!notice.letter(false).body.contains("password"));
    }

    #[test]
    fn markup_and_control_characters_are_not_obeyed() {
        let output = b"\x1b[1;31m<b>&\x1b[0m\x1b]0;title\x07\r\xe2\x80\xaex\x9b\n\x00\tend";
        let body = full(&Notice::new(&ended("/srv/<img>\n\u{202e}", output), 1));
        assert!(body.contains("/srv/&lt;img&gt;\\x0a\\xe2\\x80\\xae\n"), "{body}");
        assert!(body.ends_with("\n&lt;b&gt;&amp;0;titlex\u{fffd}\n end"), "{body:?}");
    }

    #[test]
    fn everything_has_its_length() {
        let mut long = ended(&"/é".repeat(500), "ü\n".repeat(2000).as_bytes());
        long.description = Some("é".repeat(500));
        for line in [&b"x".repeat(5000)[..], &long.error_output.clone(), b""] {
            long.error_output = line.to_vec();
            let notice = Notice::new(&long, u64::MAX);
            let chars = notice.body.chars().count() + 1 + notice.output.chars().count();
            assert!(chars <= BODY_CHARS_MAX, "{chars}");
        }
        assert_eq!(last_lines("aaa\nbbb\nccc", 9), "…\nbbb\nccc");
        assert_eq!(last_lines("aaaaaaaaaaaa", 5), "…aaaa");
    }

    #[test]
    fn many_failures_are_counted_together() {
        let rules: std::collections::BTreeMap<Arc<str>, u64> =
            (0..7).map(|number| (Arc::from(format!("r{number}")), number + 1)).collect();
        let notice = Notice::of_many(rules.iter());
        assert_eq!(notice.summary, "facron: 28 more failures");
        assert_eq!(
            notice.body,
            "r0 (1)\nr1 (2)\nr2 (3)\nr3 (4)\nr4 (5)\nand 2 more rules; see facron status"
        );
    }
}
