//! How words and orders are laid out: a length, a kind, fields one after the other in the machine's own order.

use std::time::Duration;

use super::wire::{Counts, Opener, Policy, PostId, QuestionId};
use crate::sys::peek::PATH_LEN_MAX;

/// A record in the making: its length (of what follows), its kind, its fields.
pub struct Record<'b> {
    bytes: &'b mut Vec<u8>,
    start: usize,
}

impl<'b> Record<'b> {
    pub fn new(bytes: &'b mut Vec<u8>, kind: u8) -> Record<'b> {
        let start = bytes.len();
        bytes.extend([0, 0, kind]);
        Record { bytes, start }
    }

    pub fn end(self) {
        let len = self.bytes.len() - self.start - 2;
        let len = u16::try_from(len).expect("texts are cut to the length of a path");
        self.bytes[self.start..self.start + 2].copy_from_slice(&len.to_ne_bytes());
    }

    pub fn rest(self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(PATH_LEN_MAX)]);
        self
    }

    pub fn flag(self, flag: bool) -> Self {
        self.bytes.push(u8::from(flag));
        self
    }

    pub fn u32(self, number: u32) -> Self {
        self.bytes.extend(number.to_ne_bytes());
        self
    }

    pub fn i32(self, number: i32) -> Self {
        self.bytes.extend(number.to_ne_bytes());
        self
    }

    pub fn u64(self, number: u64) -> Self {
        self.bytes.extend(number.to_ne_bytes());
        self
    }

    pub fn span(self, span: Duration) -> Self {
        self.u64(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
    }

    pub fn post(self, post: PostId) -> Self {
        self.u32(post.0)
    }

    pub fn question(self, question: QuestionId) -> Self {
        self.post(question.post).u64(question.serial)
    }

    pub fn policy(self, policy: &Policy) -> Self {
        let Policy { mask, children, dirs, asks, default_allow, limit, cache, deny_errno, audit } = *policy;
        let record = self.u64(mask).flag(children).flag(dirs).flag(asks).flag(default_allow);
        record.span(limit).span(cache).i32(deny_errno).flag(audit)
    }

    pub fn opener(self, opener: &Opener<'_>) -> Self {
        let record = self.u64(opener.mask).i32(opener.pid).i32(opener.session);
        record.u64(opener.device).u64(opener.inode).flag(opener.is_dir).rest(opener.path)
    }

    pub fn counts(self, counts: &Counts) -> Self {
        let Counts { openings, asked, allowed, denied, by_default, cached, exempt, late, lost } = *counts;
        let all = [openings, asked, allowed, denied, by_default, cached, exempt, late, lost];
        all.into_iter().fold(self, Record::u64)
    }
}

/// The fields of a record that are left to be read.
pub struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    pub fn take(bytes: &mut &'b [u8]) -> Option<(u8, Fields<'b>)> {
        let (len, rest) = bytes.split_first_chunk()?;
        let (record, rest) = rest.split_at_checked(u16::from_ne_bytes(*len).into())?;
        let (kind, fields) = record.split_first()?;
        *bytes = rest;
        Some((*kind, Fields(fields)))
    }

    pub fn chunk<const LEN: usize>(&mut self) -> Option<[u8; LEN]> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*chunk)
    }

    pub fn rest(&mut self) -> &'b [u8] {
        std::mem::take(&mut self.0)
    }

    pub fn text(&mut self) -> Option<&'b str> {
        std::str::from_utf8(self.rest()).ok()
    }

    pub fn flag(&mut self) -> Option<bool> {
        self.chunk().map(|[byte]| byte != 0)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.chunk().map(u32::from_ne_bytes)
    }

    pub fn i32(&mut self) -> Option<i32> {
        self.chunk().map(i32::from_ne_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.chunk().map(u64::from_ne_bytes)
    }

    pub fn span(&mut self) -> Option<Duration> {
        self.u64().map(Duration::from_nanos)
    }

    pub fn post(&mut self) -> Option<PostId> {
        self.u32().map(PostId)
    }

    pub fn question(&mut self) -> Option<QuestionId> {
        Some(QuestionId { post: self.post()?, serial: self.u64()? })
    }

    pub fn policy(&mut self) -> Option<Policy> {
        Some(Policy {
            mask: self.u64()?,
            children: self.flag()?,
            dirs: self.flag()?,
            asks: self.flag()?,
            default_allow: self.flag()?,
            limit: self.span()?,
            cache: self.span()?,
            deny_errno: self.i32()?,
            audit: self.flag()?,
        })
    }

    pub fn opener(&mut self) -> Option<Opener<'b>> {
        Some(Opener {
            mask: self.u64()?,
            pid: self.i32()?,
            session: self.i32()?,
            device: self.u64()?,
            inode: self.u64()?,
            is_dir: self.flag()?,
            path: self.rest(),
        })
    }

    pub fn counts(&mut self) -> Option<Counts> {
        Some(Counts {
            openings: self.u64()?,
            asked: self.u64()?,
            allowed: self.u64()?,
            denied: self.u64()?,
            by_default: self.u64()?,
            cached: self.u64()?,
            exempt: self.u64()?,
            late: self.u64()?,
            lost: self.u64()?,
        })
    }
}
