//! What people ask of the running daemon, over the control socket.

use std::path::{Path, PathBuf};

use crate::control::{ClientId, Request, Response, Verb, WirePath};
use crate::engine::Input;
use crate::event::{Cause, Event, EventMask, Origin};
use crate::moment::Moment;
use crate::rule::{On, Rule, RuleId};
use crate::sys::clock;

use super::Daemon;
use super::reload::STOPPING;

impl Daemon {
    pub(super) fn take_requests(&mut self, now: Moment) {
        let Some(server) = &mut self.server else { return };
        for Request { client, verb } in server.ready(now) {
            self.take_request(now, client, verb);
        }
    }

    pub(super) fn answer(&mut self, now: Moment, client: ClientId, response: Response) {
        if let Some(server) = &mut self.server {
            server.answer(client, &response, now);
        }
    }

    fn take_request(&mut self, now: Moment, client: ClientId, verb: Verb) {
        let response = match verb {
            Verb::Status { rule, .. } => self.status(rule.as_deref()),
            Verb::Reload {} => return self.reload(now, Some(client)),
            Verb::Trigger { rule, paths } => {
                self.with_rule(&rule, |daemon, id| daemon.trigger(now, id, &paths))
            }
            Verb::Pause { rule } => self.with_rule(&rule, |daemon, id| {
                daemon.input(now, Input::Pause(id));
                log::info!(rule = rule; "paused");
                Ok(())
            }),
            Verb::Resume { rule } => self.with_rule(&rule, |daemon, id| {
                daemon.input(now, Input::Resume(id));
                log::info!(rule = rule; "resumed");
                Ok(())
            }),
        };
        self.answer(now, client, response);
    }

    fn with_rule(
        &mut self,
        name: &str,
        act: impl FnOnce(&mut Self, RuleId) -> Result<(), String>,
    ) -> Response {
        let Some(id) = self.rule_id(name) else { return self.no_such_rule(name) };
        match act(self, id) {
            Ok(()) => Response::Done { messages: Vec::new() },
            Err(error) => Response::refused(error),
        }
    }

    pub(super) fn rule_id(&self, name: &str) -> Option<RuleId> {
        self.rules.iter().find(|(_, rule)| &*rule.name == name).map(|(id, _)| id)
    }

    pub(super) fn no_such_rule(&self, name: &str) -> Response {
        if self.about.disabled.iter().any(|rule| &*rule.name == name) {
            let name = crate::escape::text(name.as_bytes());
            return Response::refused(format!("the rule `{name}` is disabled (`enabled = false`)"));
        }
        let names = self.rules.rules.iter().map(|rule| &*rule.name);
        let nearest = crate::config::nearest(name, names);
        let name = crate::escape::text(name.as_bytes());
        match nearest {
            Some(nearest) => {
                Response::refused(format!("there is no rule `{name}`; the nearest name is `{nearest}`"))
            }
            None if self.rules.rules.is_empty() => {
                Response::refused(format!("there is no rule `{name}`; there are no rules at all"))
            }
            None => Response::refused(format!("there is no rule `{name}`")),
        }
    }

    /// Treats paths as just changed.
    fn trigger(&mut self, now: Moment, id: RuleId, paths: &[WirePath]) -> Result<(), String> {
        if self.is_stopping {
            return Err(STOPPING.to_owned());
        }
        let rule = std::sync::Arc::clone(self.rules.rule(id));
        let mut given = Vec::new();
        for path in paths {
            let path = path.to_path().ok_or("a path is neither text nor base64")?;
            given.push(below(&rule, &path)?);
        }
        if given.is_empty() {
            given.clone_from(&rule.watch.paths);
        }
        for path in given {
            let event = Event {
                mask: triggered(&rule.watch.on),
                is_dir: false,
                path: path.into(),
                old_path: None,
                cause: Cause::default(),
                time: clock::wall(),
                origin: Origin::Trigger,
                object: None,
            };
            self.take_event(now, id, event);
        }
        Ok(())
    }
}

/// The path, if it is one of the rule's or below one.
fn below(rule: &Rule, path: &Path) -> Result<PathBuf, String> {
    if path.components().any(|part| matches!(part, std::path::Component::ParentDir)) {
        return Err(format!("{} has a `..`; name the path without it", crate::escape::path(path)));
    }
    if rule.watch.paths.iter().any(|root| path.starts_with(root)) {
        return Ok(path.components().collect());
    }
    Err(format!("{} is not below a path of rule {}", crate::escape::path(path), rule.name))
}

/// What a triggered rule is told: the likeliest of what it asks for.
fn triggered(on: &On) -> EventMask {
    if on.any.contains(EventMask::ARRIVED) {
        return EventMask::ARRIVED;
    }
    let first = on.any.kinds().next().and_then(|kind| EventMask::from_name(kind.name));
    first.or_else(|| on.all_of.first().copied()).unwrap_or(EventMask::ARRIVED)
}
