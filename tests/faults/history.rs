//! The history: a recorder that facron runs, what it wrote, and the judgement of SPEC 5 on it. The daemon's own word
//! is not asked.
//!
//! A file's content is a number that only grows. The recorder writes down what it finds when it starts: a run that
//! saw the number, or a higher one, started at or after that change. It holds a lock for its rule and path, and one of so
//! many slots as its rule may have runs: where it cannot take them, two runs overlapped, or there were too many.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::harness::{PATIENCE, Place};

/// The recorder: appends a line when it starts, one when it ends, and one for each promise that it finds broken.
const RECORDER: &str = r#"#!/bin/sh
exec 7>>"@OUT@/history" 8>"@OUT@/locks/$FACRON_RULE ${1##*/}"
flock -n 8 || echo "overlap $FACRON_RUN $1" >&7
slot=0
while exec 9>"@OUT@/slots/$FACRON_RULE $slot"; ! flock -n 9; do
    slot=$((slot + 1))
    if [ "$slot" -ge @SLOTS@ ]; then echo "crowd $FACRON_RUN $1" >&7; break; fi
done
content=absent
# Not the shell's `read`, which reads byte by byte: half of one number and the end of the file, or of the next number.
[ ! -e "$1" ] || content=$(cat "$1")
echo "start $FACRON_RUN $1 $content" >&7
@WORK@
echo "end $FACRON_RUN $1 $content" >&7
"#;

/// The same for many paths at once.
const BATCH_RECORDER: &str = r#"#!/bin/sh
printf "start $FACRON_RUN %s -\n" "$@" >>"@OUT@/history"
"#;

/// A recorder in its place, and what it writes.
pub struct Recorder {
    out: PathBuf,
    pub script: PathBuf,
}

/// What was written down so far.
#[derive(Debug, Default)]
pub struct History {
    /// By path, whose bytes are compared faster than its components: what each run found, in order; none: the file was
    /// absent.
    pub starts: HashMap<OsString, Vec<Option<u64>>>,
    /// Runs that ended.
    pub ends: usize,
    /// Lines about broken promises.
    pub broken: Vec<String>,
}

impl Recorder {
    /// A recorder of single paths. `slots` runs of a rule may be there at once; each does `work`, shell commands, meanwhile.
    pub fn new(place: &Place, slots: usize, work: &str) -> Recorder {
        let text = RECORDER.replace("@SLOTS@", &slots.to_string()).replace("@WORK@", work);
        Recorder::with_text(place, &text)
    }

    /// A recorder of many paths at once.
    pub fn of_batches(place: &Place) -> Recorder {
        Recorder::with_text(place, BATCH_RECORDER)
    }

    fn with_text(place: &Place, text: &str) -> Recorder {
        let out = place.directory("out");
        place.directory("out/locks");
        place.directory("out/slots");
        let script = place.script("recorder", &text.replace("@OUT@", out.to_str().expect("UTF-8")));
        Recorder { out, script }
    }

    /// A rule that runs it for what happens below a path.
    pub fn rule(&self, name: &str, path: &Path, keys: &str) -> String {
        format!(
            "[[rule]]\nname = '{name}'\npath = '{}'\ncommand = ['{}', '{{path}}']\n{keys}\n",
            path.display(),
            self.script.display()
        )
    }

    pub fn history(&self) -> History {
        History::parse(&fs::read_to_string(self.out.join("history")).unwrap_or_default())
    }

    /// Waits until every change is answered, and nothing was broken on the way.
    #[track_caller]
    pub fn wait_until_answered(&self, changes: &Changes, log: impl Fn() -> String) {
        // Looking at many of them takes time that the daemon needs.
        let (pause, patience) = if changes.last.len() < 1_000 { (5, PATIENCE) } else { (250, 5 * PATIENCE) };
        let end = Instant::now() + patience;
        loop {
            let history = self.history();
            let unanswered = changes.unanswered(&history);
            if unanswered.is_empty() {
                return history.judge();
            }
            let some: Vec<_> = unanswered.iter().take(10).collect();
            assert!(Instant::now() < end, "{} not answered: {some:?} …\n{}", unanswered.len(), log());
            std::thread::sleep(Duration::from_millis(pause));
        }
    }
}

