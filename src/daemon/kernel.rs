//! What this kernel, and whoever set facron up on it, offers of what facron uses: for the status.

use std::collections::BTreeMap;
use std::fs;

use super::Daemon;
use super::surroundings::{Restriction, restrictions};

/// Where the kernel says which one it is (proc_sys_kernel(5)).
const RELEASE: &str = "/proc/sys/kernel/osrelease";

impl Daemon {
    /// Each feature with what was found.
    pub(super) fn kernel(&self) -> BTreeMap<String, String> {
        let features = self.monitor.features();
        let release =
            fs::read_to_string(RELEASE).map_or_else(|error| error.to_string(), |text| text.trim().to_owned());
        let marks = if features.is_privileged { "filesystem, directory" } else { "directory" };
        let objects =
            if features.has_targets { "named by every event" } else { "not named: before Linux 5.17" };
        let causes = match (features.is_privileged, self.supervisor.knows_the_dead()) {
            (true, true) => "known, also of processes that are gone",
            (true, false) => "known while the process lives",
            (false, _) => "not told without CAP_SYS_ADMIN",
        };
        let restrictions: Vec<&str> = restrictions().into_iter().map(Restriction::as_str).collect();
        let restricted = if restrictions.is_empty() { "no".to_owned() } else { restrictions.join("; ") };
        let found = [
            ("release", release.as_str()),
            ("marks", marks),
            ("objects", objects),
            ("causes", causes),
            ("restricted", restricted.as_str()),
        ];
        let levels = self
            .supervisor
            .levels()
            .map(|(level, works)| (level.as_str(), works.unwrap_or_else(|reason| reason)));
        found.into_iter().chain(levels).map(|(name, what)| (name.to_owned(), what.to_owned())).collect()
    }
}
