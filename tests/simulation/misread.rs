//! Mutants that have misread a setting.

use std::num::NonZeroU32;
use std::time::Duration;

use facron::rule::{Edge, OnBusy};

use crate::mutant::{Mutation, SOUND};
use crate::oracle::Invariant;

const TICK: Duration = Duration::from_millis(1);

/// All of them.
pub const MISREAD: &[Mutation] = &[
    Mutation {
        name: "one slot of the rule too many",
        breaks: &[Invariant::Slots],
        rule: |rule| {
            rule.schedule.concurrency = rule.schedule.concurrency.and_then(|slots| slots.checked_add(1))
        },
        ..SOUND
    },
    Mutation {
        name: "one slot of the daemon too many",
        breaks: &[Invariant::Slots],
        daemon: |daemon| daemon.concurrency += 1,
        ..SOUND
    },
    Mutation {
        name: "one slot of the daemon too few",
        breaks: &[Invariant::Due],
        daemon: |daemon| daemon.concurrency = (daemon.concurrency - 1).max(1),
        ..SOUND
    },
    Mutation {
        name: "a timeout that is late",
        breaks: &[Invariant::Timeout],
        rule: |rule| rule.ending.timeout = rule.ending.timeout.map(|timeout| timeout + TICK),
        ..SOUND
    },
    Mutation {
        name: "a grace that is too long",
        breaks: &[Invariant::Timeout],
        rule: |rule| rule.ending.kill_after += TICK,
        ..SOUND
    },
    Mutation {
        name: "no max-wait",
        breaks: &[Invariant::MaxWait],
        rule: |rule| rule.gather.max_wait = None,
        ..SOUND
    },
    Mutation {
        name: "one try too many",
        breaks: &[Invariant::Retry],
        rule: |rule| rule.ending.retries += 1,
        ..SOUND
    },
    Mutation {
        name: "a delay that does not end its doubling",
        breaks: &[Invariant::Retry],
        rule: |rule| rule.ending.retry_max_delay = Duration::MAX,
        ..SOUND
    },
    Mutation {
        name: "a debounce that is too long",
        breaks: &[Invariant::Due],
        rule: |rule| rule.gather.debounce += TICK,
        ..SOUND
    },
    Mutation {
        name: "no debounce",
        breaks: &[Invariant::Due],
        rule: |rule| rule.gather.debounce = Duration::ZERO,
        ..SOUND
    },
    Mutation {
        name: "the other edge",
        breaks: &[Invariant::Due, Invariant::Dropped],
        rule: |rule| rule.gather.edge = Edge::Trailing,
        ..SOUND
    },
    Mutation {
        name: "a batch in pieces",
        breaks: &[Invariant::Due],
        rule: |rule| rule.gather.batch = false,
        ..SOUND
    },
    Mutation {
        name: "a batch that is too long",
        breaks: &[Invariant::Due],
        rule: |rule| rule.gather.batch_bytes_max = None,
        ..SOUND
    },
    Mutation {
        name: "a longer shutdown",
        breaks: &[Invariant::Asked],
        daemon: |daemon| daemon.shutdown_timeout += TICK,
        ..SOUND
    },
    Mutation {
        name: "one more waits than may",
        breaks: &[Invariant::Limit],
        rule: |rule| rule.schedule.queue_limit += 1,
        ..SOUND
    },
    Mutation {
        name: "one start too many",
        breaks: &[Invariant::StartLimit],
        rule: |rule| {
            if let Some(limit) = &mut rule.schedule.start_limit {
                limit.starts = limit.starts.saturating_add(1);
            }
        },
        ..SOUND
    },
    Mutation {
        name: "starts that are forgotten too early",
        breaks: &[Invariant::StartLimit],
        rule: |rule| {
            if let Some(limit) = &mut rule.schedule.start_limit {
                limit.span -= TICK;
            }
        },
        ..SOUND
    },
    Mutation {
        name: "what a run causes triggers it again",
        breaks: &[Invariant::Dropped],
        rule: |rule| rule.watch.ignore_self = false,
        ..SOUND
    },
    Mutation {
        name: "nothing is skipped",
        breaks: &[Invariant::OnBusy],
        rule: |rule| replace(&mut rule.schedule.on_busy, OnBusy::Skip, OnBusy::Coalesce),
        ..SOUND
    },
    Mutation {
        name: "nothing is restarted",
        breaks: &[Invariant::OnBusy],
        rule: |rule| replace(&mut rule.schedule.on_busy, OnBusy::Restart, OnBusy::Coalesce),
        ..SOUND
    },
    Mutation {
        name: "a run is restarted for nothing",
        breaks: &[Invariant::OnBusy],
        rule: |rule| replace(&mut rule.schedule.on_busy, OnBusy::Coalesce, OnBusy::Restart),
        ..SOUND
    },
    Mutation {
        name: "triggers in a queue are merged",
        breaks: &[Invariant::Counters],
        rule: |rule| replace(&mut rule.schedule.on_busy, OnBusy::Queue, OnBusy::Coalesce),
        ..SOUND
    },
    Mutation {
        name: "another code is no failure",
        breaks: &[Invariant::Told, Invariant::Retry],
        rule: |rule| rule.ending.success_codes.push(1),
        ..SOUND
    },
    Mutation {
        name: "unlimited means one",
        breaks: &[Invariant::Due],
        rule: |rule| rule.schedule.concurrency = rule.schedule.concurrency.or(NonZeroU32::new(1)),
        ..SOUND
    },
];

fn replace(on_busy: &mut OnBusy, known: OnBusy, other: OnBusy) {
    if *on_busy == known {
        *on_busy = other;
    }
}