impl History {
    fn parse(text: &str) -> History {
        let mut history = History::default();
        // The last line may be half there.
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let mut words = line.split(' ');
            match (words.next(), words.nth(1), words.next()) {
                (Some("start"), Some(path), Some(content)) => {
                    // A file that is being written may be found empty: then its run comes later.
                    let found = content.parse().ok().or((content == "-").then_some(u64::MAX));
                    if found.is_some() || content == "absent" {
                        history.starts.entry(path.into()).or_default().push(found);
                    }
                }
                (Some("end"), ..) => history.ends += 1,
                (Some("overlap" | "crowd"), ..) => history.broken.push(line.to_owned()),
                _ => {}
            }
        }
        history
    }

    pub fn runs(&self) -> usize {
        self.starts.values().map(Vec::len).sum()
    }

    /// What must hold at any moment, whatever happened.
    pub fn judge(&self) {
        assert!(self.broken.is_empty(), "{:?}", self.broken);
        for (path, found) in &self.starts {
            let numbers: Vec<u64> = found.iter().copied().flatten().collect();
            assert!(numbers.is_sorted(), "{path:?} ran in another order: {numbers:?}");
        }
    }
}

/// What was done to files, and must be answered.
#[derive(Debug, Default)]
pub struct Changes {
    /// The last number in each file; none: it was removed.
    last: HashMap<OsString, Option<u64>>,
    number: u64,
}

impl Changes {
    /// Writes the next number to a file.
    pub fn write(&mut self, path: &Path) {
        self.number += 1;
        fs::write(path, format!("{}\n", self.number)).expect("a file can be written");
        self.last.insert(path.into(), Some(self.number));
    }

    /// Gives a file another name.
    pub fn link(&mut self, path: &Path, other: &Path) {
        fs::hard_link(path, other).expect("a file can be linked");
        self.last.insert(other.into(), self.last[path.as_os_str()]);
    }

    /// A file came with this number in it.
    pub fn came(&mut self, path: &Path, number: u64) {
        self.last.insert(path.into(), Some(number));
    }

    pub fn remove(&mut self, path: &Path) {
        fs::remove_file(path).expect("a file can be removed");
        self.last.insert(path.into(), None);
    }

    /// What was done so far needs no answer.
    pub fn forget(&mut self) {
        self.last.clear();
    }

    /// Paths whose last change no run has seen: none started at or after it.
    pub fn unanswered<'c>(&'c self, history: &History) -> BTreeSet<&'c Path> {
        let is_unanswered = |(path, last): &(&'c OsString, &Option<u64>)| {
            let found = history.starts.get(*path).map_or(&[][..], Vec::as_slice);
            match last {
                Some(number) => !found.iter().flatten().any(|found| found >= number),
                None => found.last() != Some(&None),
            }
        };
        self.last.iter().filter(is_unanswered).map(|(path, _)| Path::new(path)).collect()
    }
}

#[test]
fn the_judge_sees_what_is_missing_and_what_is_broken() {
    let last = [("/a".into(), Some(3)), ("/b".into(), None), ("/c".into(), Some(1))];
    let changes = Changes { last: last.into_iter().collect(), number: 3 };
    let unanswered = |text: &str| {
        changes
            .unanswered(&History::parse(text))
            .into_iter()
            .map(|path| path.display().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(unanswered(""), ["/a", "/b", "/c"]);
    let text = "start 1 /a 2\nend 1 /a 2\nstart 2 /b 2\nstart 3 /c \nstart 4 /c 1\nstart 5 /a 3";
    assert_eq!(unanswered(text), ["/a", "/b"], "the last line is not finished");
    assert_eq!(unanswered(&format!("{text}\nstart 6 /b absent\n")), [""; 0]);

    let is_broken = |text: &str| std::panic::catch_unwind(|| History::parse(text).judge()).is_err();
    assert!(!is_broken("start 1 /a 1\nstart 2 /a 1\nstart 3 /b 1\n"));
    assert!(is_broken("start 1 /a 2\nstart 2 /a 1\n"));
    assert!(is_broken("overlap 1 /a\n") && is_broken("crowd 1 /a\n"));
}
