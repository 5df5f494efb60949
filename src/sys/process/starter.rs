//! Starts that may wait for somebody else, on threads of their own: the loop never waits with them.
//!
//! One thread does, as long as its starts come back. While one does not, others are made for those behind it.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Spawner;
use super::birth::Birth;
use crate::moment::Moment;
use crate::sys::clock;
use crate::sys::wakeup::Wakeup;

/// How long a start may take before those behind it get another thread.
const PATIENCE: Duration = Duration::from_millis(100);

/// A start needs little.
const STACK_LEN: usize = 128 * 1024;

/// What is done with a spawner.
type Job<T> = Box<dyn FnOnce(&mut Spawner) -> T + Send>;

/// Starts processes on threads of its own; what came of each start is taken out later.
pub struct Starter<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    has_work: Condvar,
    wakeup: Wakeup,
}

struct State<T> {
    waiting: VecDeque<(u64, Job<T>)>,
    under_way: Vec<UnderWay>,
    done: Vec<Done<T>>,
    /// Threads, and those of them that have nothing to do.
    threads: usize,
    idle: usize,
    /// When the last thread was made.
    added: Moment,
    is_over: bool,
}

struct UnderWay {
    number: u64,
    since: Moment,
    birth: Arc<Birth>,
}

/// What came of a start, and the process that it made, if it made one.
struct Done<T> {
    number: u64,
    pid: Option<i32>,
    result: T,
}

impl<T: Send + 'static> Starter<T> {
    /// A starter without threads: the first start makes one.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn new() -> io::Result<Starter<T>> {
        let state = State {
            waiting: VecDeque::new(),
            under_way: Vec::new(),
            done: Vec::new(),
            threads: 0,
            idle: 0,
            added: Moment::default(),
            is_over: false,
        };
        let shared = Shared { state: Mutex::new(state), has_work: Condvar::new(), wakeup: Wakeup::new()? };
        Ok(Starter { shared: Arc::new(shared) })
    }

    /// Has a start done. The number stands for it until it is done.
    ///
    /// # Errors
    /// When there is no thread for it, and none can be made.
    pub fn start(&self, number: u64, job: Job<T>) -> io::Result<()> {
        let needs_thread = self.shared.lock().threads == 0;
        if needs_thread {
            self.add_thread()?;
        }
        self.shared.lock().waiting.push_back((number, job));
        self.shared.has_work.notify_one();
        Ok(())
    }

    /// Makes another thread where the others are held up.
    pub fn look_after(&self, now: Moment) {
        if self.shared.lock().overdue_at().is_some_and(|overdue_at| overdue_at <= now) {
            // Without memory for a thread the others are waited for.
            let _ = self.add_thread();
        }
    }

    /// When [`Starter::look_after`] is to be called.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.shared.lock().overdue_at()
    }

    /// What came of starts that are done.
    pub fn take_done(&self) -> Vec<T> {
        self.shared.wakeup.clear();
        let done = std::mem::take(&mut self.shared.lock().done);
        done.into_iter().map(|done| done.result).collect()
    }

    /// The process of a start that was not taken out, if there is one already: it may do something before that.
    pub fn pid(&self, number: u64) -> Option<i32> {
        let state = self.shared.lock();
        match state.under_way.iter().find(|start| start.number == number) {
            Some(start) => start.birth.pid(),
            None => state.done.iter().find(|done| done.number == number)?.pid,
        }
    }

    /// Ends the process of a start that is under way, if there is one already.
    pub fn kill(&self, number: u64) {
        let state = self.shared.lock();
        if let Some(start) = state.under_way.iter().find(|start| start.number == number) {
            start.birth.kill();
        }
    }

    fn add_thread(&self) -> io::Result<()> {
        let mut spawner = Spawner::new()?;
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name("starter".to_owned()).stack_size(STACK_LEN);
        thread.spawn(move || shared.work(&mut spawner))?;
        let mut state = self.shared.lock();
        state.threads += 1;
        state.added = clock::monotonic();
        Ok(())
    }
}

impl<T> Shared<T> {
    fn work(&self, spawner: &mut Spawner) {
        let birth = spawner.birth();
        while let Some((number, job)) = self.next(&birth) {
            let result = job(spawner);
            let mut state = self.lock();
            state.under_way.retain(|start| start.number != number);
            state.done.push(Done { number, pid: birth.pid(), result });
            drop(state);
            self.wakeup.wake();
        }
    }

    /// The next start; none: this thread is not needed any more.
    fn next(&self, birth: &Arc<Birth>) -> Option<(u64, Job<T>)> {
        let mut state = self.lock();
        loop {
            if let Some((number, job)) = state.waiting.pop_front() {
                birth.forget();
                let under_way = UnderWay { number, since: clock::monotonic(), birth: Arc::clone(birth) };
                state.under_way.push(under_way);
                return Some((number, job));
            }
            if state.is_over || state.idle > 0 {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            state = self.has_work.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing that could panic is done while it is locked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    /// When the starts that wait are to get another thread.
    fn overdue_at(&self) -> Option<Moment> {
        let latest = self.under_way.iter().map(|start| start.since).chain([self.added]).max();
        latest.filter(|_| !self.waiting.is_empty()).map(|latest| latest + PATIENCE)
    }
}

impl<T> AsFd for Starter<T> {
    /// Readable when there is something to take out.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.wakeup.as_fd()
    }
}

impl<T> Drop for Starter<T> {
    /// Threads that are held up end when their starts come back.
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.has_work.notify_all();
    }
}

impl<T> fmt::Debug for Starter<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Starter").finish_non_exhaustive()
    }
}
