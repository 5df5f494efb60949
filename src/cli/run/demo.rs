//! `facron run --demo`: the whole way in a temporary directory, with the embedded rule files of `config/demo.*`.
//!
//! Everything is done by this very program, started as a person would start it.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};

use crate::cli::output::{NotPrinted, print, say};
use crate::cli::{ExitStatus, Global};
use crate::escape;

/// What stands for the watched directory in the embedded files.
const FOLDER: &str = "@FOLDER@";

/// Goes the whole way; fails where a step does.
pub fn run(global: &Global) -> ExitStatus {
    match Demo::new(global).and_then(|demo| demo.go()) {
        Ok(()) => ExitStatus::Ok,
        Err(message) => {
            say(&format!("facron run --demo: {message}\n"), global);
            ExitStatus::Failed
        }
    }
}

/// The temporary directory, which goes away with it.
struct Demo<'g> {
    directory: PathBuf,
    global: &'g Global,
}

impl<'g> Demo<'g> {
    fn new(global: &'g Global) -> Result<Demo<'g>, String> {
        // Root does not trust a rule file below /tmp.
        let parent = if Uid::effective().is_root() { PathBuf::from("/run") } else { std::env::temp_dir() };
        let directory = parent.join(format!("facron-demo-{}", std::process::id()));
        let made = fs::DirBuilder::new().mode(0o700).create(&directory);
        made.map_err(|error| format!("cannot make {}: {error}", escape::path(&directory)))?;
        Ok(Demo { directory, global })
    }

    fn go(&self) -> Result<(), String> {
        let (folder, rules) = (self.path("in"), self.path("rules"));
        for directory in [&folder, &rules, &self.path("run"), &self.path("state")] {
            fs::create_dir(directory)
                .map_err(|error| format!("cannot make {}: {error}", escape::path(directory)))?;
        }
        self.write("facron.conf", include_str!("../../../config/demo.conf"))?;
        self.write("rules/modern.toml", include_str!("../../../config/demo.toml"))?;

        self.tell("# A classic line becomes a rule, with a debounce, a timeout and a limit:")?;
        let (conf, classic) = (self.path("facron.conf"), rules.join("classic.toml"));
        let limits = ["--debounce", "200ms", "--timeout", "10s", "--concurrency", "1"];
        let import: Vec<&OsStr> = [OsStr::new("import")].into_iter().chain(limits.map(OsStr::new)).collect();
        self.facron(&[&import[..], &[OsStr::new("-o"), classic.as_os_str(), conf.as_os_str()]].concat())?;
        self.show(&classic)?;
        self.tell("# Beside it stands one of today:")?;
        self.show(&rules.join("modern.toml"))?;
        self.tell("# Are they right?")?;
        self.facron(&["check".as_ref(), "--strict".as_ref(), "-c".as_ref(), rules.as_os_str()])?;

        self.tell("# They are watched:")?;
        let mut daemon = self.start(&rules)?;
        daemon.print_until(self, "ready rules=")?;
        self.tell(&format!("# A file changes:\n$ echo hello > {}/hello.txt", escape::path(&folder)))?;
        fs::write(folder.join("hello.txt"), "hello\n")
            .map_err(|error| format!("cannot write the file: {error}"))?;
        daemon.print_until(self, "run ended")?;
        daemon.print_until(self, "run ended")?;
        self.tell("# And it stops when it is told to:")?;
        daemon.stop(self)?;
        self.tell("# Now write your own rules, and run them: facron run -c FILE")?;
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn tell(&self, text: &str) -> Result<(), String> {
        self.print(&format!("\n{text}\n"))
    }

    /// A demo that nobody reads goes on: it has things to stop.
    fn print(&self, text: &str) -> Result<(), String> {
        match print(text, self.global) {
            Ok(()) | Err(NotPrinted::Unread) => Ok(()),
            Err(failed @ NotPrinted::Failed(_)) => Err(failed.to_string()),
        }
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let folder = self.path("in");
        let folder = folder.to_str().ok_or("the temporary directory is not UTF-8, as a rule file must be")?;
        fs::write(self.path(name), text.replace(FOLDER, folder))
            .map_err(|error| format!("cannot write {name}: {error}"))
    }

    fn show(&self, file: &Path) -> Result<(), String> {
        let text = fs::read_to_string(file)
            .map_err(|error| format!("cannot read {}: {error}", escape::path(file)))?;
        let indented: String = text.lines().map(|line| format!("    {line}\n")).collect();
        self.print(&indented)
    }

    /// This program, in an environment of the demo's own.
    #[expect(clippy::disallowed_methods, reason = "the demo plays the person who starts facron")]
    fn command(&self, arguments: &[&OsStr]) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command
            .args(arguments)
            .env("RUNTIME_DIRECTORY", self.path("run"))
            .env("STATE_DIRECTORY", self.path("state"));
        command.stdin(Stdio::null());
        command
    }

    fn facron(&self, arguments: &[&OsStr]) -> Result<(), String> {
        let shown: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
        self.print(&format!("$ facron {}\n", shown.join(" ")))?;
        let status =
            self.command(arguments).status().map_err(|error| format!("cannot start facron: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("facron {} did not succeed", shown[0])) }
    }

    fn start(&self, rules: &Path) -> Result<Daemon, String> {
        self.print(&format!("$ facron run -c {}\n", escape::path(rules)))?;
        let mut command = self.command(&["run".as_ref(), "-c".as_ref(), rules.as_os_str()]);
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start facron: {error}"))?;
        let log = child.stderr.take().ok_or("the daemon has no standard error")?;
        Ok(Daemon { child, log: BufReader::new(log) })
    }
}

impl Drop for Demo<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The running `facron run`; it goes away with the demo.
struct Daemon {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Daemon {
    /// Prints its log up to the line with these words.
    fn print_until(&mut self, demo: &Demo<'_>, words: &str) -> Result<(), String> {
        loop {
            let mut line = String::new();
            match self.log.read_line(&mut line) {
                Ok(0) => return Err(format!("the daemon ended before it said `{words}`")),
                Ok(_) => demo.print(&line)?,
                Err(error) => return Err(format!("cannot read the daemon's log: {error}")),
            };
            if line.contains(words) {
                return Ok(());
            }
        }
    }

    fn stop(&mut self, demo: &Demo<'_>) -> Result<(), String> {
        let pid = i32::try_from(self.child.id()).map_err(|error| error.to_string())?;
        kill(Pid::from_raw(pid), Signal::SIGTERM)
            .map_err(|error| format!("cannot stop the daemon: {error}"))?;
        let mut rest = String::new();
        let _ = self.log.read_to_string(&mut rest);
        demo.print(&rest)?;
        let status = self.child.wait().map_err(|error| format!("cannot wait for the daemon: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("the daemon did not stop well: {status}")) }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
