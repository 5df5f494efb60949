//! The loop's picture of the world: which rules there are, where their paths lead, and what is going on there.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use super::arrivals::Arrivals;
use super::atlas::{Atlas, Node, NodeId, Whereabouts};
use super::causes::Causes;
use super::inbox::Inbox;
use super::notice::Notice;
use super::recent::Recent;
use super::roster::{Roster, Told};
use super::territory::Territories;
use super::traffic::{CHIEF, Known, KnownPlace, RootState, SurveyorId, Token, Trouble};
use super::verdict::Verdict;
use crate::event::{Cause, Event, EventMask, ObjectId, Origin};
use crate::matcher::{self, Attachment, Index, RootId};
use crate::moment::Moment;
use crate::rule::{Rule, RuleId, Stdin};
use crate::sys::decode::{RawEvent, RawHandle};
use crate::sys::fanotify::ON_DIRECTORY;
use crate::sys::handle::ObjectKey;

/// The picture.
#[derive(Debug)]
pub struct World {
    pub(super) roster: Roster,
    pub(super) index: Index,
    pub(super) atlas: Atlas,
    pub(super) territories: Territories,
    /// Of roots that others than the chief surveyor attach, or more than one, each one's part.
    charts: BTreeMap<RootId, BTreeMap<SurveyorId, Vec<Attachment>>>,
    pub(super) causes: Causes,
    pub(super) arrivals: Arrivals,
    pub(super) recent: Recent,
    pub(super) inbox: Arc<Inbox>,
    /// Whose events are passed over: our own.
    pub(super) own_pid: Option<i32>,
    /// While what an earlier life left is judged: its process. The map is newer than those events.
    pub(super) past: Option<i32>,
}

/// The time at which something is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// On the clock that never goes back.
    pub moment: Moment,
    /// On the clock that people read.
    pub wall: SystemTime,
}

/// What an event is about, seen from one root.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Which root.
    pub root: RootId,
    /// The path below it; empty for the root itself.
    pub below: Vec<u8>,
    /// Its rules that may ask for it.
    pub rules: Vec<RuleId>,
}

/// What happened, apart from where.
#[derive(Clone, Debug)]
pub struct Happening {
    /// What.
    pub mask: EventMask,
    /// Whether to a directory.
    pub is_dir: bool,
    /// Because of whom.
    pub cause: Cause,
    /// How we know.
    pub origin: Origin,
    /// The object, where it is known.
    pub object: Option<ObjectId>,
}

/// What one rule is told.
#[derive(Clone, Debug)]
pub struct Hit {
    /// Which rule.
    pub rule: RuleId,
    /// Which of its roots: of several the longest.
    pub root: RootId,
    /// The path, as the rule wrote its beginning.
    pub path: PathBuf,
    /// What it asks for of what happened.
    pub mask: EventMask,
}

impl World {
    /// An empty one.
    pub fn new(inbox: Arc<Inbox>, own_pid: Option<i32>) -> World {
        World {
            roster: Roster::default(),
            index: Index::default(),
            atlas: Atlas::default(),
            territories: Territories::default(),
            charts: BTreeMap::new(),
            causes: Causes::default(),
            arrivals: Arrivals::default(),
            recent: Recent::default(),
            inbox,
            own_pid,
            past: None,
        }
    }

    /// The directory of a handle, through each mount where it may mean something.
    pub fn nodes(&mut self, token: Token, key: &[u8]) -> Vec<Rc<Node>> {
        let mut nodes = self.atlas.directory(token, key).to_vec();
        let look_up = |path| look_up(&self.index, &self.roster, path);
        if let Some(more) = self.territories.directory(token, key, look_up) {
            for node in more.iter() {
                match nodes.iter_mut().find(|other| other.id.mount == node.id.mount) {
                    // What the handle gives is so; what is remembered may be out of date.
                    Some(other) if other.path() != node.path() => *other = Rc::clone(node),
                    Some(_) => {}
                    None => nodes.push(Rc::clone(node)),
                }
            }
        }
        nodes
    }

    /// A directory as it is seen through one mount.
    pub fn node(&mut self, id: &NodeId) -> Option<Rc<Node>> {
        self.nodes(id.token, id.key.as_bytes()).into_iter().find(|node| node.id.mount == id.mount)
    }

