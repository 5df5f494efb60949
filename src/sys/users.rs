//! Who is who: getpwnam(3), getgrouplist(3). Asked anew each time, through NSS, which may be slow or wait for a
//! network where the administrator has set it up so.

use std::ffi::CString;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

/// What the user database says of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The login name.
    pub name: String,
    /// The user id.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// The home directory.
    pub home: PathBuf,
    /// The login shell; may be empty.
    pub shell: PathBuf,
}

impl Account {
    /// The user of this name.
    ///
    /// # Errors
    /// When the database cannot be asked, which is not the same as nobody having the name.
    pub fn by_name(name: &str) -> Result<Option<Account>, Errno> {
        Ok(User::from_name(name)?.map(Account::from))
    }

    /// The user of this id.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub fn by_id(uid: u32) -> Result<Option<Account>, Errno> {
        Ok(User::from_uid(Uid::from_raw(uid))?.map(Account::from))
    }

    /// All groups that the user is a member of, and `gid`.
    ///
    /// # Errors
    /// When they are more than the kernel takes (65 536), or cannot be asked for.
    pub fn groups(&self, gid: u32) -> Result<Vec<u32>, Errno> {
        let name = CString::new(self.name.as_str()).map_err(|_| Errno::EINVAL)?;
        Ok(getgrouplist(&name, Gid::from_raw(gid))?.into_iter().map(Gid::as_raw).collect())
    }
}

impl From<User> for Account {
    fn from(user: User) -> Account {
        Account {
            name: user.name,
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            home: user.dir,
            shell: user.shell,
        }
    }
}

/// The id of the group of this name.
///
/// # Errors
/// When the database cannot be asked.
pub fn group_id(name: &str) -> Result<Option<u32>, Errno> {
    Ok(Group::from_name(name)?.map(|group| group.gid.as_raw()))
}

/// The effective user and group of this process.
pub fn own_ids() -> (u32, u32) {
    (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_by_name_and_id() {
        let root = Account::by_name("root").expect("asked").expect("there is one");
        assert_eq!((root.uid, root.gid), (0, 0));
        assert_eq!(Account::by_id(0), Ok(Some(root.clone())));
        assert!(root.groups(4_711).expect("asked").contains(&4_711));
        assert_eq!(Account::by_name("no such user, I hope"), Ok(None));
        assert_eq!(group_id("no such group, I hope"), Ok(None));
    }
}
