//! The hunt: an oracle that does not find planted faults proves nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use facron::rule::RuleSet;

use crate::lives::live;
use crate::misread::MISREAD;
use crate::mutant::{Mutant, Mutation};

use crate::oracle::Invariant;
use crate::subject::Subject;
use crate::tampered::TAMPERED;

/// A mutant has to be found within so many lives.
const LIVES_MAX: u64 = 1000;

#[test]
fn every_mutant_is_found() {
    let missed: Vec<String> = mutations().filter_map(|mutation| hunt(mutation).err()).collect();
    assert!(missed.is_empty(), "not found within {LIVES_MAX} lives:\n{}", missed.join("\n"));
}

#[test]
fn every_invariant_has_a_mutant_that_breaks_it() {
    let broken: BTreeSet<u32> =
        mutations().flat_map(|mutation| mutation.breaks).map(|known| *known as u32).collect();
    assert_eq!(broken, (1..=Invariant::Told as u32).collect());
}

fn mutations() -> impl Iterator<Item = &'static Mutation> {
    MISREAD.iter().chain(TAMPERED)
}

/// In which life the mutant is found; an error says by which other invariants it was noticed.
fn hunt(mutation: &'static Mutation) -> Result<u64, String> {
    let mut others = BTreeSet::new();
    for seed in 0..LIVES_MAX {
        let noticed = if mutation.breaks == [Invariant::Trace] {
            differs(mutation, seed)
        } else {
            live(seed, &|rules| mutant(mutation, &rules, false)).err().map(|violation| violation.invariant)
        };
        match noticed {
            Some(invariant) if mutation.breaks.contains(&invariant) => return Ok(seed),
            noticed => others.extend(noticed),
        }
    }
    Err(format!("{}: only {others:?}", mutation.name))
}

fn differs(mutation: &'static Mutation, seed: u64) -> Option<Invariant> {
    let trace =
        |is_second| live(seed, &move |rules| mutant(mutation, &rules, is_second)).map(|told| told.trace).ok();
    (trace(false) != trace(true)).then_some(Invariant::Trace)
}

fn mutant(mutation: &'static Mutation, rules: &Arc<RuleSet>, is_second: bool) -> Box<dyn Subject> {
    Box::new(Mutant::new(mutation, rules, is_second))
}
