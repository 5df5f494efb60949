//! The guard as its daemon sees it: a child, and the socket between them. Nothing here waits.

use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::wire::{Order, PACKET_LEN_MAX, Word};
use crate::sys::packet;
use crate::sys::process::{Child, Place, Recipe, Spawner};

/// Orders that wait for room in the socket. They come from rules and runs, whose numbers have limits; what is
/// beyond this is a guard that does not listen any more.
const ORDERS_MAX: usize = 65_536;

/// Packets taken at once, so that the rest of the daemon gets its turn.
const PACKETS_MAX: usize = 64;

/// A guard that was started.
#[derive(Debug)]
pub struct Process {
    child: Child,
    socket: OwnedFd,
    queue: VecDeque<(Vec<u8>, Option<OwnedFd>)>,
    buffer: Box<[u8]>,
    control: packet::Control,
}

impl Process {
    /// Starts a guard from this program, which is facron itself.
    ///
    /// # Errors
    /// No descriptor or process left.
    pub fn start(program: &CStr, spawner: &mut Spawner) -> io::Result<Process> {
        let (socket, its_socket) = packet::pair()?;
        let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
        let arguments: [CString; 2] = [c"facron".into(), c"__guard".into()];
        let recipe = Recipe {
            program,
            arguments: &arguments,
            environment: &[],
            stdio: [its_socket.as_fd(), null.as_fd(), null.as_fd()],
            opens_stdin: false,
            place: Place::Session,
            cgroups: &[],
            nice: None,
            umask: 0o077,
            resets_oom_score: false,
            limits: &[],
            credentials: None,
            cwd: c"/",
            no_new_privs: false,
        };
        let child = spawner.spawn(&recipe).map_err(|error| io::Error::from(error.errno))?;
        Ok(Process {
            child,
            socket,
            queue: VecDeque::new(),
            buffer: vec![0; PACKET_LEN_MAX].into(),
            control: packet::Control::default(),
        })
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.child.pid()
    }

    /// Says something, with the object that it is about; at once, or when there is room.
    ///
    /// # Errors
    /// The guard is gone, or does not listen any more.
    pub fn say(&mut self, order: &Order<'_>, object: Option<OwnedFd>) -> io::Result<()> {
        if self.queue.len() == ORDERS_MAX {
            return Err(io::Error::other("the guard does not listen"));
        }
        let mut bytes = Vec::new();
        order.put(&mut bytes);
        self.queue.push_back((bytes, object));
        self.flush()
    }

    /// Says what waits, as far as there is room.
    ///
    /// # Errors
    /// The guard is gone.
    pub fn flush(&mut self) -> io::Result<()> {
        while let Some((bytes, object)) = self.queue.front() {
            if !packet::send(self.socket.as_fd(), bytes, object.as_ref().map(AsFd::as_fd))? {
                return Ok(());
            }
            self.queue.pop_front();
        }
        Ok(())
    }

    /// Whether something waits for room.
    pub fn wants_room(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Hears what the guard says; false when it is gone.
    ///
    /// # Errors
    /// The socket is broken.
    pub fn hear(&mut self, mut heard: impl FnMut(Word<'_>)) -> io::Result<bool> {
        for _ in 0..PACKETS_MAX {
            match packet::receive(self.socket.as_fd(), &mut self.buffer, &mut self.control)? {
                None => break,
                Some(packet) if packet.len == 0 => return Ok(false),
                Some(packet) => {
                    let mut rest = &self.buffer[..packet.len];
                    while let Some(word) = Word::take(&mut rest) {
                        heard(word);
                    }
                }
            }
        }
        Ok(true)
    }

    /// Ends it, if it has not ended: whoever waits is let through by the kernel.
    pub fn kill(&self) {
        // One that is gone already is all that is wanted.
        let _ = self.child.signal(libc::SIGKILL);
    }

    /// Lets it go: it answers who still waits by the default, and leaves; the child is to be reaped.
    pub fn dismiss(self) -> Child {
        self.child
    }
}

impl AsFd for Process {
    /// The socket.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
