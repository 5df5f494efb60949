//! The posts that the guard holds, as the daemon knows them: whose they are, how far they are, what they counted.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::place::Place;
use super::policy;
use super::process::Process;
use super::wire::{Counts, Order, POSTS_MAX, PostId};
use crate::escape;
use crate::rule::Rule;

/// All posts.
#[derive(Debug)]
pub struct Roster {
    posts: [Option<Tenant>; POSTS_MAX],
    /// What posts counted that are no more, by rule.
    past: BTreeMap<Arc<str>, Counts>,
}

#[derive(Debug)]
struct Tenant {
    rule: Arc<Rule>,
    places: Vec<Place>,
    /// Marks that the guard has not told of yet.
    awaited: usize,
    failures: Vec<String>,
    counts: Counts,
}

impl Default for Roster {
    fn default() -> Self {
        Roster { posts: [const { None }; POSTS_MAX], past: BTreeMap::new() }
    }
}

impl Roster {
    /// Has the guard set up a post; none when there are too many.
    pub fn post(
        &mut self,
        rule: &Arc<Rule>,
        places: Vec<(Place, OwnedFd)>,
        process: &mut Process,
    ) -> Option<PostId> {
        let (post, free) = (0..).map(PostId).zip(&mut self.posts).find(|(_, tenant)| tenant.is_none())?;
        // A guard that is gone shows as the end of the socket.
        let mut say = |order: &Order<'_>, object| drop(process.say(order, object));
        say(&Order::Post { post, policy: policy::of_rule(rule) }, None);
        let filter = &rule.watch.filter;
        for (globs, is_exclude) in [(&filter.include, false), (&filter.exclude, true)] {
            for glob in globs.iter() {
                say(&Order::Filter { post, is_exclude, glob: glob.as_str() }, None);
            }
        }
        let (places, objects): (Vec<Place>, Vec<OwnedFd>) = places.into_iter().unzip();
        for (mark, object) in (0..).zip(objects) {
            say(&Order::Mark { post, mark }, Some(object));
        }
        *free = Some(Tenant {
            rule: Arc::clone(rule),
            awaited: places.len(),
            places,
            failures: Vec::new(),
            counts: Counts::default(),
        });
        Some(post)
    }

    /// Whether a post guards exactly these places.
    pub fn guards(&self, post: PostId, places: &[(Place, OwnedFd)]) -> bool {
        let places = places.iter().map(|(place, _)| place);
        self.tenant(post).is_some_and(|tenant| tenant.places.iter().eq(places))
    }

    /// Whose post this is.
    pub fn rule(&self, post: PostId) -> Option<Arc<Rule>> {
        self.tenant(post).map(|tenant| Arc::clone(&tenant.rule))
    }

    /// What a post guards.
    pub fn places(&self, post: PostId) -> &[Place] {
        self.tenant(post).map_or(&[], |tenant| &tenant.places)
    }

    /// Why a post does not guard all of its places.
    pub fn failures(&self, post: PostId) -> &[String] {
        self.tenant(post).map_or(&[], |tenant| &tenant.failures)
    }

    /// Whether the guard has told of all marks.
    pub fn is_complete(&self, post: PostId) -> bool {
        self.tenant(post).is_some_and(|tenant| tenant.awaited == 0)
    }

    /// Whether there is no post.
    pub fn is_empty(&self) -> bool {
        self.posts.iter().all(Option::is_none)
    }

    /// The kernel gives no group.
    pub fn note_refused(&mut self, post: PostId, errno: i32) {
        if let Some(tenant) = self.tenant_mut(post) {
            tenant.awaited = 0;
            let help = match errno {
                libc::EMFILE => " (fs.fanotify.max_user_groups)",
                libc::EPERM => " (permission events are root's alone: CAP_SYS_ADMIN)",
                libc::ENOSYS | libc::EINVAL => " (this kernel has no permission events)",
                _ => "",
            };
            tenant.failures.push(format!("cannot make a fanotify group: {}{help}", reason(errno)));
        }
    }

    /// A mark is set (0), or why not.
    pub fn note_marked(&mut self, post: PostId, mark: u32, errno: i32) {
        if let Some(tenant) = self.tenant_mut(post) {
            tenant.awaited = tenant.awaited.saturating_sub(1);
            if errno != 0 {
                let path = tenant.places.get(mark as usize).map(Place::path);
                let path = path.map(escape::path).unwrap_or_default();
                tenant.failures.push(format!("cannot guard {path}: {}", reason(errno)));
            }
        }
    }

    /// What a post counted so far; says how many openers more could not be told of.
    pub fn note_counts(&mut self, post: PostId, counts: Counts) -> u64 {
        let Some(tenant) = self.tenant_mut(post) else { return 0 };
        let lost = counts.lost.saturating_sub(tenant.counts.lost);
        tenant.counts = counts;
        lost
    }

    /// A post is gone.
    pub fn remove(&mut self, post: PostId) {
        if let Some(tenant) = self.posts.get_mut(post.0 as usize).and_then(Option::take) {
            let past = self.past.entry(Arc::clone(&tenant.rule.name)).or_default();
            *past = past.plus(&tenant.counts);
        }
    }

    /// All are gone.
    pub fn clear(&mut self) {
        (0..).map(PostId).take(POSTS_MAX).for_each(|post| self.remove(post));
    }

    /// What a rule's posts counted, in the life of the daemon.
    pub fn counts(&self, rule: &str) -> Counts {
        let past = self.past.get(rule).copied().unwrap_or_default();
        let present = self.posts.iter().flatten().filter(|tenant| *tenant.rule.name == *rule);
        present.fold(past, |sum, tenant| sum.plus(&tenant.counts))
    }

    fn tenant(&self, post: PostId) -> Option<&Tenant> {
        self.posts.get(post.0 as usize)?.as_ref()
    }

    fn tenant_mut(&mut self, post: PostId) -> Option<&mut Tenant> {
        self.posts.get_mut(post.0 as usize)?.as_mut()
    }
}

fn reason(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}
