//! The packages: nothing that belongs into them is missing, and what is installed starts and stops.
#![expect(clippy::disallowed_methods, reason = "the packaging scripts are processes")]

#[expect(dead_code, reason = "this test needs only a part of it")]
mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The names of what is in a folder of this repository.
fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).expect("the folder is there");
    let name = |path: PathBuf| path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
    entries.map(|entry| name(entry.expect("readable").path())).collect()
}

#[test]
fn every_manual_page_and_configuration_is_in_the_debian_package() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let (_, deb) = manifest.split_once("[package.metadata.deb]").expect("the package's metadata");
    for page in names("man") {
        assert!(deb.contains(&format!("[\"man/{page}\"")), "man/{page} is not packaged");
    }
    for file in names("config") {
        // The unit comes by systemd-units, the schemas by stage.sh, and the demonstration is in the binary.
        let comes_otherwise = file == "facron.service" || file.ends_with(".schema.json") || file == "rules.d";
        assert!(
            comes_otherwise || file.starts_with("demo.") || deb.contains(&format!("[\"config/{file}\"")),
            "config/{file} is not packaged"
        );
    }
}

/// What packaging/check.sh says of this kind of package, made of the binary that is tested.
fn check(kind: &str) {
    let mut command = Command::new(root().join("packaging/check.sh"));
    let output =
        command.arg(kind).env("BINARY", env!("CARGO_BIN_EXE_facron")).output().expect("bash is there");
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains(&format!("the {kind} is well")), "{said}");
}

#[test]
fn the_tarball_installs_starts_stops_and_keeps_what_was_changed() {
    check("tarball");
}

#[test]
fn the_debian_package_installs_starts_and_stops() {
    let has_cargo_deb = Command::new("cargo-deb").arg("--version").output().is_ok();
    if common::require("the_debian_package_installs_starts_and_stops", "cargo-deb", has_cargo_deb) {
        check("deb");
    }
}

#[test]
fn nothing_that_is_installed_gives_rights_to_who_starts_it() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let (_, assets) = manifest.split_once("\nassets = [").expect("what the package has");
    let (assets, _) = assets.split_once("\n]").expect("its end");
    let script = fs::read_to_string(root().join("packaging/install.sh")).expect("install.sh");
    let of_asset = assets.lines().filter_map(|line| line.trim_end().strip_suffix("\"],")?.rsplit('"').next());
    let of_put = script.lines().filter_map(|line| line.trim_start().strip_prefix("put ")?.split(' ').next());
    let modes: Vec<&str> = of_asset.chain(of_put).collect();
    assert!(modes.len() > 20, "{modes:?}");
    assert!(modes.iter().all(|mode| matches!(*mode, "644" | "755")), "neither setuid nor setgid: {modes:?}");
}
