//! `on`: events, sets of events, and arrays of events that are all asked for.

use toml::de::DeValue;

use super::keys::Key;
use super::text::{nearest, shown};
use super::value::{Value, Values};
use crate::codes::{BAD_EVENTS, UNKNOWN_EVENT};
use crate::event::{EVENTS, EventMask, EventSet, SETS};
use crate::rule::On;

/// Words that people coming from elsewhere write, and ours for it.
const FOREIGN_EVENTS: &[(&str, &str)] = &[
    ("changed", "change"),
    ("created", "create"),
    ("deleted", "delete"),
    ("executed", "open-exec"),
    ("moved", "move"),
    ("opened", "open"),
    ("remove", "delete"),
    ("removed", "delete"),
    ("renamed", "rename"),
    ("update", "modify"),
    ("updated", "modify"),
    ("write", "close-write"),
    ("written", "close-write"),
];

/// An event, or a set of which any will do.
enum Named {
    Event(EventMask),
    Set(&'static EventSet),
}

impl Values<'_, '_> {
    /// What a rule asks for.
    pub fn events(&mut self, key: &Key, value: &Value<'_>) -> Option<On> {
        let items = self.items(value);
        if items.is_empty() {
            let finding = self.at(BAD_EVENTS, value.span(), "a rule without events never fires");
            self.report(finding.with_help("leave `on` out for `\"change\"`"));
            return None;
        }
        let mut on = On::default();
        let mut is_fine = true;
        for item in items {
            if self.findings.is_full() {
                return None;
            }
            is_fine &= match item.get_ref() {
                DeValue::Array(group) => match self.all_of(key, item, group) {
                    Some(group) => {
                        // All of one event is that event.
                        if group.kinds().count() == 1 {
                            on.any |= group
                        } else {
                            on.all_of.push(group)
                        }
                        true
                    }
                    None => false,
                },
                _ => match self.event(key, item) {
                    Some(Named::Event(event)) => {
                        on.any |= event;
                        true
                    }
                    Some(Named::Set(set)) => {
                        on.any |= set.members;
                        on.any_directory |= set.directory_members;
                        true
                    }
                    None => false,
                },
            };
        }
        let wanted = on.wanted();
        if is_fine && wanted.intersects(EventMask::ALL_PERMISSION) {
            let others = wanted.without(EventMask::ALL_PERMISSION);
            if !others.is_empty() {
                let message = format!("permission events cannot be mixed with `{others}` in one rule");
                let finding = self.at(BAD_EVENTS, value.span(), message);
                self.report(finding.with_help("write two rules: only one of them makes the opener wait"));
                return None;
            }
            if let Some(group) = on.all_of.first() {
                let message = format!("`{group}` cannot be gathered: the opener waits for an answer to each");
                let finding = self.at(BAD_EVENTS, value.span(), message);
                self.report(finding.with_help("without the inner array, any of them will do"));
                return None;
            }
        }
        is_fine.then_some(on)
    }

    /// An inner array: all of its events.
    fn all_of(&mut self, key: &Key, array: &Value<'_>, group: &[Value<'_>]) -> Option<EventMask> {
        if group.is_empty() {
            let finding = self.at(BAD_EVENTS, array.span(), "this asks for all of no events");
            self.report(finding);
            return None;
        }
        let mut all = EventMask::EMPTY;
        let mut is_fine = true;
        for item in group {
            let (fault, help) = match self.event(key, item) {
                Some(Named::Event(EventMask::Q_OVERFLOW)) => {
                    ("`q-overflow` is about no path, so it stands alone".to_owned(), None)
                }
                Some(Named::Event(event)) => {
                    all |= event;
                    continue;
                }
                Some(Named::Set(set)) => (
                    format!(
                        "an inner array asks for all of its events, and `{}` is any of several",
                        set.name
                    ),
                    Some(format!("write the events that are meant; `{}` is {}", set.name, set.about)),
                ),
                None => {
                    is_fine = false;
                    continue;
                }
            };
            let finding = self.at(BAD_EVENTS, item.span(), fault);
            self.report(crate::diagnostic::Diagnostic { help, ..finding });
            is_fine = false;
        }
        is_fine.then_some(all)
    }

    fn event(&mut self, key: &Key, item: &Value<'_>) -> Option<Named> {
        let name = self.string(key, item)?;
        if let Some(event) = EventMask::from_name(name) {
            return Some(Named::Event(event));
        }
        if let Some(set) = EventSet::from_name(name) {
            return Some(Named::Set(set));
        }
        let finding = self.at(UNKNOWN_EVENT, item.span(), format!("unknown event {}", shown(name)));
        self.report(match nearest_event(name) {
            Some(near) => finding.with_help(format!("did you mean `\"{near}\"`?")).with_fix(
                item.span(),
                format!("\"{near}\""),
                false,
            ),
            None => finding.with_help(no_event(name)),
        });
        None
    }
}

/// What to do where no event is near: the flags of fanotify(7) are keys here.
fn no_event(name: &str) -> &'static str {
    match name.to_ascii_lowercase().replace('_', "-").trim_start_matches("fan-") {
        "ondir" => "it is no event: events on directories count with `dirs = true`",
        "event-on-child" => {
            "it is no event: what is in a directory counts already, and `scope` says how deep"
        }
        _ => "the events are listed in facron.toml(5)",
    }
}

/// The event that was probably meant: ours in another spelling, inotify's, or a neighbour.
pub fn nearest_event(name: &str) -> Option<&'static str> {
    if name.len() > 64 {
        return None;
    }
    let lower = name.to_ascii_lowercase().replace('_', "-");
    let bare = lower.strip_prefix("fan-").or(lower.strip_prefix("in-")).unwrap_or(&lower);
    let foreign = FOREIGN_EVENTS.iter().find(|(foreign, _)| *foreign == bare).map(|(_, ours)| *ours);
    let ours = EVENTS.iter().map(|kind| kind.name).chain(SETS.iter().map(|set| set.name));
    foreign.or_else(|| nearest(bare, ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_that_was_meant_is_found() {
        for (unknown, expected) in [
            ("close_write", Some("close-write")),
            ("IN_CLOSE_WRITE", Some("close-write")),
            ("in_move", Some("move")),
            ("FAN_CLOSE_WRIT", Some("close-write")),
            ("modfy", Some("modify")),
            ("written", Some("close-write")),
            ("zzz", None),
        ] {
            assert_eq!(nearest_event(unknown), expected, "{unknown}");
        }
    }
}
