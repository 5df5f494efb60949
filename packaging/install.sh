#!/bin/sh
# Installs facron from this folder.
#
#     ./install.sh                     to /usr/local, with the rules in /etc/facron
#     PREFIX=/usr ./install.sh         elsewhere
#     DESTDIR=/tmp/root ./install.sh   into a folder, for a package
#     ./install.sh --uninstall         removes what was installed; your rules stay
#
# A rule file that is there already is kept; ours is then put beside it as facron.toml.new.
set -eu
cd "$(dirname "$0")"

PREFIX=${PREFIX:-/usr/local}
SYSCONFDIR=${SYSCONFDIR:-/etc}
root=${DESTDIR:-}
share=$PREFIX/share
manifest=$share/facron/manifest

uninstall() {
    [ -f "$root$manifest" ] || { echo "install.sh: nothing is installed in $root$PREFIX" >&2; exit 1; }
    while IFS= read -r file; do
        rm -f "$root$file"
    done < "$root$manifest"
    rm -f "$root$manifest"
    rmdir "$root$share/facron" "$root$share/doc/facron" 2>/dev/null || true
    echo "removed; the rules in $root$SYSCONFDIR/facron and the state in /var/lib/facron are still there"
}

# put MODE FILE TARGET: installs one file, and notes it.
put() {
    install -D -m "$1" "$2" "$root$3"
    echo "$3" >> "$root$manifest"
}

# put_text FILE TARGET: the same, with the paths of this prefix in it.
put_text() {
    sed "s|/usr/bin/facron|$PREFIX/bin/facron|g; s|/usr/share/facron|$share/facron|g" "$1" > "$1.tmp"
    put 644 "$1.tmp" "$2"
    rm -f "$1.tmp"
}

# keep FILE TARGET: a file that belongs to the administrator once it is there.
keep() {
    sed "s|/usr/share/facron|$share/facron|g" "$1" > "$1.tmp"
    if [ ! -e "$root$2" ]; then
        install -D -m 644 "$1.tmp" "$root$2"
    elif ! cmp -s "$1.tmp" "$root$2"; then
        install -m 644 "$1.tmp" "$root$2.new"
        echo "kept $root$2; ours is $2.new"
    fi
    rm -f "$1.tmp"
}

case ${1:-} in
    --uninstall) uninstall; exit ;;
    '') ;;
    *) echo "usage: [DESTDIR=…] [PREFIX=…] ./install.sh [--uninstall]" >&2; exit 2 ;;
esac

mkdir -p "$root$share/facron"
: > "$root$manifest"
put 755 facron "$PREFIX/bin/facron"
for page in man/*.[0-9]; do
    put 644 "$page" "$share/man/man${page##*.}/${page#man/}"
done
put 644 share/facron.bash "$share/bash-completion/completions/facron"
put 644 share/_facron "$share/zsh/site-functions/_facron"
put 644 share/facron.fish "$share/fish/vendor_completions.d/facron.fish"
put 644 share/facron.schema.json "$share/facron/facron.schema.json"
put 644 share/facron.status.schema.json "$share/facron/facron.status.schema.json"
put_text config/facron.service "$PREFIX/lib/systemd/system/facron.service"
put_text config/facron-user.service "$PREFIX/lib/systemd/user/facron.service"
put_text config/hardening.conf "$share/doc/facron/hardening.conf"
for text in README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE; do
    [ ! -e "$text" ] || put 644 "$text" "$share/doc/facron/$text"
done
keep config/facron.toml "$SYSCONFDIR/facron/facron.toml"
keep config/rules.d/README "$SYSCONFDIR/facron/rules.d/README"

if [ -z "$root" ]; then
    echo "installed to $PREFIX; now: systemctl daemon-reload && systemctl enable --now facron"
fi
