//! Reload: all or nothing.

use crate::control::{ClientId, ReloadError, Response, stamp};
use crate::diagnostic::Severity;
use crate::engine::Input;
use crate::lint::System;
use crate::moment::Moment;
use crate::report::{self, Report};
use crate::sys::clock;

use super::load::{self, Loaded};
use super::{Daemon, Settling};

/// Why nothing new is begun.
pub(super) const STOPPING: &str = "the daemon is stopping";

impl Daemon {
    /// Reads the rule files again; a client, if one asked, is told how it went.
    pub(super) fn reload(&mut self, now: Moment, client: Option<ClientId>) {
        if self.is_stopping {
            return self.refuse_to_reload(now, client);
        }
        self.manager.reloading();
        match load::load(&self.settings.places, self.settings.owner, &System::new()) {
            Ok((rules, loaded)) => {
                self.about.files = loaded.paths.clone();
                self.about.loaded = clock::wall();
                self.about.disabled = loaded.disabled();
                self.about.last_reload_error = None;
                self.settings.log.set_level(level(&self.settings, &rules));
                if let Some(journal) = &mut self.journal {
                    journal.reloaded(&self.rules, &rules);
                }
                self.rules = std::sync::Arc::clone(&rules);
                self.board.set_rules(&rules);
                self.input(now, Input::Reload(std::sync::Arc::clone(&rules)));
                self.arm(now);
                let messages = messages(&loaded);
                let mut clients = match self.settling.take() {
                    Some(Settling::Reload(clients)) => clients,
                    Some(Settling::Start) | None => Vec::new(),
                };
                clients.extend(client.map(|client| (client, messages)));
                self.settling = Some(Settling::Reload(clients));
            }
            Err(loaded) => {
                let messages = messages(&loaded);
                let errors =
                    loaded.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
                let first = messages.first().cloned().unwrap_or_default();
                log::error!(errors = errors, reason = first; "reload refused");
                let error =
                    format!("{} in the rule files; the old rules go on", report::count(&loaded.findings));
                self.about.last_reload_error = Some(ReloadError { time: stamp(clock::wall()), error: first });
                self.manager.ready(&self.said_to_manager());
                if let Some(client) = client {
                    self.answer(now, client, Response::Refused { error, messages });
                }
            }
        }
    }

    /// Rules that were armed after the end began would be served by nobody, and those that are asked would wait.
    fn refuse_to_reload(&mut self, now: Moment, client: Option<ClientId>) {
        log::error!(reason = STOPPING; "reload refused");
        if let Some(client) = client {
            self.answer(now, client, Response::refused(STOPPING.to_owned()));
        }
    }
}

/// What the log level is: the rule file's word, else the command line's, else info.
pub(super) fn level(settings: &super::Settings, rules: &crate::rule::RuleSet) -> log::LevelFilter {
    settings.log_level.or(rules.daemon.log_level).unwrap_or(log::LevelFilter::Info)
}

/// The findings, a line each.
pub(super) fn messages(loaded: &Loaded) -> Vec<String> {
    let report = Report::new(&loaded.sources, &loaded.findings);
    crate::report::short(&report).lines().map(str::to_owned).collect()
}