    /// What a directory means, if anything.
    pub fn verdict(&self, node: &Node) -> Option<Rc<Verdict>> {
        let verdict = self.atlas.verdict(node, |path| look_up(&self.index, &self.roster, path));
        verdict.filter(|verdict| !verdict.is_nothing())
    }

    /// What an entry of a directory is to the roots.
    pub fn entry_subjects(&self, verdict: &Verdict, name: &OsStr) -> Vec<Subject> {
        let own = verdict.site.iter().flat_map(|site| site.own(name));
        let own = own.filter_map(|root| self.root_subject(root));
        let homes = verdict.homes.iter().filter(|home| !home.rules.is_empty()).map(|home| {
            let mut below = home.below.clone();
            if !below.is_empty() {
                below.push(b'/');
            }
            below.extend_from_slice(name.as_bytes());
            Subject { root: home.root, below, rules: home.rules.clone() }
        });
        own.chain(homes).collect()
    }

    /// What a directory itself is to the roots.
    pub fn directory_subjects(&self, verdict: &Verdict) -> Vec<Subject> {
        let subject = |home: &super::verdict::Home| {
            let rules = self.roster.root(home.root)?.rules.clone();
            Some(Subject { root: home.root, below: home.below.clone(), rules })
        };
        verdict.homes.iter().filter_map(subject).collect()
    }

    /// The rules that ask for it, each once, with its longest root.
    pub fn hits(&self, subjects: &[Subject], mask: EventMask, is_dir: bool) -> Vec<Hit> {
        let mut hits: Vec<Hit> = Vec::new();
        for subject in subjects {
            let Some(root) = self.roster.root(subject.root) else { continue };
            for rule in &subject.rules {
                let watch = &self.roster.rule(*rule).watch;
                let wanted = matcher::decide(watch, &root.written, &subject.below, is_dir, mask).wanted();
                if wanted.is_empty() {
                    continue;
                }
                let hit = || Hit {
                    rule: *rule,
                    root: subject.root,
                    path: join(&root.written, &subject.below),
                    mask: wanted,
                };
                match hits.iter_mut().find(|hit| hit.rule == *rule) {
                    None => hits.push(hit()),
                    Some(other) => {
                        let before =
                            self.roster.root(other.root).map_or(0, |root| root.written.as_os_str().len());
                        if root.written.as_os_str().len() > before {
                            *other = hit();
                        }
                    }
                }
            }
        }
        hits
    }

    /// The root itself.
    pub fn root_subject(&self, root: RootId) -> Option<Subject> {
        let rules = self.roster.root(root)?.rules.clone();
        Some(Subject { root, below: Vec::new(), rules })
    }

    /// What the kernel's record says, apart from where.
    pub fn happening(&mut self, raw: &RawEvent<'_>, object: Option<RawHandle<'_>>) -> Happening {
        Happening {
            mask: EventMask::from_kernel_bits(raw.mask),
            is_dir: raw.mask & ON_DIRECTORY != 0,
            cause: self.causes.cause(raw.pid),
            origin: Origin::Event,
            object: object.map(|object| object_id(&ObjectKey::from(object))),
        }
    }

    /// Tells a rule, unless it does not want to hear of what this cause does.
    pub fn deliver(&mut self, hit: Hit, happening: &Happening, now: Now, notices: &mut Vec<Notice>) {
        let rule = Arc::clone(self.roster.rule(hit.rule));
        let mut cause = happening.cause.clone();
        if hit.mask.is_empty() || !self.causes.accepts(&rule.watch.by, &mut cause) {
            return;
        }
        let object = happening.object.clone().filter(|_| rule.setting.stdin == Stdin::File);
        let event = Event {
            mask: hit.mask,
            path: hit.path.into(),
            old_path: None,
            is_dir: happening.is_dir,
            cause,
            time: now.wall,
            origin: happening.origin,
            object,
        };
        notices.push(Notice::Event { rule: hit.rule, event });
    }

    /// Notes directories and files that a surveyor is about to mark.
    pub fn learn(&mut self, known: Vec<Known>) {
        for Known { id, place } in known {
            let (whereabouts, is_foreign) = match place {
                KnownPlace::Object(root) => {
                    self.atlas.place_object(id.token, id.key, root);
                    continue;
                }
                KnownPlace::At { path, is_foreign } => (Whereabouts::At(path), is_foreign),
                KnownPlace::Below { parent, name } => match self.atlas.node(&parent) {
                    Some(parent) => (Whereabouts::Below(Rc::clone(parent), name), parent.is_foreign),
                    None => (Whereabouts::Nowhere, false),
                },
            };
            self.atlas.place(id, whereabouts, is_foreign);
        }
    }

