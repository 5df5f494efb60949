//! Whose rights a run has: exactly the rule's, or no start. Never root by accident.

use std::path::PathBuf;

use nix::errno::Errno;

use super::refusal::refuse;
use crate::engine::{StartFailure, StartFailureClass};
use crate::escape;
use crate::rule::{Identity, SHELL, Setting};
use crate::sys::process::Credentials;
use crate::sys::users::{self, Account};

/// Who a command is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Its user.
    pub uid: u32,
    /// What it has to take on; none: it stays what the daemon is.
    pub credentials: Option<Credentials>,
    /// `USER` and `LOGNAME`: the login name, or the id of a user that has none.
    pub name: String,
    /// `HOME`; `/` for a user that is not in the user database.
    pub home: PathBuf,
    /// `SHELL`.
    pub shell: PathBuf,
}

impl Person {
    /// Looks up whom a rule names, in the user database as it is at this moment; without a name it is whoever the
    /// daemon is, of whom `own_account` tells.
    ///
    /// # Errors
    /// When there is no such user or group, or when this daemon may not take it on.
    pub fn of(
        setting: &Setting,
        own_account: impl FnOnce() -> Option<Account>,
    ) -> Result<Person, StartFailure> {
        let (own_uid, own_gid) = users::own_ids();
        let Some(user) = &setting.user else {
            return Ok(Person::new(own_uid, own_account().as_ref(), None));
        };
        let (uid, account) = look_up(user)?;
        let gid = match &setting.group {
            Some(Identity::Id(gid)) => Some(*gid),
            Some(Identity::Name(name)) => Some(look_up_group(name)?),
            None => account.as_ref().map(|account| account.gid),
        };
        let Some(gid) = gid else {
            let message = format!("user {uid} is not in the user database: `group` must say its group");
            return Err(refuse(StartFailureClass::Identity, message));
        };
        if own_uid != 0 {
            return if (uid, gid) == (own_uid, own_gid) {
                Ok(Person::new(uid, account.as_ref(), None))
            } else {
                let message = format!(
                    "cannot run as user {uid}, group {gid}: a daemon that is not root can only be itself ({own_uid}, {own_gid})"
                );
                Err(refuse(StartFailureClass::Identity, message))
            };
        }
        let groups = match &account {
            Some(account) => account
                .groups(gid)
                .map_err(|errno| unanswered(&format!("the groups of user {}", account.name), errno))?,
            None => vec![gid],
        };
        Ok(Person::new(uid, account.as_ref(), Some(Credentials { uid, gid, groups })))
    }

    fn new(uid: u32, account: Option<&Account>, credentials: Option<Credentials>) -> Person {
        let shell =
            account.map(|account| account.shell.clone()).filter(|shell| !shell.as_os_str().is_empty());
        Person {
            uid,
            credentials,
            name: account.map_or_else(|| uid.to_string(), |account| account.name.clone()),
            home: account.map_or_else(|| PathBuf::from("/"), |account| account.home.clone()),
            shell: shell.unwrap_or_else(|| PathBuf::from(SHELL)),
        }
    }
}

fn look_up(user: &Identity) -> Result<(u32, Option<Account>), StartFailure> {
    match user {
        Identity::Id(uid) => {
            let account = Account::by_id(*uid).map_err(|errno| unanswered(&format!("user {uid}"), errno))?;
            Ok((*uid, account))
        }
        Identity::Name(name) => {
            let shown = escape::text(name.as_bytes());
            let account =
                Account::by_name(name).map_err(|errno| unanswered(&format!("user {shown}"), errno))?;
            let missing = || refuse(StartFailureClass::Identity, format!("there is no user {shown}"));
            account.map(|account| (account.uid, Some(account))).ok_or_else(missing)
        }
    }
}

fn look_up_group(name: &str) -> Result<u32, StartFailure> {
    let shown = escape::text(name.as_bytes());
    let gid = users::group_id(name).map_err(|errno| unanswered(&format!("group {shown}"), errno))?;
    gid.ok_or_else(|| refuse(StartFailureClass::Identity, format!("there is no group {shown}")))
}

/// The user database did not answer: nobody knows who it is, so nothing starts.
fn unanswered(whom: &str, errno: Errno) -> StartFailure {
    refuse(StartFailureClass::Identity, format!("cannot look up {whom}: {}", errno.desc()))
}
