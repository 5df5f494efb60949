#!/usr/bin/env bash
# Makes the Debian package by cargo-deb (cargo install cargo-deb); what is in it stands in Cargo.toml.
#
# usage: packaging/deb.sh [FOLDER]            the package's folder, target/package if not given
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:-target/package}
cargo build --release --locked
packaging/stage.sh target/release/facron target/package/deb
cargo deb --no-build --no-strip --output "$folder/"
