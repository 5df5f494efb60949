#!/usr/bin/env bash
# Builds the packages, installs each into a folder, starts and stops the daemon from there, and upgrades over a rule
# file that somebody has changed.
#
# usage: packaging/check.sh [tarball] [deb]   both if none is named
# BINARY=PATH takes a binary that is built already.
set -euo pipefail
cd "$(dirname "$0")/.."

# Below /run, since root trusts no rule file below a directory that everybody may write.
parent=/tmp
[ "$(id -u)" != 0 ] || parent=/run
work=$(mktemp -d "$parent/facron-package.XXXXXX")
daemon=
clean_up() {
    [ -z "$daemon" ] || kill -9 "$daemon" 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT

fail() {
    echo "check.sh: $*" >&2
    exit 1
}

# start_and_stop ROOT PREFIX: the installed daemon with the installed rules.
start_and_stop() {
    local facron=$1$2/bin/facron log=$work/log
    export RUNTIME_DIRECTORY=$work/run STATE_DIRECTORY=$work/state
    "$facron" check --strict -c "$1/etc/facron/facron.toml" >/dev/null || fail "the rule file is not clean"
    "$facron" run -c "$1/etc/facron/facron.toml" 2>"$log" &
    daemon=$!
    for _ in $(seq 600); do
        ! grep -q 'ready rules=' "$log" || break
        kill -0 "$daemon" 2>/dev/null || { cat "$log" >&2; fail "the daemon does not start"; }
        sleep 0.1
    done
    "$facron" status >/dev/null || fail "the daemon has no status"
    kill -TERM "$daemon"
    wait "$daemon" || fail "the daemon stops with status $?"
    daemon=
    unset RUNTIME_DIRECTORY STATE_DIRECTORY
}

# has ROOT FILE…: each is there.
has() {
    local root=$1 file
    shift
    for file in "$@"; do
        [ -s "$root$file" ] || fail "$file is missing"
    done
}

tarball() {
    local tarball root=$work/tarball
    tarball=$(packaging/tarball.sh "$work")
    mkdir "$work/unpacked"
    tar -xzf "$tarball" -C "$work/unpacked" --strip-components=1
    DESTDIR=$root PREFIX=/usr "$work/unpacked/install.sh"
    has "$root" /usr/bin/facron /usr/lib/systemd/system/facron.service /usr/lib/systemd/user/facron.service \
        /usr/share/man/man8/facron.8 /usr/share/man/man5/facron.toml.5 /usr/share/facron/facron.schema.json \
        /usr/share/bash-completion/completions/facron /etc/facron/facron.toml
    start_and_stop "$root" /usr
    echo '# mine' >> "$root/etc/facron/facron.toml"
    DESTDIR=$root PREFIX=/usr "$work/unpacked/install.sh"
    tail -n 1 "$root/etc/facron/facron.toml" | grep -qx '# mine' || fail "a changed rule file was replaced"
    has "$root" /etc/facron/facron.toml.new
    DESTDIR=$root PREFIX=/usr "$work/unpacked/install.sh" --uninstall
    [ "$(cd "$root" && find . -type f | sort | tr '\n' ' ')" = \
        "./etc/facron/facron.toml ./etc/facron/facron.toml.new ./etc/facron/rules.d/README " ] ||
        fail "something is left: $(cd "$root" && find . -type f)"
    echo "check.sh: the tarball is well"
}

deb() {
    command -v cargo-deb >/dev/null || fail "cargo-deb is missing: cargo install cargo-deb"
    local root=$work/deb package
    packaging/deb.sh "$work" >/dev/null
    package=$(echo "$work"/facron_*.deb)
    dpkg-deb -x "$package" "$root"
    has "$root" /usr/bin/facron /usr/lib/systemd/user/facron.service /usr/share/man/man8/facron.8.gz \
        /usr/share/facron/facron.schema.json /usr/share/bash-completion/completions/facron /etc/facron/facron.toml
    [ -e "$root/usr/lib/systemd/system/facron.service" ] || [ -e "$root/lib/systemd/system/facron.service" ] ||
        fail "the unit is missing"
    # What dpkg keeps on an upgrade where it was changed.
    dpkg-deb -I "$package" conffiles | grep -qx /etc/facron/facron.toml || fail "facron.toml is no conffile"
    dpkg-deb -I "$package" postinst | grep -q 'deb-systemd-helper' || fail "the unit is not set up"
    start_and_stop "$root" /usr
    echo "check.sh: the deb is well"
}

[ $# -gt 0 ] || set -- tarball deb
for kind in "$@"; do
    case $kind in
        tarball | deb) "$kind" ;;
        *) fail "there is no package $kind" ;;
    esac
done
