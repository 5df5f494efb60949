//! Random rules: small numbers, so that everything happens to everything else.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use facron::event::EventMask;
use facron::rule::{Command, Edge, On, OnBusy, OnOverflow, Rule, RuleSet, StartLimit};

use crate::prng::Prng;
use crate::rules;

const NAMES: [&str; 5] = ["ash", "birch", "cedar", "elm", "fir"];

/// A few random rules.
pub fn rule_set(prng: &mut Prng) -> RuleSet {
    let mut set = RuleSet::default();
    set.daemon.concurrency = prng.pick(&[1, 2, 3, 64, 64]);
    set.daemon.shutdown_timeout = millis(prng.pick(&[1, 20, 100]));
    for name in &NAMES[..1 + prng.below(3) as usize] {
        set.rules.push(Arc::new(rule(prng, name)));
    }
    set
}

/// One rule that triggers itself.
pub fn looping(prng: &mut Prng) -> RuleSet {
    let mut rule = rules::plain("ash");
    rule.gather.batch = prng.chance(30);
    rule.schedule.on_busy = prng.pick(&[OnBusy::Coalesce, OnBusy::Queue]);
    RuleSet { rules: vec![Arc::new(rule)], ..RuleSet::default() }
}

/// The same rules, some of them changed, gone, new, in another order.
pub fn reloaded(prng: &mut Prng, before: &RuleSet) -> RuleSet {
    let mut set = before.clone();
    if prng.chance(30) {
        set.daemon.concurrency = prng.pick(&[1, 2, 64]);
    }
    if prng.chance(40) && !set.rules.is_empty() {
        set.rules.remove(prng.below(set.rules.len() as u64) as usize);
    }
    if prng.chance(40) {
        let name = prng.pick(&NAMES);
        if !set.rules.iter().any(|rule| *rule.name == *name) {
            set.rules.insert(0, Arc::new(rule(prng, name)));
        }
    }
    for known in &mut set.rules {
        let mut changed = Rule::clone(known);
        changed.source.line += 1;
        match prng.below(6) {
            0 => changed = rule(prng, &known.name),
            1 => changed.schedule.concurrency = NonZeroU32::new(1),
            2 => changed.ending.kill_after = millis(prng.below(40)),
            3 => changed.schedule.on_busy = on_busy(prng),
            _ => {}
        }
        *known = Arc::new(changed);
    }
    set
}

fn rule(prng: &mut Prng, name: &str) -> Rule {
    let mut rule = rules::plain(name);
    rule.watch.on = on(prng);
    rule.watch.ignore_self = prng.chance(80);
    rule.watch.on_overflow = if prng.chance(80) { OnOverflow::Rescan } else { OnOverflow::Ignore };
    rule.watch.paths = vec![PathBuf::from(prng.pick(&["a", "/root"]))];

    rule.gather.debounce = millis(prng.pick(&[0, 0, 5, 20, 50]));
    rule.gather.max_wait = prng.chance(40).then(|| millis(prng.pick(&[10, 30, 60])));
    rule.gather.edge = if prng.chance(15) { Edge::Leading } else { Edge::Trailing };
    rule.gather.batch = prng.chance(35);
    rule.gather.batch_bytes_max =
        (rule.gather.batch && prng.chance(30)).then(|| 10 + prng.below(25) as usize);

    rule.schedule.concurrency = NonZeroU32::new(prng.pick(&[0, 1, 1, 2, 3]));
    rule.schedule.on_busy = on_busy(prng);
    rule.schedule.queue_limit = prng.pick(&[1, 2, 4, 10_000, 10_000, 10_000]);
    rule.schedule.start_limit = prng.chance(20).then(|| StartLimit {
        starts: NonZeroU32::new(1 + prng.below(3) as u32).expect("above zero"),
        span: millis(prng.pick(&[10, 40, 100])),
    });

    rule.ending.timeout = prng.chance(40).then(|| millis(prng.pick(&[5, 15, 40])));
    rule.ending.kill_after = millis(prng.pick(&[0, 1, 10, 30]));
    rule.ending.stop_signal = prng.pick(&[libc::SIGTERM, libc::SIGINT]);
    rule.ending.success_codes = if prng.chance(20) { vec![0, 2] } else { vec![0] };
    rule.ending.retries = if prng.chance(35) { 1 + prng.below(3) as u32 } else { 0 };
    rule.ending.retry_delay = millis(1 + prng.below(20));
    rule.ending.retry_max_delay = millis(10 + prng.below(40));
    rule.ending.on_failure = prng.chance(30).then(|| Command::Shell("true".into()).into());
    rule
}

fn on_busy(prng: &mut Prng) -> OnBusy {
    prng.pick(&[
        OnBusy::Coalesce,
        OnBusy::Coalesce,
        OnBusy::Queue,
        OnBusy::Skip,
        OnBusy::Restart,
        OnBusy::Restart,
    ])
}

fn on(prng: &mut Prng) -> On {
    let mut on = On { any: EventMask::ARRIVED | EventMask::DELETE, ..On::default() };
    if prng.chance(20) {
        on.any |= EventMask::Q_OVERFLOW;
    }
    if prng.chance(15) {
        on.all_of.push(EventMask::OPEN | EventMask::MODIFY);
        if prng.chance(50) {
            on.all_of.push(EventMask::MODIFY | EventMask::CLOSE_WRITE);
        }
    }
    on
}

pub fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
