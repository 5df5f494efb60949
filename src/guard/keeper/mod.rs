//! The guard process: reads openings, answers them in time, and does as little else as possible.
//!
//! ```text
//!   opener ──► group of the rule ──► verdict = "allow": answered, then told ──────────────► daemon
//!                    │
//!                    ├─ kin, cached, a name that the rule leaves out: answered
//!                    └─ else: waits at the desk, asked ──────────────────────────────────► daemon
//!                                 ▲ verdict, or the limit and verdict-default ◄───────────────┘
//! ```
//!
//! One thread, which never forks, and after its start allocates only for orders of the daemon. Between an opening
//! and its answer it makes the system calls that the answer needs, and none that could wait for a file of
//! somebody else's. Whatever it cannot cope with makes it leave: then the kernel lets everybody through. So does
//! a timer of the kernel that it has to push back in time: a guard that hangs, loops, is stopped or traced does
//! not live on, even if every other process of facron is stopped with it.

mod openings;

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use super::cache::Cache;
use super::desk::Desk;
use super::kin::Kin;
use super::outbox::Outbox;
use super::post::Post;
use super::wire::{Order, PACKET_LEN_MAX, POSTS_MAX, PostId, Word};
use crate::glob::Glob;
use crate::moment::Moment;
use crate::sys::peek::PATH_LEN_MAX;
use crate::sys::permission::{OPENING_LEN, Opening};
use crate::sys::poller::{Interest, Poller};
use crate::sys::resident::DeadMansTimer;
use crate::sys::{clock, packet, resident};

/// Openers that wait at once; who comes when all places are taken gets `verdict-default`.
const WAITING_MAX: usize = 4096;

/// Rows of the table of verdicts, eight in a row.
const CACHE_ROWS: usize = 1024;

/// Openings read at once from one group, so that the others get their turn.
const BATCH: usize = 64;

/// Packets taken at once from the daemon.
const PACKETS_MAX: usize = 64;

/// How long the guard may stand still before the kernel kills it: whatever happens to it, nobody waits five
/// seconds longer than the limit.
const DEAD_AFTER: Duration = Duration::from_secs(4);

/// How often it shows that it does not: the only thing that it does while nothing is opened.
const BEAT: Duration = Duration::from_secs(2);

/// How long those who were let through wait to be told of, together: each packet wakes the daemon.
const TOLD_TOGETHER: Duration = Duration::from_millis(5);

/// Descriptors for everything but the groups and the files of those who wait: standard streams, epoll, an object
/// that is to be marked, a file in /proc, and some more.
const DESCRIPTORS_BESIDE: usize = 12;

/// What is awaited: openings, orders; and from the socket, at times, room.
const READING: Interest = Interest { is_reading: true, is_writing: false };

/// The token of the socket; a group's is the number of its post.
const SOCKET: u64 = u64::MAX;

/// Stands guard until the daemon closes its end of the socket.
///
/// # Errors
/// It cannot start, or cannot go on; ending the process lets everybody through who still waits.
pub fn keep(socket: OwnedFd) -> io::Result<()> {
    let mut keeper = Keeper::start(socket)?;
    let result = keeper.stand();
    if let Err(error) = &result {
        let message = error.to_string();
        keeper.outbox.put(&Word::Failed { message: &message }, 0);
        // Whether the daemon hears of it does not matter to those who wait.
        let _ = keeper.outbox.flush(keeper.socket.as_fd());
    }
    result
}

struct Keeper {
    socket: OwnedFd,
    poller: Poller,
    timer: DeadMansTimer,
    next_beat: Moment,
    posts: [Option<Post>; POSTS_MAX],
    desk: Desk<OwnedFd>,
    cache: Cache,
    kin: Kin,
    outbox: Outbox,
    is_room_watched: bool,
    next_tell: Option<Moment>,
    is_leaving: bool,
    /// Room for what is read from a group.
    openings: Box<[u8]>,
    /// Who was let through, with its session, and is to be told of.
    answered: Vec<(Opening, i32)>,
    path: Box<[u8]>,
    packet: Box<[u8]>,
    control: packet::Control,
}

