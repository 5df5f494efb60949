//! One occurrence, as it is logged: the format of SPEC 7, as text.

use std::fmt::Write as _;
use std::time::SystemTime;

use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, Record};

use crate::escape;

/// Longer texts are cut here: a path of PATH_MAX, each byte escaped, fits.
const TEXT_BYTES_MAX: usize = 32 << 10;

/// The identifier that a failure has in the journal (`journalctl MESSAGE_ID=…`), by its message, where it is logged
/// as a warning or an error; made with `uuidgen -r`, never to be changed.
pub const MESSAGE_IDS: &[(&str, &str)] = &[
    ("run ended", "6a51dd32440f4aeeafefdfef7d24cedb"),
    ("dropped", "bea6b9927e774a40a5a5333293737e27"),
    ("overflow", "48352b55b3ba477c89da6f23f7f6e475"),
    ("degraded", "5f187d0644aa49b2b555495a3b515252"),
    ("reload refused", "5e1385bf903c4b3b9ec66471fed126d0"),
];

/// An occurrence with its fields, ready to be written: nothing in it can break a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub time: SystemTime,
    /// How bad.
    pub level: Level,
    /// What.
    pub message: String,
    /// To whom and how, in the order of the call.
    pub fields: Vec<(String, String)>,
}

impl Entry {
    /// What a log call says, at this time.
    pub fn new(record: &Record<'_>, time: SystemTime) -> Entry {
        let mut fields = Fields(Vec::new());
        record.key_values().visit(&mut fields).expect("Fields never refuses a field");
        let message = shown(record.args().to_string());
        Entry { time, level: record.level(), message, fields: fields.0 }
    }

    /// The line of text, with its newline.
    pub fn line(&self, is_coloured: bool) -> String {
        let time = humantime::format_rfc3339_millis(self.time);
        let (colour, end) = if is_coloured { (colour(self.level), "\x1b[0m") } else { ("", "") };
        // The blanks that pad a level stand outside of its colour.
        let padding = 5 - self.level.as_str().len();
        format!("{time} {colour}{}{end}{:padding$} {}\n", self.level, "", self.text())
    }

    /// Message and fields.
    pub fn text(&self) -> String {
        let mut text = self.message.clone();
        for (index, (key, value)) in self.fields.iter().enumerate() {
            let is_last = index + 1 == self.fields.len();
            // The last value, often a path, reaches to the end of the line; one before it must show where it ends.
            if !is_last && (value.is_empty() || value.contains([' ', '"'])) {
                write!(text, " {key}=\"{}\"", value.replace('"', "\\x22"))
            } else {
                write!(text, " {key}={value}")
            }
            .expect("a String takes everything");
        }
        text
    }

    /// The identifier in the journal, for failures.
    pub fn message_id(&self) -> Option<&'static str> {
        let is_failure = self.level <= Level::Warn;
        MESSAGE_IDS.iter().find(|(message, _)| is_failure && *message == self.message).map(|(_, id)| *id)
    }

    /// About how much memory it takes.
    pub(super) fn cost(&self) -> usize {
        let fields: usize = self.fields.iter().map(|(key, value)| key.len() + value.len() + 64).sum();
        self.message.len() + fields + 128
    }
}

struct Fields(Vec<(String, String)>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        self.0.push((key.as_str().to_owned(), shown(value.to_string())));
        Ok(())
    }
}

/// One printable line of bounded length, whoever made it.
fn shown(text: String) -> String {
    let mut text = match escape::line(&text) {
        std::borrow::Cow::Borrowed(_) => text,
        std::borrow::Cow::Owned(escaped) => escaped,
    };
    if text.len() > TEXT_BYTES_MAX {
        let whole = text.len();
        let end = (0..=TEXT_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        write!(text, "… ({} more bytes)", whole - end).expect("a String takes everything");
    }
    text
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::Error => "\x1b[1;31m",
        Level::Warn => "\x1b[33m",
        Level::Info => "\x1b[32m",
        Level::Debug => "\x1b[34m",
        Level::Trace => "\x1b[2m",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn entry(level: Level, message: &str, fields: &[(&str, &str)]) -> Entry {
        // 2026-01-02T03:04:05.678Z
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_323_045_678);
        let record =
            |args| Entry::new(&Record::builder().args(args).level(level).key_values(&fields).build(), time);
        record(format_args!("{message}"))
    }

    #[test]
    fn the_line_is_that_of_the_contract() {
        let fields = [
            ("rule", "reload-nginx"),
            ("run", "17"),
            ("outcome", "exit:0"),
            ("took", "1.2s"),
            ("path", "/etc/nginx/a b.conf"),
        ];
        let ended = entry(Level::Info, "run ended", &fields);
        assert_eq!(
            ended.line(false),
            "2026-01-02T03:04:05.678Z INFO  run ended rule=reload-nginx run=17 outcome=exit:0 took=1.2s path=/etc/nginx/a b.conf\n"
        );
        assert_eq!(entry(Level::Error, "panic", &[]).line(false), "2026-01-02T03:04:05.678Z ERROR panic\n");
    }

    #[test]
    fn only_the_word_of_the_level_is_coloured() {
        let line = entry(Level::Warn, "overflow", &[]).line(true);
        assert_eq!(line, "2026-01-02T03:04:05.678Z \x1b[33mWARN\x1b[0m  overflow\n");
    }

    #[test]
    fn a_value_cannot_forge_a_line_or_a_field() {
        let forged = "x\n2026-01-02T03:04:05.678Z INFO  run ended rule=r\u{202e}\u{9b}";
        let line = entry(Level::Info, "a\nb", &[("exe", "/a b\" rule=c"), ("path", forged)]).line(false);
        assert_eq!(
            line,
            "2026-01-02T03:04:05.678Z INFO  a\\x0ab exe=\"/a b\\x22 rule=c\" path=x\\x0a2026-01-02T03:04:05.678Z \
             INFO  run ended rule=r\\xe2\\x80\\xae\\xc2\\x9b\n"
        );
    }

    #[test]
    fn what_was_escaped_already_is_not_escaped_twice() {
        let path = escape::text(b"/a\\\xff");
        assert_eq!(entry(Level::Info, "m", &[("path", &path)]).text(), r"m path=/a\x5c\xff");
    }

    #[test]
    fn a_long_value_is_cut_and_says_so() {
        let entry = entry(Level::Info, "m", &[("a", &"é".repeat(TEXT_BYTES_MAX))]);
        assert!(entry.text().ends_with("é… (32768 more bytes)"), "{}", &entry.text()[TEXT_BYTES_MAX..]);
    }

    #[test]
    fn only_failures_have_an_identifier() {
        assert_eq!(entry(Level::Info, "run ended", &[]).message_id(), None);
        assert_eq!(entry(Level::Warn, "run ended", &[]).message_id(), Some(MESSAGE_IDS[0].1));
        assert_eq!(entry(Level::Error, "something else", &[]).message_id(), None);
    }
}
