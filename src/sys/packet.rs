//! Packets between two processes of ours: a socket pair that keeps messages whole and can carry one descriptor
//! with each (unix(7), SOCK_SEQPACKET). Nothing here waits.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, getsockopt, recvmsg,
    sendmsg, socketpair, sockopt,
};

/// A packet that came.
#[derive(Debug)]
pub struct Packet {
    /// How many bytes of the buffer are its own; 0 when the other side is gone.
    pub len: usize,
    /// The descriptor that came with it.
    pub descriptor: Option<OwnedFd>,
}

/// Makes the two ends, both non-blocking and closed on exec: socketpair(2).
///
/// # Errors
/// No descriptor left.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?)
}

/// Sends a packet, with a descriptor or without; false when there is no room for it now: sendmsg(2).
///
/// # Errors
/// The other side is gone.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<bool> {
    let descriptors = descriptor.map(|descriptor| [descriptor.as_raw_fd()]);
    let rights = descriptors.as_ref().map(|descriptors| [ControlMessage::ScmRights(descriptors)]);
    let control = rights.as_ref().map_or(&[][..], |rights| rights);
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    match sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], control, flags, None) {
        Ok(_) => Ok(true),
        // ENOBUFS and ETOOMANYREFS: too much is on its way already.
        Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOBUFS | Errno::ETOOMANYREFS) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Takes the next packet; none when there is none: recvmsg(2). `control` is room for what comes beside the
/// bytes, kept by the caller so that nothing is allocated here.
///
/// # Errors
/// The socket is broken, or the packet is longer than the buffer.
pub fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    control: &mut Control,
) -> io::Result<Option<Packet>> {
    let mut slices = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
    let message = match recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut control.0), flags) {
        Ok(message) => message,
        Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
        Err(Errno::ECONNRESET) => return Ok(Some(Packet { len: 0, descriptor: None })),
        Err(errno) => return Err(errno.into()),
    };
    let mut descriptor = None;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            // All but the last are closed again: nobody sends more than one.
            for number in numbers {
                descriptor = Some(own(number));
            }
        }
    }
    if message.flags.contains(MsgFlags::MSG_TRUNC) {
        return Err(Errno::EMSGSIZE.into());
    }
    Ok(Some(Packet { len: message.bytes, descriptor }))
}

/// Room for what comes beside the bytes of a packet.
#[derive(Debug)]
pub struct Control(Vec<u8>);

impl Default for Control {
    fn default() -> Self {
        let mut space = nix::cmsg_space!([RawFd; 4]);
        space.resize(space.capacity(), 0);
        Control(space)
    }
}

/// The process that made the pair: unix(7), SO_PEERCRED.
///
/// # Errors
/// This is no such socket.
pub fn peer(socket: BorrowedFd<'_>) -> io::Result<i32> {
    Ok(getsockopt(&socket, sockopt::PeerCredentials)?.pid())
}

#[expect(unsafe_code, reason = "a descriptor that the kernel gave us as a number")]
fn own(number: RawFd) -> OwnedFd {
    // SAFETY: unix(7): a descriptor that came by SCM_RIGHTS is open, and ours alone to close.
    unsafe { OwnedFd::from_raw_fd(number) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;

    fn receive_all(socket: &OwnedFd) -> Option<(Vec<u8>, Option<OwnedFd>)> {
        let (mut buffer, mut control) = ([0; 64], Control::default());
        let packet = receive(socket.as_fd(), &mut buffer, &mut control).expect("the socket works")?;
        Some((buffer[..packet.len].to_vec(), packet.descriptor))
    }

    #[test]
    fn packets_stay_whole_and_carry_a_descriptor() {
        let (here, there) = pair().expect("two descriptors");
        let file = tempfile::tempfile().expect("a file");
        assert!(send(here.as_fd(), b"one", None).expect("there is room"));
        assert!(send(here.as_fd(), b"two", Some(file.as_fd())).expect("there is room"));
        let (bytes, descriptor) = receive_all(&there).expect("a packet");
        assert!(bytes == b"one" && descriptor.is_none());
        let (bytes, descriptor) = receive_all(&there).expect("a packet");
        assert!(bytes == b"two" && descriptor.is_some());
        assert!(receive_all(&there).is_none(), "nothing is left, and nothing waits");
    }

    #[test]
    fn a_full_socket_and_a_closed_one_are_told_apart() {
        let (here, there) = pair().expect("two descriptors");
        while send(here.as_fd(), &[1; 64], None).expect("the other side is there") {}
        drop(there);
        assert!(send(here.as_fd(), b"x", None).is_err());
        let (here, there) = pair().expect("two descriptors");
        drop(here);
        assert_eq!(receive_all(&there).expect("the end").0, b"");
    }

    #[test]
    fn a_packet_longer_than_the_buffer_is_an_error() {
        let (here, there) = pair().expect("two descriptors");
        assert!(send(here.as_fd(), &[1; 65], None).expect("there is room"));
        assert!(receive(there.as_fd(), &mut [0; 64], &mut Control::default()).is_err());
    }

    #[test]
    fn the_peer_is_who_made_the_pair() {
        let (here, _there) = pair().expect("two descriptors");
        assert_eq!(peer(here.as_fd()).expect("a socket"), std::process::id().cast_signed());
    }
}
