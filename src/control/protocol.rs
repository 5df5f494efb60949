//! What goes over the control socket: one JSON object a line, each with the version of the protocol.
//!
//! ```text
//! {"version":1,"verb":"trigger","rule":"build","paths":[{"path":"/srv/a"}]}
//! {"version":1,"done":{"messages":[]}}
//! ```

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{DecisionStatus, Status};
use crate::escape;

/// The version of both directions. A change that an older reader would misunderstand raises it.
pub const PROTOCOL_VERSION: u32 = 1;

/// A request may be this long.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// What of a message that repeats somebody else's text is shown.
const ERROR_CHARS_MAX: usize = 300;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Verb {
    /// Say how things are.
    Status {
        /// Only this rule, with its last decisions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
        /// And go on with each decision as it is taken.
        #[serde(default)]
        follow: bool,
    },
    /// Treat these paths of the rule as just changed; none: its own.
    Trigger {
        /// Which rule.
        rule: String,
        /// Absolute.
        #[serde(default)]
        paths: Vec<WirePath>,
    },
    /// What arrives for the rule waits from now on.
    Pause {
        /// Which rule.
        rule: String,
    },
    /// … and runs again.
    Resume {
        /// Which rule.
        rule: String,
    },
    /// Read the rules again; answered when it is done.
    Reload {},
}

/// What the daemon answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// To `status`.
    Status(Box<Status>),
    /// To the others: it is done.
    Done {
        /// What there is to say about it: warnings of a reload.
        messages: Vec<String>,
    },
    /// To all: it is not done.
    Refused {
        /// Why: a lower-case sentence.
        error: String,
        /// Details: the findings of a reload.
        #[serde(default)]
        messages: Vec<String>,
    },
    /// To `status` with `follow`, again and again.
    Decision {
        /// Whose.
        rule: String,
        /// What.
        decision: Box<DecisionStatus>,
    },
    /// In between, where a reader was too slow for so many of them.
    Missed(u64),
}

/// A path in JSON, as SPEC 4 has it: `path`, or `path_bytes` where it is no UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WirePath {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
}

impl WirePath {
    /// The path; none: there is none in it.
    pub fn to_path(&self) -> Option<PathBuf> {
        escape::path_from_json(self.path.as_deref(), self.path_bytes.as_deref())
    }
}

impl From<&Path> for WirePath {
    fn from(path: &Path) -> Self {
        let (key, value) = escape::json_path("path", path);
        match &*key {
            "path" => WirePath { path: Some(value.into_owned()), path_bytes: None },
            _ => WirePath { path: None, path_bytes: Some(value.into_owned()) },
        }
    }
}

impl Response {
    /// A refusal with nothing more to say.
    pub fn refused(error: impl Into<String>) -> Response {
        Response::Refused { error: error.into(), messages: Vec::new() }
    }

    /// As a line.
    pub fn to_line(&self) -> Vec<u8> {
        line(serde_json::to_value(self))
    }

    /// From a line of the daemon.
    ///
    /// # Errors
    /// What is wrong with it, fit to be shown.
    pub fn from_line(line: &[u8]) -> Result<Response, String> {
        let object = object(line)?;
        serde_json::from_value(object).map_err(|error| shown(&error.to_string()))
    }
}

impl Verb {
    /// As a line.
    pub fn to_line(&self) -> Vec<u8> {
        line(serde_json::to_value(self))
    }

    /// From a line of a client.
    ///
    /// # Errors
    /// What is wrong with it, fit to be shown.
    pub fn from_line(line: &[u8]) -> Result<Verb, String> {
        let object = object(line)?;
        serde_json::from_value(object).map_err(|error| shown(&error.to_string()))
    }
}

fn line(value: serde_json::Result<Value>) -> Vec<u8> {
    let Ok(Value::Object(mut object)) = value else { unreachable!("every message is an object") };
    object.insert("version".to_owned(), PROTOCOL_VERSION.into());
    let mut line = Value::Object(object).to_string().into_bytes();
    line.push(b'\n');
    line
}

/// The object of a line without its version, which is ours.
fn object(line: &[u8]) -> Result<Value, String> {
    let mut object: Map<String, Value> = serde_json::from_slice(line)
        .map_err(|error| format!("not a JSON object: {}", shown(&error.to_string())))?;
    match object.remove("version") {
        Some(Value::Number(version)) if version.as_u64() == Some(PROTOCOL_VERSION.into()) => {
            Ok(Value::Object(object))
        }
        Some(version) => Err(format!(
            "protocol version {} is not known here, only {PROTOCOL_VERSION}",
            shown(&version.to_string())
        )),
        None => Err("the object has no version".to_owned()),
    }
}

fn shown(error: &str) -> String {
    let error = escape::line(error);
    match error.char_indices().nth(ERROR_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &error[..end]),
        None => error.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn every_verb_comes_back_as_it_was() {
        let rule = || "a".to_owned();
        let path = Path::new(OsStr::from_bytes(b"/srv/\xff"));
        let verbs = [
            Verb::Status { rule: None, follow: false },
            Verb::Status { rule: Some(rule()), follow: true },
            Verb::Trigger {
                rule: rule(),
                paths: vec![WirePath::from(path), WirePath::from(Path::new("/a"))],
            },
            Verb::Pause { rule: rule() },
            Verb::Resume { rule: rule() },
            Verb::Reload {},
        ];
        for verb in verbs {
            let line = verb.to_line();
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            assert_eq!(Verb::from_line(&line), Ok(verb));
        }
        assert_eq!(WirePath::from(path).to_path().as_deref(), Some(path));
    }

    #[test]
    fn what_is_no_request_is_refused_with_the_reason() {
        let cases = [
            ("", "not a JSON object"),
            ("[]", "not a JSON object"),
            (&"[".repeat(60_000), "not a JSON object"),
            (r#"{"verb":"status"}"#, "no version"),
            (r#"{"version":2,"verb":"status"}"#, "version 2 is not known"),
            (r#"{"version":"1","verb":"status"}"#, "is not known"),
            (r#"{"version":1}"#, "missing field `verb`"),
            (r#"{"version":1,"verb":"exec","command":["/bin/sh"]}"#, "unknown variant `exec`"),
            (r#"{"version":1,"verb":"reload","rule":"a"}"#, "unknown field `rule`"),
            (r#"{"version":1,"verb":"pause"}"#, "missing field `rule`"),
            (r#"{"version":1,"verb":"trigger","rule":"a","paths":[{"path":1}]}"#, "invalid type"),
        ];
        for (line, expected) in cases {
            let error = Verb::from_line(line.as_bytes()).expect_err(line);
            assert!(error.contains(expected), "{line}: {error}");
        }
        let error = Verb::from_line(format!(r#"{{"version":1,"verb":"{}\n"}}"#, "x".repeat(9999)).as_bytes());
        assert!(error.expect_err("no verb").len() < 400);
    }

    #[test]
    fn responses_come_back_as_they_were() {
        for response in [
            Response::Done { messages: vec!["a\nb".to_owned()] },
            Response::refused("no rule \"x\""),
            Response::Missed(7),
        ] {
            assert_eq!(Response::from_line(&response.to_line()), Ok(response));
        }
    }
}
