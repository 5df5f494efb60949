//! Who forks whom, as it happens: the kernel's process connector (`linux/cn_proc.h`), over netlink(7).
//!
//! The one way to know whose child a process was that is gone already. It tells of every fork on the machine, so it is
//! listened to only while that is needed. It needs CAP_NET_ADMIN and the first network, PID and user namespaces.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, setsockopt, sockopt::RcvBufForce};

/// What waits to be read, bytes: some 10 000 forks.
const QUEUE_LEN: usize = 8 << 20;

/// One datagram holds one event; the longest is shorter than this.
const DATAGRAM_LEN: usize = 1024;

/// `struct nlmsghdr`, and `struct cn_msg` behind it.
const NETLINK_HEAD_LEN: usize = 16;
const CONNECTOR_HEAD_LEN: usize = 20;
const HEADS_LEN: usize = NETLINK_HEAD_LEN + CONNECTOR_HEAD_LEN;

/// `struct proc_event`: what, processor, time, and then what depends on it.
const EVENT_HEAD_LEN: usize = 16;

/// CN_IDX_PROC, CN_VAL_PROC: the group of the process connector, and its only message.
const GROUP: u32 = 1;
const MESSAGE: u32 = 1;

/// A process has made another; threads are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fork {
    /// Whose child the new process is.
    pub parent: i32,
    /// The new process.
    pub child: i32,
}

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A fork.
    Fork(Fork),
    /// Something else.
    Other,
    /// Events were lost, since they were not read soon enough.
    Lost,
    /// Nothing more waits.
    Nothing,
}

/// A socket on which the kernel tells of forks.
#[derive(Debug)]
pub struct Connector {
    socket: OwnedFd,
    filter: Filter,
}

/// What the kernel is asked to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Forks alone; it is silent where it cannot do that, before Linux 6.6.
    Forks,
    /// Everything.
    Everything,
}

impl Connector {
    /// Opens the socket; nothing comes before [`Connector::listen`].
    ///
    /// # Errors
    /// The kernel has no process connector, or we may not use it.
    #[expect(unsafe_code, reason = "nix knows netlink(7), but not its connector")]
    pub fn open(filter: Filter) -> Result<Connector, Errno> {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: socket(2) takes plain numbers.
        let socket = Errno::result(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_CONNECTOR) })?;
        // SAFETY: The descriptor is new, and nobody else owns it.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        // SAFETY: All zero is an address: any port.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = u16::try_from(libc::AF_NETLINK).expect("address families are small");
        let len = libc::socklen_t::try_from(size_of_val(&address)).expect("an address is short");
        // SAFETY: bind(2) reads an address of this length.
        let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) };
        Errno::result(bound)?;
        setsockopt(&socket, RcvBufForce, &QUEUE_LEN)?;
        Ok(Connector { socket, filter })
    }

    /// Has the kernel tell of forks, before this returns.
    ///
    /// # Errors
    /// Those of setsockopt(2) and send(2); a kernel that does not want to says nothing.
    pub fn listen(&self) -> Result<(), Errno> {
        self.set_membership(libc::NETLINK_ADD_MEMBERSHIP)?;
        match self.filter {
            Filter::Forks => self.ask(&[libc::PROC_CN_MCAST_LISTEN, libc::PROC_EVENT_FORK]),
            Filter::Everything => self.ask(&[libc::PROC_CN_MCAST_LISTEN]),
        }
    }

    /// Has the kernel tell nothing more, also while others listen: before Linux 6.6 that goes to all members.
    ///
    /// # Errors
    /// Those of setsockopt(2) and send(2).
    pub fn ignore(&self) -> Result<(), Errno> {
        let left = self.set_membership(libc::NETLINK_DROP_MEMBERSHIP);
        self.ask(&[libc::PROC_CN_MCAST_IGNORE]).and(left)
    }

    #[expect(unsafe_code, reason = "nix does not know the options of netlink(7)")]
    fn set_membership(&self, option: libc::c_int) -> Result<(), Errno> {
        let len = libc::socklen_t::try_from(size_of_val(&GROUP)).expect("a number is short");
        let group = &GROUP;
        // SAFETY: setsockopt(2) reads a number of this length.
        let result = unsafe {
            libc::setsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_NETLINK,
                option,
                (&raw const *group).cast(),
                len,
            )
        };
        Errno::result(result).map(drop)
    }

    /// The next thing that was told.
    #[expect(unsafe_code, reason = "nix cannot say who sent a message of a protocol that it does not know")]
    pub fn hear(&self) -> Heard {
        let mut buffer = [0_u8; DATAGRAM_LEN];
        // SAFETY: All zero is an address.
        let mut sender: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        let mut sender_len = libc::socklen_t::try_from(size_of_val(&sender)).expect("an address is short");
        // SAFETY: recvfrom(2) writes at most so many bytes to the buffer, and to the address.
        let len = unsafe {
            libc::recvfrom(
                self.socket.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                MsgFlags::MSG_DONTWAIT.bits(),
                (&raw mut sender).cast(),
                &raw mut sender_len,
            )
        };
        match usize::try_from(len) {
            // Port 0 is the kernel.
            Ok(len) if sender.nl_pid == 0 => decode(&buffer[..len]).map_or(Heard::Other, Heard::Fork),
            Ok(_) => Heard::Other,
            Err(_) if Errno::last() == Errno::ENOBUFS => Heard::Lost,
            Err(_) => Heard::Nothing,
        }
    }

    fn ask(&self, words: &[u32]) -> Result<(), Errno> {
        let data_len = size_of_val(words);
        let mut message = Vec::with_capacity(HEADS_LEN + data_len);
        let whole_len = u32::try_from(HEADS_LEN + data_len).expect("a message is short");
        let kind = u16::try_from(libc::NLMSG_DONE).expect("kinds are small");
        message.extend_from_slice(&whole_len.to_ne_bytes());
        message.extend_from_slice(&kind.to_ne_bytes());
        // Flags, sequence, port.
        message.extend_from_slice(&[0; 10]);
        message.extend_from_slice(&GROUP.to_ne_bytes());
        message.extend_from_slice(&MESSAGE.to_ne_bytes());
        // Sequence, acknowledgement.
        message.extend_from_slice(&[0; 8]);
        message.extend_from_slice(&u16::try_from(data_len).expect("a message is short").to_ne_bytes());
        message.extend_from_slice(&[0; 2]);
        for word in words {
            message.extend_from_slice(&word.to_ne_bytes());
        }
        nix::sys::socket::send(self.socket.as_raw_fd(), &message, MsgFlags::empty()).map(drop)
    }
}

