//! The hands of the desk: finds the desktops that are to be told, and gives each its messenger.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::desk::Desk;
use super::messenger::{Begun, Messenger, Target};
use super::notice::{Ended, Notice};
use crate::moment::Moment;
use crate::sys::poller::{Interest, Poller};
use crate::sys::process::Starter;
use crate::sys::sessions::{self, Session};

/// What the starter has in the poller, where messengers have the numbers of their users.
const STARTS: u64 = u64::MAX;

/// Desktops that are told at once.
pub const DESKTOPS_MAX: usize = 16;

/// What the desktop needs to know of this process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The effective user of the daemon.
    pub user: u32,
    /// DBUS_SESSION_BUS_ADDRESS of the daemon, where it has a desktop of its own.
    pub bus_address: Option<OsString>,
    /// XDG_RUNTIME_DIR of the daemon.
    pub runtime_dir: Option<PathBuf>,
    /// Where the directories of logged-in users are: `sessions::RUN_USER`.
    pub run_user: PathBuf,
    /// The program with the hidden subcommand `__notify`: `/proc/self/exe`.
    pub program: PathBuf,
}

/// Tells the desktops. Its one descriptor becomes readable when [`Desktop::ready`] has work.
pub struct Desktop {
    settings: Settings,
    desk: Desk,
    starter: Starter<Begun>,
    poller: Poller,
    /// By user.
    messengers: BTreeMap<u32, Messenger>,
    is_absence_said: bool,
}

impl Desktop {
    /// Nothing is said yet.
    ///
    /// # Errors
    /// The system has no descriptor or memory left.
    pub fn new(settings: Settings, now: Moment) -> io::Result<Desktop> {
        let (starter, poller) = (Starter::new()?, Poller::new()?);
        poller.add(starter.as_fd(), STARTS, Interest { is_reading: true, is_writing: false })?;
        Ok(Desktop {
            settings,
            desk: Desk::new(now),
            starter,
            poller,
            messengers: BTreeMap::new(),
            is_absence_said: false,
        })
    }

    /// Hears of the end of a run.
    pub fn ended(&mut self, ended: Ended, now: Moment) {
        let notices = self.desk.ended(ended, now);
        self.send(&notices, now);
    }

    /// Does what can be done at once. To be called when the descriptor is readable and when
    /// [`Desktop::next_deadline`] has come.
    pub fn ready(&mut self, now: Moment) {
        let notices = self.desk.due(now);
        self.send(&notices, now);
        for (user, begun) in self.starter.take_done() {
            if let Some(messenger) = self.messengers.get_mut(&user) {
                messenger.begun(begun, &self.poller);
            }
        }
        self.starter.look_after(now);
        for messenger in self.messengers.values_mut() {
            messenger.look_after(now, &self.starter);
        }
        self.messengers.retain(|_, messenger| messenger.is_needed());
    }

    /// When [`Desktop::ready`] is to be called at the latest.
    pub fn next_deadline(&self) -> Option<Moment> {
        let own = [self.desk.next_deadline(), self.starter.next_deadline()].into_iter().flatten();
        self.messengers.values().filter_map(Messenger::deadline).chain(own).min()
    }

    fn send(&mut self, notices: &[Notice], now: Moment) {
        if notices.is_empty() {
            return;
        }
        if !cfg!(feature = "desktop") {
            if !std::mem::replace(&mut self.is_absence_said, true) {
                log::warn!("cannot notify: built without desktop");
            }
            return;
        }
        let daemon_user = self.settings.user;
        for target in self.targets() {
            let messenger = self.messengers.entry(target.user).or_default();
            for notice in notices {
                let shows_output = target.user == notice.user || target.user == daemon_user;
                messenger.take(notice, shows_output);
            }
            messenger.send_to(target);
            messenger.look_after(now, &self.starter);
        }
    }

    /// A user's daemon tells its own desktop; that of root tells every user who is logged in.
    fn targets(&self) -> Vec<Target> {
        let Settings { user, bus_address, runtime_dir, run_user, program } = &self.settings;
        let own =
            bus_address.clone().filter(|address| *user != 0 || is_of_root(address)).map(|address| Target {
                user: *user,
                address,
                runtime_dir: runtime_dir.clone(),
                credentials: None,
                program: program.clone(),
            });
        let has_own = own.is_some();
        let is_told = |session: &Session| {
            let is_own = session.user == *user;
            if is_own { !has_own } else { *user == 0 }
        };
        let found = sessions::find(run_user).into_iter().filter(is_told).filter_map(|session| {
            let mut address = OsString::from("unix:path=");
            address.push(escaped_address(session.bus.as_os_str().as_bytes()));
            let credentials = match session.user == *user {
                true => None,
                false => Some(sessions::credentials(session.user)?),
            };
            let runtime_dir = Some(session.runtime_dir);
            Some(Target { user: session.user, address, runtime_dir, credentials, program: program.clone() })
        });
        own.into_iter().chain(found).take(DESKTOPS_MAX).collect()
    }
}

impl AsFd for Desktop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}

/// Whether the bus of this address is root's own. `sudo -E` and the like leave the address of another user's, who would
/// then see what is only for root.
fn is_of_root(address: &OsStr) -> bool {
    let path = address
        .as_bytes()
        .strip_prefix(b"unix:path=")
        .and_then(|path| path.split(|byte| *byte == b',').next());
    path.is_none_or(|path| sessions::owner_of_socket(Path::new(OsStr::from_bytes(path))) == Some(0))
}

/// A path as a D-Bus address has it: what is not plain is written as `%NN`.
fn escaped_address(path: &[u8]) -> String {
    path.iter().fold(String::new(), |address, byte| match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' | b'/' | b'.' | b'\\' | b'*' => {
            address + char::from(*byte).encode_utf8(&mut [0; 4])
        }
        other => address + &format!("%{other:02x}"),
    })
}
