#!/bin/bash
# Starts systemd as process 1 of namespaces of its own, on an overlay of this machine: nothing that it does is seen
# outside. It runs probe.sh, which writes what it finds into WORK/out.
#
# usage: boot.sh WORK BINARY CGROUP      CGROUP: an empty directory in the hierarchy of version 2
set -euo pipefail
if [ "${4-}" != inside ]; then
    echo $$ >"$3/cgroup.procs"
    exec unshare --pid --fork --kill-child --mount --propagation private --uts --ipc --net --cgroup \
        "$0" "$1" "$2" "$3" inside
fi

work=$1 binary=$2
here=$(dirname "$0")
root=$work/root units=$work/root/lib/systemd/system
mkdir -p "$work"/{changes,root,out}
mount -t tmpfs -o mode=755 changes "$work/changes"
mkdir "$work"/changes/{upper,work}
mount -t overlay -o "lowerdir=/,upperdir=$work/changes/upper,workdir=$work/changes/work" overlay "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 run "$root/run"
mount -t tmpfs tmp "$root/tmp"
mount -t tmpfs -o mode=755 dev "$root/dev"
for device in null zero full random urandom; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root"/dev/{pts,shm}
ln -s /proc/self/fd "$root/dev/fd"

# Nothing starts but the journal, the probe, and what the probe starts.
: >"$root/etc/fstab"
# A machine without an id boots for the first time, and then everything is enabled.
tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
rm -rf "$root"/etc/systemd/system/*.{wants,requires} "$root"/etc/init.d/*
for target in sysinit local-fs basic multi-user sockets timers; do
    rm -rf "$units/$target.target.wants"
done
mkdir -p "$units"/{sysinit,multi-user}.target.wants
ln -s ../systemd-journald.service "$units/sysinit.target.wants/"

install -m 755 "$binary" "$root/usr/bin/facron"
install -m 644 "$here/../../config/facron.service" "$units/facron.service"
install -D -m 644 "$here/../../config/hardening.conf" "$root/usr/share/doc/facron/hardening.conf"
install -D -m 644 "$here/facron.toml" "$root/etc/facron/facron.toml"
install -m 755 "$here/probe.sh" "$root/usr/bin/facron-probe"
printf '[Service]\nType=oneshot\nExecStart=/usr/bin/facron-probe\n' >"$units/facron-probe.service"
ln -s ../facron-probe.service "$units/multi-user.target.wants/"
mkdir "$root/mnt/out"
mount --bind "$work/out" "$root/mnt/out"
# As on a machine that systemd has booted for itself.
mount --make-rshared "$root"

exec env -i container=facron PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    chroot "$root" /lib/systemd/systemd --system --unit=multi-user.target
