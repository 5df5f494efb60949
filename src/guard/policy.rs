//! What a rule means for its openers, in the words of the guard.

use std::time::Duration;

use super::questions::Verdict;
use super::wire::Policy;
use crate::event::EventMask;
use crate::guardable::LIMIT_MAX;
use crate::rule::{Rule, Scope};

/// How the guard deals with the openers of this rule.
pub fn of_rule(rule: &Rule) -> Policy {
    let wanted = rule.watch.on.wanted().intersection(EventMask::ALL_PERMISSION);
    let asks = rule.verdict.command;
    let cache = rule.verdict.cache.filter(|_| asks).unwrap_or(Duration::ZERO);
    Policy {
        mask: wanted.kernel_bits(),
        children: rule.watch.scope != Scope::Itself,
        dirs: rule.watch.dirs,
        asks,
        default_allow: rule.verdict.default_allow,
        limit: rule.ending.timeout.unwrap_or(LIMIT_MAX).min(LIMIT_MAX),
        cache,
        deny_errno: rule.verdict.deny_errno,
        audit: rule.verdict.audit,
    }
}

/// What holds when nobody decides.
pub fn default_of(rule: &Rule) -> Verdict {
    if rule.verdict.default_allow { Verdict::Allow } else { Verdict::Deny }
}
