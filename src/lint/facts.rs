//! What the system knows about the things that rules name. Lints only ask [`Facts`], so that tests can make them up.

use nix::unistd::{Gid, Group, Uid, User};

use crate::rule::Identity;

/// What is asked about the system.
pub trait Facts {
    /// The user and group whose rights the daemon has.
    fn own_ids(&self) -> (u32, u32);
    /// A user.
    fn user(&self, user: &Identity) -> Account;
    /// A group.
    fn group(&self, group: &Identity) -> Account;
}

/// The answer about a user or group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// It exists and has this number.
    Known(u32),
    /// There is none of this name or number.
    Unknown,
    /// The system could not say (a directory service that does not answer).
    Unclear,
}

/// The system that we run on.
#[derive(Debug)]
pub struct System;

impl Facts for System {
    fn own_ids(&self) -> (u32, u32) {
        (Uid::effective().as_raw(), Gid::effective().as_raw())
    }

    fn user(&self, user: &Identity) -> Account {
        account(match user {
            Identity::Name(name) => User::from_name(name).map(|user| user.map(|user| user.uid.as_raw())),
            Identity::Id(id) => {
                User::from_uid(Uid::from_raw(*id)).map(|user| user.map(|user| user.uid.as_raw()))
            }
        })
    }

    fn group(&self, group: &Identity) -> Account {
        account(match group {
            Identity::Name(name) => Group::from_name(name).map(|group| group.map(|group| group.gid.as_raw())),
            Identity::Id(id) => {
                Group::from_gid(Gid::from_raw(*id)).map(|group| group.map(|group| group.gid.as_raw()))
            }
        })
    }
}

fn account(answer: nix::Result<Option<u32>>) -> Account {
    match answer {
        Ok(Some(id)) => Account::Known(id),
        Ok(None) => Account::Unknown,
        Err(_) => Account::Unclear,
    }
}
