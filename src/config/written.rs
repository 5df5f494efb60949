//! Where the keys of a rule are written: what lints need to point at a place.

use std::ops::Range;
use std::sync::Arc;

use toml::de::DeValue;

use super::document::Entry;
use super::keys::KeyId;
use crate::codes::Code;
use crate::rule::Rule;

/// A rule with the places of its keys.
#[derive(Clone, Debug)]
pub struct WrittenRule {
    /// The rule as it is meant.
    pub rule: Arc<Rule>,
    /// Whether it is used.
    pub is_enabled: bool,
    /// The codes of the notes and warnings that are meant.
    pub allow: Arc<[&'static str]>,
    /// Which of the sources it stands in.
    pub source: usize,
    /// Its `[[rule]]`.
    pub header: Range<usize>,
    /// Its own keys, in the order in which they are written.
    pub own: Box<[Place]>,
    /// The keys of the `[defaults]` of its file.
    pub defaults: Arc<[Place]>,
}

/// A key and its value in a text. Texts are at most 1 MiB, so 32 bits hold every offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which key.
    pub key: KeyId,
    key_span: (u32, u32),
    span: (u32, u32),
    /// The items of an array.
    items: Box<[(u32, u32)]>,
}

impl WrittenRule {
    /// Whether findings of this kind are meant.
    pub fn allows(&self, code: &Code) -> bool {
        self.allow.contains(&code.name)
    }

    /// Where a key is written: in the rule, or else in `[defaults]`.
    pub fn place(&self, key: KeyId) -> Option<&Place> {
        self.own(key).or_else(|| self.defaults.iter().find(|place| place.key == key))
    }

    /// Where a key is written in the rule itself.
    pub fn own(&self, key: KeyId) -> Option<&Place> {
        self.own.iter().find(|place| place.key == key)
    }

    /// The value of a key, or the header of the rule where it is not written.
    pub fn span(&self, key: KeyId) -> Range<usize> {
        self.place(key).map_or_else(|| self.header.clone(), Place::span)
    }

    /// An item of an array, or the whole value where it is none.
    pub fn item_span(&self, key: KeyId, index: usize) -> Range<usize> {
        self.place(key).map_or_else(|| self.header.clone(), |place| place.item(index))
    }
}

impl Place {
    pub(super) fn new(entry: &Entry<'_>) -> Place {
        let items = match entry.value.get_ref() {
            DeValue::Array(items) => items.iter().map(|item| narrow(&item.span())).collect(),
            _ => Box::default(),
        };
        Place {
            key: entry.key.id,
            key_span: narrow(&entry.key_span),
            span: narrow(&entry.value.span()),
            items,
        }
    }

    /// The key itself.
    pub fn key_span(&self) -> Range<usize> {
        widen(self.key_span)
    }

    /// The value.
    pub fn span(&self) -> Range<usize> {
        widen(self.span)
    }

    /// Whether the value is an array.
    pub fn has_items(&self) -> bool {
        !self.items.is_empty()
    }

    /// The items of an array; the value itself where it is none.
    pub fn items(&self) -> impl Iterator<Item = Range<usize>> {
        let spans = if self.items.is_empty() { std::slice::from_ref(&self.span) } else { &self.items };
        spans.iter().copied().map(widen)
    }

    /// An item of an array, or the whole value where it has no such item.
    pub fn item(&self, index: usize) -> Range<usize> {
        widen(self.items.get(index).copied().unwrap_or(self.span))
    }
}

fn narrow(span: &Range<usize>) -> (u32, u32) {
    let narrow = |offset: usize| u32::try_from(offset).expect("a rule file is at most 1 MiB");
    (narrow(span.start), narrow(span.end))
}

fn widen((start, end): (u32, u32)) -> Range<usize> {
    start as usize..end as usize
}