impl Keeper {
    /// Becomes what a guard has to be, before it guards anything.
    fn start(socket: OwnedFd) -> io::Result<Keeper> {
        let kin = Kin::new(packet::peer(socket.as_fd())?, std::process::id().cast_signed());
        resident::leave_terminal()?;
        let timer = DeadMansTimer::start(DEAD_AFTER)?;
        let descriptors_max = WAITING_MAX + POSTS_MAX + DESCRIPTORS_BESIDE + BATCH;
        resident::raise_descriptor_limit(descriptors_max as u64)?;
        // Without it the guard works as well, only not as surely while others keep the processor busy.
        let _ = resident::go_first();
        let poller = Poller::new()?;
        poller.add(socket.as_fd(), SOCKET, READING)?;
        let mut keeper = Keeper {
            socket,
            poller,
            timer,
            next_beat: clock::monotonic() + BEAT,
            posts: [const { None }; POSTS_MAX],
            desk: Desk::new(WAITING_MAX),
            cache: Cache::new(CACHE_ROWS),
            kin,
            outbox: Outbox::new(),
            is_room_watched: false,
            next_tell: None,
            is_leaving: false,
            openings: vec![0; BATCH * OPENING_LEN].into(),
            answered: Vec::with_capacity(BATCH),
            path: vec![0; PATH_LEN_MAX].into(),
            packet: vec![0; PACKET_LEN_MAX].into(),
            control: packet::Control::default(),
        };
        let is_resident = resident::stay_in_memory().is_ok();
        keeper.outbox.put(&Word::Ready { is_resident }, 0);
        Ok(keeper)
    }

    fn stand(&mut self) -> io::Result<()> {
        loop {
            let now = clock::monotonic();
            if self.outbox.is_urgent() || self.next_tell.is_some_and(|next_tell| next_tell <= now) {
                self.tell()?;
            } else if self.next_tell.is_none() && !self.is_room_watched && !self.outbox.is_empty() {
                self.next_tell = Some(now + TOLD_TOGETHER);
            }
            let soonest = self.desk.next_deadline().into_iter().chain(self.next_tell).min();
            let until = soonest.map_or(self.next_beat, |next| next.min(self.next_beat));
            let ready = self.poller.wait_for(until.since(now))?;
            let now = clock::monotonic();
            if now >= self.next_beat {
                self.beat(now)?;
            }
            let mut is_told = false;
            for ready in ready {
                match u32::try_from(ready.token) {
                    Ok(post) => {
                        self.serve(PostId(post), now)?;
                    }
                    Err(_) => {
                        is_told = true;
                        if ready.can_write {
                            self.tell()?;
                        }
                    }
                }
            }
            if is_told && !self.obey(now)? {
                return self.take_leave(now);
            }
            while let Some(question) = self.desk.overdue(now) {
                self.settle_by_default(question)?;
            }
            self.dismiss(now)?;
        }
    }

    /// Shows the kernel that it lives, and the daemon what it did.
    fn beat(&mut self, now: Moment) -> io::Result<()> {
        self.timer.push_back(DEAD_AFTER)?;
        self.next_beat = now + BEAT;
        for (id, post) in (0..).map(PostId).zip(&mut self.posts) {
            if let Some(post) = post
                && post.has_news
            {
                let is_told = self.outbox.put(&Word::Counted { post: id, counts: post.counts }, 0);
                post.has_news = !is_told;
            }
        }
        Ok(())
    }

    /// Sends what is to be said, as far as the daemon listens.
    fn tell(&mut self) -> io::Result<()> {
        self.next_tell = None;
        // A daemon that is gone shows at the next wait, as the end of the socket.
        let _ = self.outbox.flush(self.socket.as_fd());
        let is_waiting = !self.outbox.is_empty();
        if is_waiting != self.is_room_watched {
            let interest = Interest { is_writing: is_waiting, ..READING };
            self.poller.modify(self.socket.as_fd(), SOCKET, interest)?;
            self.is_room_watched = is_waiting;
        }
        Ok(())
    }