impl AsFd for Connector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The fork of a datagram; none: it tells of something else, or of a thread.
fn decode(datagram: &[u8]) -> Option<Fork> {
    let event = datagram.get(HEADS_LEN..)?;
    let word = |bytes: &[u8], index: usize| {
        bytes.get(index * 4..index * 4 + 4)?.try_into().ok().map(u32::from_ne_bytes)
    };
    let id = |index| word(event.get(EVENT_HEAD_LEN..)?, index).map(u32::cast_signed);
    let is_ours = word(datagram, NETLINK_HEAD_LEN / 4) == Some(GROUP);
    if !is_ours || word(event, 0)? != libc::PROC_EVENT_FORK {
        return None;
    }
    // Thread and process of the parent, thread and process of the child.
    let (parent, thread, child) = (id(1)?, id(2)?, id(3)?);
    (thread == child).then_some(Fork { parent, child })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A datagram as Linux 6.18 sends it.
    fn datagram(what: u32, ids: [u32; 4]) -> Vec<u8> {
        let mut bytes = vec![0; HEADS_LEN + EVENT_HEAD_LEN];
        bytes[NETLINK_HEAD_LEN..NETLINK_HEAD_LEN + 4].copy_from_slice(&GROUP.to_ne_bytes());
        bytes[HEADS_LEN..HEADS_LEN + 4].copy_from_slice(&what.to_ne_bytes());
        bytes.extend(ids.iter().flat_map(|id| id.to_ne_bytes()));
        // The other kinds of events are longer.
        bytes.extend_from_slice(&[0; 8]);
        bytes
    }

    #[test]
    fn processes_are_told_from_threads_and_forks_from_all_else() {
        let fork = Some(Fork { parent: 10, child: 20 });
        assert_eq!(decode(&datagram(libc::PROC_EVENT_FORK, [11, 10, 20, 20])), fork);
        assert_eq!(decode(&datagram(libc::PROC_EVENT_FORK, [11, 10, 21, 20])), None, "a thread");
        assert_eq!(decode(&datagram(libc::PROC_EVENT_EXEC, [11, 10, 20, 20])), None);
    }

    #[test]
    fn a_cut_datagram_is_no_fork() {
        let whole = datagram(libc::PROC_EVENT_FORK, [11, 10, 20, 20]);
        for len in 0..HEADS_LEN + EVENT_HEAD_LEN + 16 {
            assert_eq!(decode(&whole[..len]), None, "{len}");
        }
    }
}
