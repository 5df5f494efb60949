//! That the guard allocates nothing for those who wait, counted by the allocator itself: this test program plays the
//! guard's process as well.

mod common;
#[path = "common/guarded.rs"]
#[expect(dead_code, reason = "what the other tests of the guard need")]
mod guarded;
#[path = "common/daemon.rs"]
#[expect(dead_code, reason = "the real daemon's part of it is for other tests")]
mod harness;
#[path = "common/warden.rs"]
mod warden_role;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::os::fd::AsFd as _;
use std::path::PathBuf;

use guarded::{Ground, Opener, Warden};
use harness::wait_until;

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all is left to the system's allocator.
#[expect(unsafe_code, reason = "an allocator")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: our caller keeps the promises of the trait.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: our caller keeps the promises of the trait.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Where the guard that this program plays leaves its count.
fn count_file(pid: u32) -> PathBuf {
    PathBuf::from(format!("/run/facron-test-guard-{pid}.count"))
}

/// Not a test: what `Guard` starts by the name of facron's own subcommand.
#[test]
fn __guard() {
    let socket = std::io::stdin().as_fd().try_clone_to_owned().expect("a descriptor");
    if facron::sys::packet::peer(socket.as_fd()).is_err() {
        return;
    }
    facron::guard::keep(socket).expect("it stands until the daemon goes");
    let count = COUNT.with(Cell::get);
    fs::write(count_file(std::process::id()), count.to_string()).expect("the count can be written");
}

#[test]
#[ignore = "a role that other tests start"]
fn warden() {
    warden_role::play();
}

#[test]
fn those_who_wait_cost_no_allocation() {
    if !common::require_root("those_who_wait_cost_no_allocation") {
        return;
    }
    let ground = Ground::new();
    let files: Vec<PathBuf> = (0..8).map(|index| ground.file(&format!("file-{index}"))).collect();
    let decide =
        ground.place.script("decide", "#!/bin/sh\ncase $1 in *7) exit 1;; *6) exec sleep 9;; esac\n");
    for keys in [
        "verdict = \"allow\"",
        "verdict = \"command\"\ntimeout = \"300ms\"\ninclude = [\"file-*\"]\nexclude = [\"file-0\"]",
        "verdict = \"command\"\ntimeout = \"300ms\"\nverdict-cache = \"1m\"",
    ] {
        let counts = [3, 30].map(|times| {
            let own = std::env::current_exe().expect("a test knows its program");
            let warden = Warden::launch_with(&ground, &ground.rule(keys), Some(&decide), &own);
            warden.wait_for("armed r");
            let guard = warden.guard().cast_unsigned();
            let text =
                format!("for i in $(seq {times}); do for f; do : < $f; : >> $f; done; done 2>/dev/null");
            let mut command: Vec<PathBuf> = ["sh", "-c", &text, "sh"].iter().map(PathBuf::from).collect();
            command.extend_from_slice(&files);
            Opener::run(&command.iter().map(PathBuf::as_path).collect::<Vec<_>>()).wait();
            drop(warden);
            let file = count_file(guard);
            wait_until(|| file.exists(), || "the guard does not leave".to_owned());
            let count = fs::read_to_string(&file).expect("it was written");
            fs::remove_file(&file).expect("ours");
            count
        });
        assert_eq!(counts[0], counts[1], "{keys}: ten times as many openers, as many allocations");
    }
}
