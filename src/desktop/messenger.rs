//! The way to one user's desktop: at most one child at a time, which finds its letters on standard input, answers on
//! standard output, and is killed when it takes too long.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

use super::notice::{Letter, Notice, Sent};
use crate::escape;
use crate::moment::Moment;
use crate::sys::memory_file;
use crate::sys::poller::{Interest, Poller};
use crate::sys::process::{Child, Credentials, Ended, Place, Recipe, Spawner, Starter};

/// The hidden subcommand of the child.
pub const SUBCOMMAND: &str = "__notify";

/// A child that has not come to its end by then is killed.
const CHILD_LIMIT: Duration = Duration::from_secs(5);

/// Letters that wait while a child is out; the oldest goes, since the desk sends the latest state of each rule.
const LETTERS_MAX: usize = 8;

/// Bubbles whose number is remembered.
const BUBBLES_MAX: usize = 256;

/// What a child may answer in all.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// What is said of a child that was killed.
const SILENT: &str = "the bus or its notification service does not answer";

/// When a child that does not go although it was killed is killed again.
const KILL_INTERVAL: Duration = Duration::from_secs(1);

/// A child that was started for a user, and what it answers; or why there is none. Its user may hold up the start.
pub(super) type Begun = (u32, io::Result<(Child, File)>);

/// A bus, and as whom to go there.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) user: u32,
    /// DBUS_SESSION_BUS_ADDRESS.
    pub(super) address: OsString,
    /// XDG_RUNTIME_DIR.
    pub(super) runtime_dir: Option<PathBuf>,
    /// None: as the daemon itself.
    pub(super) credentials: Option<Credentials>,
    pub(super) program: PathBuf,
}

/// The way to one user's desktop.
#[derive(Debug, Default)]
pub(super) struct Messenger {
    target: Option<Target>,
    letters: VecDeque<Letter>,
    starting: Option<Starting>,
    child: Option<Running>,
    /// The numbers of the bubbles that are shown, by key.
    bubbles: BTreeMap<Option<String>, u32>,
    /// What went wrong last time: said once, not with every notice.
    trouble: Option<String>,
}

/// A child whose start is under way.
#[derive(Debug)]
struct Starting {
    deadline: Moment,
    is_killed: bool,
}

#[derive(Debug)]
struct Running {
    child: Child,
    answer: File,
    deadline: Moment,
    is_killed: bool,
}

impl Messenger {
    /// Takes what is to be said.
    pub(super) fn take(&mut self, notice: &Notice, shows_output: bool) {
        self.letters.push_back(notice.letter(shows_output));
        if self.letters.len() > LETTERS_MAX
            && let Some(letter) = self.letters.pop_front()
        {
            log::warn!(reason = "the last notification is still on its way", summary = letter.summary; "not notified");
        }
    }

    /// Says where the letters go.
    pub(super) fn send_to(&mut self, target: Target) {
        self.target = Some(target);
    }

    /// Whether it has to be kept: something is on its way, or a bubble is to be replaced by the next one.
    pub(super) fn is_needed(&self) -> bool {
        self.starting.is_some()
            || self.child.is_some()
            || !self.letters.is_empty()
            || !self.bubbles.is_empty()
            || self.trouble.is_some()
    }

    /// When its child is to be killed.
    pub(super) fn deadline(&self) -> Option<Moment> {
        let running = self.child.as_ref().filter(|running| !running.is_killed);
        let starting = self.starting.as_ref().map(|starting| starting.deadline);
        starting.or(running.map(|running| running.deadline))
    }

    /// Takes leave of a child that has ended, kills one that is late, and sends the next.
    pub(super) fn look_after(&mut self, now: Moment, starter: &Starter<Begun>) {
        if let Some(starting) = &mut self.starting {
            if starting.deadline <= now {
                let user = self.target.as_ref().map_or(0, |target| target.user);
                starter.kill(u64::from(user));
                *starting = Starting { deadline: now + KILL_INTERVAL, is_killed: true };
            }
            return;
        }
        if let Some(running) = &mut self.child {
            if running.child.peek().is_none() {
                if !running.is_killed && running.deadline <= now {
                    // A child that has just ended is no matter.
                    let _ = running.child.signal(libc::SIGKILL);
                    running.is_killed = true;
                }
                return;
            }
            let running = self.child.take().expect("it was there a line ago");
            self.child_ended(running);
        }
        if !self.letters.is_empty() {
            self.start(now, starter);
        }
    }

    fn start(&mut self, now: Moment, starter: &Starter<Begun>) {
        let Some(target) = self.target.clone() else { return };
        let mut letters: Vec<Letter> = self.letters.drain(..).collect();
        for letter in &mut letters {
            letter.replaces = self.bubbles.get(&letter.key).copied().unwrap_or(0);
        }
        let user = target.user;
        let job = move |spawner: &mut _| (user, spawn(&target, &letters, spawner));
        match starter.start(u64::from(user), Box::new(job)) {
            Ok(()) => self.starting = Some(Starting { deadline: now + CHILD_LIMIT, is_killed: false }),
            Err(error) => self.has_trouble(format!("cannot start the helper: {error}")),
        }
    }

