#!/usr/bin/env bash
# Makes the Debian package by cargo-deb (cargo install cargo-deb); what is in it stands in Cargo.toml.
#
# usage: packaging/deb.sh [FOLDER]            the package's folder, target/package if not given
# BINARY=PATH takes a binary that is built already.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:-target/package}
if [ -z "${BINARY:-}" ]; then
    cargo build --release --locked
    BINARY=target/release/facron
else
    # Where cargo-deb takes what Cargo.toml calls target/release.
    CARGO_TARGET_DIR=$(mktemp -d)
    export CARGO_TARGET_DIR
    trap 'rm -rf "$CARGO_TARGET_DIR"' EXIT
    install -D -m 755 "$BINARY" "$CARGO_TARGET_DIR/release/facron"
fi
packaging/stage.sh "$BINARY" target/package/deb
cargo deb --no-build --no-strip --output "$folder/"
