//! The journal as a sink: the line is the message, and each field is a field (`journalctl FACRON_RULE=…`).

use std::io;

use log::Record;
use systemd_journal_logger::JournalLog;

use super::{Entry, Sink};

/// Entries as native messages (systemd.journal-fields(7)).
pub(super) struct JournalSink {
    journal: JournalLog,
}

/// The journal, where standard error is connected to it (`$JOURNAL_STREAM`) and it can be reached.
pub(super) fn connect() -> Option<JournalSink> {
    if !systemd_journal_logger::connected_to_journal() {
        return None;
    }
    let journal = JournalLog::empty().ok()?.with_syslog_identifier("facron".to_owned());
    Some(JournalSink { journal })
}

impl Sink for JournalSink {
    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let fields = fields(entry);
        let text = entry.text();
        self.journal.journal_send(
            &Record::builder()
                .args(format_args!("{text}"))
                .level(entry.level)
                .target(env!("CARGO_CRATE_NAME"))
                .key_values(&fields)
                .build(),
        )
    }
}

/// `rule` becomes `FACRON_RULE`, so that no field of ours meets one of the journal's own.
fn fields(entry: &Entry) -> Vec<(String, &str)> {
    let own = entry.fields.iter();
    let own =
        own.map(|(key, value)| (format!("FACRON_{}", key.to_ascii_uppercase().replace('-', "_")), &**value));
    own.chain(entry.message_id().map(|id| ("MESSAGE_ID".to_owned(), id))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::Level;

    #[test]
    fn keys_become_fields_and_failures_get_their_identifier() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let entry = Entry {
            time: std::time::SystemTime::UNIX_EPOCH,
            level: Level::Warn,
            message: "run ended".to_owned(),
            fields: vec![pair("rule", "a"), pair("watched-by", "x")],
        };
        let fields = fields(&entry);
        let names: Vec<&str> = fields.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["FACRON_RULE", "FACRON_WATCHED_BY", "MESSAGE_ID"]);
        assert_eq!(Some(fields[2].1), entry.message_id());
    }
}
