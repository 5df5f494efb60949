//! Everything that fuzzing has found worth keeping, once more: no input may ever do harm again.

#[path = "../fuzz/targets.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The names in a directory, in order.
fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect()
}

#[test]
fn every_corpus_is_replayed() {
    for (name, target) in targets::TARGETS {
        let corpus = fuzz().join("corpus").join(name);
        let inputs = names(&corpus);
        assert!(inputs.len() >= 3, "{name} has no corpus to speak of");
        for input in inputs {
            let path = corpus.join(input);
            std::io::Write::write_all(&mut std::io::stdout(), format!("{}\n", path.display()).as_bytes())
                .expect("stdout");
            target(&fs::read(path).expect("an input can be read"));
        }
    }
}

#[test]
fn every_target_has_its_program_and_its_corpus() {
    let known: BTreeSet<String> = targets::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&fuzz().join("corpus")), known);
    let programs: BTreeSet<String> = known.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names(&fuzz().join("fuzz_targets")), programs);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).expect("a manifest");
    for name in known {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in fuzz/Cargo.toml");
    }
}

#[test]
fn the_corpora_stay_small() {
    let mut bytes = 0;
    for (name, _) in targets::TARGETS {
        let corpus = fuzz().join("corpus").join(name);
        bytes += names(&corpus)
            .iter()
            .map(|input| corpus.join(input).metadata().map_or(0, |it| it.len()))
            .sum::<u64>();
    }
    assert!(bytes <= 2 * 1024 * 1024, "the corpora have {bytes} bytes");
}