    /// Does what the daemon says; false when it is gone.
    fn obey(&mut self, now: Moment) -> io::Result<bool> {
        let mut buffer = std::mem::take(&mut self.packet);
        let result = self.obey_all(&mut buffer, now);
        self.packet = buffer;
        result
    }

    fn obey_all(&mut self, buffer: &mut [u8], now: Moment) -> io::Result<bool> {
        for _ in 0..PACKETS_MAX {
            match packet::receive(self.socket.as_fd(), buffer, &mut self.control)? {
                None => break,
                Some(packet) if packet.len == 0 => return Ok(false),
                Some(packet) => {
                    let mut rest = &buffer[..packet.len];
                    while let Some(order) = Order::take(&mut rest) {
                        self.carry_out(order, packet.descriptor.as_ref(), now)?;
                    }
                }
            }
        }
        Ok(true)
    }

    fn carry_out(&mut self, order: Order<'_>, object: Option<&OwnedFd>, now: Moment) -> io::Result<()> {
        match order {
            Order::Post { post: id, policy } => {
                let place = self.posts.get_mut(id.0 as usize).ok_or(io::ErrorKind::InvalidInput)?;
                let add =
                    |post: Post| self.poller.add(post.group.as_fd(), id.0.into(), READING).map(|()| post);
                let made = Post::new(policy).and_then(add);
                let word = match made {
                    Ok(post) => {
                        let is_audited = post.is_audited();
                        *place = Some(post);
                        Word::Posted { post: id, is_audited }
                    }
                    Err(error) => Word::NotPosted { post: id, errno: errno_of(&error) },
                };
                self.outbox.put(&word, 0);
            }
            Order::Filter { post, is_exclude, glob } => {
                let glob = Glob::parse(glob).map_err(|_| io::ErrorKind::InvalidInput)?;
                if let Some(post) = self.post(post) {
                    post.add_filter(glob, is_exclude);
                }
            }
            Order::Mark { post: id, mark } => {
                let object = object.ok_or(io::ErrorKind::InvalidInput)?;
                if let Some(post) = self.post(id) {
                    let errno = post.mark(object.as_fd()).map_or_else(|error| errno_of(&error), |()| 0);
                    self.outbox.put(&Word::Marked { post: id, mark, errno }, 0);
                }
            }
            Order::Retire { post } => {
                if let Some(post) = self.post(post) {
                    post.retire()?;
                }
            }
            Order::Verdict { question, is_allowed } => self.settle(question, is_allowed, now)?,
            Order::ExemptCgroup { path } => self.kin.set_cgroup(path),
        }
        Ok(())
    }

    /// Lets posts go that guard nothing any more and where nobody waits.
    fn dismiss(&mut self, now: Moment) -> io::Result<()> {
        for id in (0..).map(PostId).take(POSTS_MAX) {
            if !self.post(id).is_some_and(|post| post.is_retiring) {
                continue;
            }
            // Who came before the marks were taken away may still be in the queue.
            let is_idle = !self.serve(id, now)? && !self.desk.is_busy(id);
            if is_idle && let Some(post) = self.posts[id.0 as usize].take() {
                self.cache.forget_post(id);
                self.outbox.put(&Word::Counted { post: id, counts: post.counts }, 0);
                self.outbox.put(&Word::Retired { post: id }, 0);
            }
        }
        Ok(())
    }

    /// The daemon is gone: whoever asked while the guard stood is answered by `verdict-default`.
    fn take_leave(&mut self, now: Moment) -> io::Result<()> {
        self.is_leaving = true;
        while let Some(question) = self.desk.oldest() {
            self.settle_by_default(question)?;
        }
        for id in (0..).map(PostId).take(POSTS_MAX) {
            if let Some(post) = self.post(id) {
                post.retire()?;
            }
            while self.serve(id, now)? {}
        }
        Ok(())
    }

    fn post(&mut self, id: PostId) -> Option<&mut Post> {
        self.posts.get_mut(id.0 as usize)?.as_mut()
    }
}

fn errno_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}
