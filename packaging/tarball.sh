#!/usr/bin/env bash
# Makes the release tarball: binary, units, manual pages, completions, schemas, configuration and install.sh.
# The same sources give the same bytes.
#
# usage: packaging/tarball.sh [FOLDER]        the tarball's folder, target/package if not given
# BINARY=PATH takes a binary that is built already.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:-target/package}
if [ -z "${BINARY:-}" ]; then
    cargo build --release --locked
    BINARY=target/release/facron
fi
version=$("$BINARY" --version | cut -d ' ' -f 2)
name=facron-$version-$(uname -m)-linux
root=$folder/$name
rm -rf "$root"
mkdir -p "$root/man"
packaging/stage.sh "$BINARY" "$root/share"
install -m 755 "$BINARY" "$root/facron"
install -m 755 packaging/install.sh "$root/install.sh"
install -m 644 man/facron*.[0-9] "$root/man/"
mkdir -p "$root/config/rules.d"
install -m 644 config/facron.toml config/facron.service config/facron-user.service config/hardening.conf "$root/config/"
install -m 644 config/rules.d/README "$root/config/rules.d/"
for text in README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE; do
    [ ! -e "$text" ] || install -m 644 "$text" "$root/"
done
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$epoch" -C "$folder" -cf - "$name" |
    gzip -n > "$folder/$name.tar.gz"
echo "$folder/$name.tar.gz"
