//! What one rule makes of something that happened at or below its path.

use crate::event::EventMask;
use crate::glob::Glob;
use crate::rule::{Filter, Scope, Watch};

/// Of what happened, what the rule asks for; `below` is the subject's path below the rule's path, empty for that
/// path itself.
pub fn matched(watch: &Watch, below: &[u8], is_dir: bool, happened: EventMask) -> EventMask {
    let wanted = happened.intersection(watch.on.wanted_for(is_dir));
    if wanted.is_empty() || (is_dir && !watch.dirs) || !is_in_scope(watch.scope, below) {
        return EventMask::EMPTY;
    }
    if below.is_empty() || passes(&watch.filter, below, is_dir) { wanted } else { EventMask::EMPTY }
}

/// Whether something in this directory, or deeper, could concern the rule; `below` is empty for the rule's path.
pub fn enters(watch: &Watch, below: &[u8]) -> bool {
    match watch.scope {
        Scope::Itself => false,
        Scope::Children => below.is_empty(),
        Scope::Tree => below.is_empty() || !is_excluded(&watch.filter.exclude, below, true),
    }
}

fn is_in_scope(scope: Scope, below: &[u8]) -> bool {
    match scope {
        Scope::Itself => below.is_empty(),
        Scope::Children => !below.contains(&b'/'),
        Scope::Tree => true,
    }
}

fn passes(filter: &Filter, below: &[u8], is_dir: bool) -> bool {
    let is_included =
        filter.include.is_empty() || filter.include.iter().any(|glob| glob.matches(below, is_dir));
    is_included && !is_excluded(&filter.exclude, below, is_dir)
}

/// Whether a glob matches it or a directory above it.
fn is_excluded(globs: &[Glob], below: &[u8], is_dir: bool) -> bool {
    if globs.is_empty() {
        return false;
    }
    let slashes = below.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(index, _)| index);
    let mut directories = slashes.map(|end| (&below[..end], true));
    directories.any(|(above, is_dir)| globs.iter().any(|glob| glob.matches(above, is_dir)))
        || globs.iter().any(|glob| glob.matches(below, is_dir))
}
