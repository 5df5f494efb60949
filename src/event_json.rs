//! An event as one JSON object, for commands (`stdin = "json"`) and for people's tools.

use std::borrow::Cow;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::escape::{self, json_path};
use crate::event::Event;

/// The last second that RFC 3339 has a year for.
const SECONDS_MAX: u64 = 253_402_300_799;

/// The object on one line, without the end of the line.
pub fn text(event: &Event) -> String {
    let text = serde_json::to_string(&Json(event)).expect("every value of an event can be said in JSON");
    match escape::json(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(text) => text,
    }
}

/// Writes an event in the order of the manual; what is not known is null.
#[derive(Debug)]
pub struct Json<'e>(pub &'e Event);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Json(event) = self;
        let cause = &event.cause;
        let events: Vec<&str> = event.mask.kinds().map(|kind| kind.name).collect();
        let mut map = serializer.serialize_map(None)?;
        serialize_path(&mut map, "path", Some(&event.path))?;
        map.serialize_entry("events", &events)?;
        serialize_path(&mut map, "old_path", event.old_path.as_deref())?;
        map.serialize_entry("dir", &event.is_dir)?;
        map.serialize_entry("pid", &(cause.pid != 0).then_some(cause.pid))?;
        serialize_path(&mut map, "exe", cause.exe.as_deref())?;
        map.serialize_entry("time", &time(event.time))?;
        map.serialize_entry("origin", event.origin.as_str())?;
        map.end()
    }
}

fn serialize_path<M: SerializeMap>(
    map: &mut M,
    key: &'static str,
    path: Option<&Path>,
) -> Result<(), M::Error> {
    match path.map(|path| json_path(key, path)) {
        Some((key, value)) => map.serialize_entry(&key, &value),
        None => map.serialize_entry(key, &()),
    }
}

/// RFC 3339 in UTC, to the millisecond; a time that it has no year for is the nearest that it has one for.
fn time(time: SystemTime) -> String {
    let latest = SystemTime::UNIX_EPOCH + Duration::from_secs(SECONDS_MAX);
    humantime::format_rfc3339_millis(time.clamp(SystemTime::UNIX_EPOCH, latest)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Cause, EventMask, Origin};
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::PathBuf;

    #[test]
    fn what_deceives_a_terminal_is_escaped_as_json_does() {
        let event = Event {
            mask: EventMask::ARRIVED,
            path: Path::new("/srv/\u{202e}\u{9b}\u{2028}é").into(),
            old_path: None,
            is_dir: false,
            cause: Cause::default(),
            time: SystemTime::UNIX_EPOCH,
            origin: Origin::Event,
            object: None,
        };
        assert!(text(&event).starts_with(r#"{"path":"/srv/\u202e\u009b\u2028é","#), "{}", text(&event));
    }

    #[test]
    fn an_event_is_one_line_with_every_fact_of_it() {
        let mut event = Event {
            mask: EventMask::ARRIVED | EventMask::DELETE,
            path: Path::new("/srv/a \"b\"\n").into(),
            old_path: None,
            is_dir: false,
            cause: Cause { pid: 4711, exe: Some(Path::new("/usr/bin/cp").into()), ..Cause::default() },
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_323_045_678),
            origin: Origin::CatchUp,
            object: None,
        };
        let expected = r#"{"path":"/srv/a \"b\"\n","events":["arrived","delete"],"old_path":null,"dir":false,"pid":4711,"exe":"/usr/bin/cp","time":"2026-01-02T03:04:05.678Z","origin":"catch-up"}"#;
        assert_eq!(text(&event), expected);
        event.path = Path::new(OsStr::from_bytes(b"/\xff")).into();
        event.old_path = Some(PathBuf::from("/old"));
        event.cause = Cause::default();
        event.time = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        let expected = r#"{"path_bytes":"L/8=","events":["arrived","delete"],"old_path":"/old","dir":false,"pid":null,"exe":null,"time":"1970-01-01T00:00:00.000Z","origin":"catch-up"}"#;
        assert_eq!(text(&event), expected);
    }
}
