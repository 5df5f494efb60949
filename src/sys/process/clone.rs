//! A new process that borrows the daemon's memory until it runs a program: clone(2) with CLONE_VM and
//! CLONE_VFORK, on a stack of its own.
//!
//! fork(2) copies the page tables, so its cost grows with the daemon: 15 ms with 200 MB. Here nothing is copied;
//! the calling thread alone stands still until the child runs its program or ends. Go's runtime and
//! posix_spawn(3) start processes in the same way. Nor is the table of descriptors copied (CLONE_FILES).

use std::ffi::{c_int, c_void};
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};
use std::ptr::{self, NonNull};

use nix::errno::Errno;

/// For the child side, which calls a few functions with small frames.
const STACK_LEN: usize = 64 * 1024;

/// Below the stack, so that running over its end is a fault and not a change of other memory.
const GUARD_LEN: usize = 16 * 1024;

/// What runs in the child; it must end in execve(2) or `_exit(2)`.
pub type Entry = extern "C" fn(*mut c_void) -> c_int;

/// Where the child finds itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Birthplace<'f> {
    /// The directory of a cgroup (CLONE_INTO_CGROUP); only where [`CAN_BE_BORN_IN_CGROUP`] says so.
    pub cgroup: Option<BorrowedFd<'f>>,
    /// Whether it is the first process of a PID namespace of its own (CLONE_NEWPID).
    pub is_namespace: bool,
}

/// Whether [`Stack::clone`] can put the child into a cgroup. Elsewhere it has to go there itself.
///
/// clone3(2) has no function in libc, and with a stack for the child it takes a few instructions of assembly;
/// they are here for the machine that we can test on.
pub const CAN_BE_BORN_IN_CGROUP: bool = cfg!(target_arch = "x86_64");

/// Memory for the stack of one child at a time.
#[derive(Debug)]
pub struct Stack {
    base: NonNull<c_void>,
}

// SAFETY: The mapping belongs to this value alone, and belongs to no thread.
unsafe impl Send for Stack {}

impl Stack {
    /// Maps the memory: mmap(2), mprotect(2).
    ///
    /// # Errors
    /// When there is no memory left.
    pub fn new() -> Result<Stack, Errno> {
        let len = GUARD_LEN + STACK_LEN;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        // SAFETY: A new private mapping that overlaps nothing.
        let base = unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        let stack = Stack { base: NonNull::new(base).expect("mmap does not map the zero page") };
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: The range lies inside the mapping just made.
        let result = unsafe { libc::mprotect(stack.bottom(), STACK_LEN, protection) };
        Errno::result(result)?;
        Ok(stack)
    }

    /// Makes a process that runs `entry` with this memory as its stack, and waits until it has run a program or
    /// ended. Gives its id; a descriptor that stands for it (pidfd_open(2)) is put where `pidfd` points to, before it
    /// runs.
    ///
    /// # Errors
    /// Those of clone(2).
    ///
    /// # Safety
    /// `entry` and all that it calls run in the memory of this process, with every lock as it was: no allocation,
    /// no lock, no panic, only system calls. The descriptors are those of this process too, until the child has made a
    /// table of its own. It must not return. `argument` must be valid for it, and `pidfd` to be written. Every signal
    /// must be blocked, since a handler that ran in the child would change this process.
    pub unsafe fn clone(
        &mut self,
        entry: Entry,
        argument: *mut c_void,
        birthplace: Birthplace<'_>,
        pidfd: *mut RawFd,
    ) -> Result<c_int, Errno> {
        let mut flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES | libc::CLONE_PIDFD;
        if birthplace.is_namespace {
            flags |= libc::CLONE_NEWPID;
        }
        match birthplace.cgroup {
            // SAFETY: Our caller's promises are those that it asks for.
            Some(cgroup) => unsafe { self.clone_into(cgroup, flags, entry, argument, pidfd) },
            None => {
                // SAFETY: The top lies inside the mapping, one past its last byte.
                let top = unsafe { self.bottom().add(STACK_LEN) };
                let flags = flags | libc::SIGCHLD;
                // SAFETY: Our caller's promises; the stack is not in use, since `self` is borrowed mutably and
                // CLONE_VFORK lets us go on only when the child has left it.
                let pid = unsafe { libc::clone(entry, top, flags, argument, pidfd) };
                Errno::result(pid)
            }
        }
    }

    /// The same by clone3(2), for what has no room in the flags of clone(2).
    #[cfg(target_arch = "x86_64")]
    unsafe fn clone_into(
        &mut self,
        cgroup: BorrowedFd<'_>,
        flags: c_int,
        entry: Entry,
        argument: *mut c_void,
        pidfd: *mut RawFd,
    ) -> Result<c_int, Errno> {
        /// `struct clone_args` of clone3(2), as of Linux 5.7.
        #[repr(C, align(8))]
        struct CloneArguments {
            flags: u64,
            pidfd: u64,
            child_tid: u64,
            parent_tid: u64,
            exit_signal: u64,
            stack: u64,
            stack_size: u64,
            tls: u64,
            set_tid: u64,
            set_tid_size: u64,
            cgroup: u64,
        }
        /// Not libc's, which has it as an int, where it does not fit.
        const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
        let arguments = CloneArguments {
            flags: u64::from(flags.cast_unsigned()) | CLONE_INTO_CGROUP,
            pidfd: pidfd as u64,
            child_tid: 0,
            parent_tid: 0,
            exit_signal: u64::from(libc::SIGCHLD.cast_unsigned()),
            stack: self.bottom() as u64,
            stack_size: STACK_LEN as u64,
            tls: 0,
            set_tid: 0,
            set_tid_size: 0,
            cgroup: u64::from(cgroup.as_raw_fd().cast_unsigned()),
        };
        let result: i64;
        // SAFETY: clone3(2) gives the child a copy of our registers but for rax, which is 0, and rsp, which is the
        // top of the stack: a multiple of 16, as a call needs it. The child calls `entry`, which does not return;
        // the parent goes on at the label with its own registers and stack.
        unsafe {
            std::arch::asm!(
                "syscall",
                "test rax, rax",
                "jnz 2f",
                "xor ebp, ebp",
                "mov rdi, r13",
                "call r12",
                "ud2",
                "2:",
                inlateout("rax") libc::SYS_clone3 => result,
                in("rdi") &raw const arguments,
                in("rsi") size_of::<CloneArguments>(),
                in("r12") entry,
                in("r13") argument,
                lateout("rcx") _,
                lateout("r11") _,
            );
        }
        let result = c_int::try_from(result).expect("process ids and error numbers are ints");
        if result < 0 { Err(Errno::from_raw(-result)) } else { Ok(result) }
    }

    #[cfg(not(target_arch = "x86_64"))]
    unsafe fn clone_into(
        &mut self,
        _: BorrowedFd<'_>,
        _: c_int,
        _: Entry,
        _: *mut c_void,
        _: *mut RawFd,
    ) -> Result<c_int, Errno> {
        Err(Errno::ENOSYS)
    }

    /// The lowest byte of the stack.
    fn bottom(&self) -> *mut c_void {
        // SAFETY: The mapping is GUARD_LEN + STACK_LEN bytes long.
        unsafe { self.base.as_ptr().add(GUARD_LEN) }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: The mapping is ours, and no child uses it, since each has left it before `clone` returned.
        unsafe { libc::munmap(self.base.as_ptr(), GUARD_LEN + STACK_LEN) };
    }
}