    /// Its child was started, or not.
    pub(super) fn begun(&mut self, begun: io::Result<(Child, File)>, poller: &Poller) {
        let Some(Starting { deadline, is_killed }) = self.starting.take() else { return };
        let user = self.target.as_ref().map_or(0, |target| target.user);
        let started = begun.and_then(|(child, answer)| {
            let reading = Interest { is_reading: true, is_writing: false };
            // Its end takes it out of the poller.
            poller.add(child.as_fd(), u64::from(user), reading)?;
            Ok(Running { child, answer, deadline, is_killed })
        });
        match started {
            Ok(running) => self.child = Some(running),
            Err(error) => self.has_trouble(format!("cannot start the helper: {error}")),
        }
    }

    fn child_ended(&mut self, mut running: Running) {
        let ended = running.child.reap();
        let answers = match running.answer.rewind() {
            Ok(()) => answers(&running.answer),
            Err(_) => Vec::new(),
        };
        let is_complete = !answers.is_empty() && ended == Ended::Code(0);
        let mut trouble = None;
        for answer in answers {
            match answer {
                Sent::Shown { key, id } => self.remember(key, id),
                Sent::NoService => trouble = Some("no notification service runs there".to_owned()),
                Sent::Failed(error) => trouble = Some(escape::line(&error).into_owned()),
            }
        }
        match (trouble, is_complete) {
            (Some(trouble), _) => self.has_trouble(trouble),
            (None, true) => self.trouble = None,
            (None, false) if running.is_killed => self.has_trouble(SILENT.to_owned()),
            (None, false) => self.has_trouble(format!("the helper failed: {ended:?}")),
        }
    }

    fn remember(&mut self, key: Option<String>, id: u32) {
        self.bubbles.insert(key, id);
        if self.bubbles.len() > BUBBLES_MAX {
            self.bubbles.pop_first();
        }
    }

    fn has_trouble(&mut self, trouble: String) {
        let user = self.target.as_ref().map_or(0, |target| target.user);
        if self.trouble.as_ref() != Some(&trouble) {
            log::warn!(user = user, reason = trouble; "cannot notify");
            self.trouble = Some(trouble);
        }
    }
}

/// Starts a child as the user of the desktop, with nothing of the daemon but its letters.
fn spawn(target: &Target, letters: &[Letter], spawner: &mut Spawner) -> io::Result<(Child, File)> {
    let mut lines = Vec::new();
    for letter in letters {
        serde_json::to_writer(&mut lines, letter)?;
        lines.push(b'\n');
    }
    let input = memory_file::of(&lines)?;
    let answer = memory_file::empty()?;
    let null = File::options().write(true).open("/dev/null")?;
    let variable = |name: &str, value: &[u8]| CString::new([name.as_bytes(), b"=", value].concat());
    let mut environment = vec![variable("DBUS_SESSION_BUS_ADDRESS", target.address.as_bytes())?];
    if let Some(runtime_dir) = &target.runtime_dir {
        environment.push(variable("XDG_RUNTIME_DIR", runtime_dir.as_os_str().as_bytes())?);
    }
    let program = CString::new(target.program.clone().into_os_string().into_vec())?;
    let arguments = [c"facron".to_owned(), CString::new(SUBCOMMAND)?];
    let bytes_max = libc::rlimit { rlim_cur: ANSWER_BYTES_MAX, rlim_max: ANSWER_BYTES_MAX };
    let recipe = Recipe {
        program: &program,
        arguments: &arguments,
        environment: &environment,
        stdio: [input.as_fd(), answer.as_fd(), null.as_fd()],
        opens_stdin: false,
        place: Place::Session,
        cgroups: &[],
        nice: None,
        umask: 0o022,
        resets_oom_score: target.credentials.is_some(),
        limits: &[(libc::RLIMIT_FSIZE, bytes_max)],
        credentials: target.credentials.as_ref(),
        cwd: c"/",
        no_new_privs: true,
    };
    match spawner.spawn(&recipe) {
        Ok(child) => Ok((child, answer)),
        Err(error) => {
            Err(io::Error::other(format!("cannot {}: {}", error.step.as_str(), error.errno.desc())))
        }
    }
}

/// The child runs as a user whom we need not believe: whatever is no answer is passed over.
fn answers(file: &File) -> Vec<Sent> {
    let lines = BufReader::new(file.take(ANSWER_BYTES_MAX)).split(b'\n').map_while(Result::ok);
    lines.take(LETTERS_MAX).filter_map(|line| serde_json::from_slice(&line).ok()).collect()
}