    /// Notes how a root is attached, as far as one surveyor knows.
    pub fn attach(&mut self, surveyor: SurveyorId, root: RootId, attachments: Vec<Attachment>) {
        let mut all = match self.charts.contains_key(&root) || surveyor != CHIEF {
            true => self.chart(surveyor, root, attachments),
            false => attachments,
        };
        all.sort();
        all.dedup();
        self.atlas.forget_objects(root);
        if self.index.attachments(root) != all {
            self.index.attach(root, all);
            self.revise();
        }
    }

    /// Notes one surveyor's part; gives the whole.
    fn chart(&mut self, surveyor: SurveyorId, root: RootId, part: Vec<Attachment>) -> Vec<Attachment> {
        let of_chief = || BTreeMap::from([(CHIEF, self.index.attachments(root).to_vec())]);
        let parts = self.charts.entry(root).or_insert_with(of_chief);
        parts.insert(surveyor, part);
        parts.retain(|_, part| !part.is_empty());
        let all = parts.values().flatten().cloned().collect();
        if parts.keys().all(|surveyor| *surveyor == CHIEF) {
            self.charts.remove(&root);
        }
        all
    }

    /// A root led to something, and leads nowhere since the way to it changed.
    pub fn lost(&mut self, root: RootId, is_dir: bool, now: Now, notices: &mut Vec<Notice>) {
        let Some(subject) = self.root_subject(root) else { return };
        let happening = Happening {
            mask: EventMask::DELETE,
            is_dir,
            cause: Cause::default(),
            origin: Origin::Rescan,
            object: None,
        };
        for hit in self.hits(&[subject], happening.mask, is_dir) {
            self.deliver(hit, &happening, now, notices);
        }
    }

    /// Tells of lost events those rules that ask for that.
    pub fn tell_overflow(&mut self, now: Now, notices: &mut Vec<Notice>) {
        let rules = Arc::clone(self.roster.rules());
        let asks = |rule: &Rule| rule.watch.on.wanted().contains(EventMask::Q_OVERFLOW);
        for (id, rule) in rules.iter().filter(|(_, rule)| asks(rule)) {
            let event = Event {
                mask: EventMask::Q_OVERFLOW,
                path: rule.watch.paths.first().map_or(Path::new(""), PathBuf::as_path).into(),
                old_path: None,
                is_dir: false,
                cause: Cause::default(),
                time: now.wall,
                origin: Origin::Event,
                object: None,
            };
            notices.push(Notice::Event { rule: id, event });
        }
    }

    /// What directories mean may have changed.
    pub fn revise(&mut self) {
        self.atlas.revise();
        self.territories.forget();
    }

    /// Tells of directories of a root's tree that are not watched: one of them, and how many they are.
    pub fn unreadable(&mut self, root: RootId, one: Option<(PathBuf, usize)>, notices: &mut Vec<Notice>) {
        for (rule, one) in self.roster.note_unreadable(root, one) {
            notices.push(Notice::Unreadable { rule, one });
        }
    }

    /// Notes how it stands with a root.
    pub fn note(&mut self, root: RootId, state: RootState, notices: &mut Vec<Notice>) {
        for (rule, told) in self.roster.note(root, state) {
            notices.push(match told {
                Told::Armed(by) => Notice::Armed { rule, by },
                Told::Degraded(Trouble { reason, lacks_privilege, .. }) => {
                    Notice::Degraded { rule, reason, lacks_privilege }
                }
            });
        }
    }
}

fn look_up(index: &Index, roster: &Roster, path: PathBuf) -> Verdict {
    Verdict::of(path, index, &|root, below| roster.entering(root, below))
}

/// A path below a root.
pub fn join(root: &Path, below: &[u8]) -> PathBuf {
    if below.is_empty() { root.to_owned() } else { root.join(OsStr::from_bytes(below)) }
}

/// An object as events name it.
pub fn object_id(key: &ObjectKey) -> ObjectId {
    ObjectId { fsid: key.fsid(), kind: key.kind(), handle: key.handle().into() }
}

/// An object as records name it.
pub fn key_of(object: &ObjectId) -> Option<ObjectKey> {
    ObjectKey::new(object.fsid, object.kind, &object.handle)
}
