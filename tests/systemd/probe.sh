#!/bin/bash
# What an administrator would do with facron.service, below a real systemd. One fact a line into /mnt/out/facts.
exec >/mnt/out/log 2>&1
set -x
trap 'touch /mnt/out/done' EXIT

fact() { echo "$*" >>/mnt/out/facts; }

# eventually COMMAND…: it succeeds within half a minute, or the probe ends with that.
eventually() {
    { set +x; } 2>/dev/null
    for _ in $(seq 600); do
        if "$@" 2>/dev/null; then set -x; return; fi
        sleep 0.05
    done
    fact "never: $*"
    journalctl --no-pager | tail -100
    exit 1
}

ran() { grep -qx "$*" /srv/runs; }
property() { systemctl show -p "$1" --value facron; }
main_is_not() { local pid; pid=$(property MainPID) && [ "$pid" != 0 ] && [ "$pid" != "$1" ] && systemctl -q is-active facron; }
is_logged() { journalctl --sync && journalctl -o cat "$@" | grep -q .; }

mkdir -p /srv/in /srv/stay /srv/hang
install -d -o nobody /srv/nobody

systemctl start facron; fact "start $?"
fact "status: $(property StatusText)"
touch /srv/in/one
eventually ran arrived one
fact "inherited: $(grep -cE '^(NOTIFY_SOCKET|WATCHDOG_|LISTEN_|INVOCATION_ID|JOURNAL_STREAM|SYSTEMD_EXEC_PID)' /srv/env)"
fact "cgroup: $(sed -n 's,^0::\(/system.slice/facron.service/facron/\).*,\1,p' /srv/cgroup)"
eventually is_logged FACRON_RULE=seen FACRON_OUTCOME=exit:0

systemctl reload facron; fact "reload $?"
echo 'x = [' >>/etc/facron/facron.toml
systemctl reload facron; fact "reload with a mistake $?, then $(systemctl is-active facron)"
eventually is_logged MESSAGE_ID=5e1385bf903c4b3b9ec66471fed126d0
sed -i '$d' /etc/facron/facron.toml
systemctl reload facron; fact "reload $?"

# Killed, and what happens before the next life is in the kernel's queue, which systemd keeps.
main=$(property MainPID)
touch /srv/in/gone
eventually ran arrived gone
kill -9 "$main"
rm /srv/in/gone
touch /srv/in/meanwhile
eventually ran delete gone
eventually ran arrived meanwhile
fact "restarts: $(property NRestarts)"

systemctl stop facron; fact "stop $?: $(property Result)"
systemctl start facron; fact "start $?"

# What runs is stopped with everything that it started.
touch /srv/stay/one
eventually pgrep -f 'sleep 1000'
systemctl restart facron; fact "restart $?"
eventually pgrep -f 'sleep 1000'
systemctl stop facron
fact "left running: $(pgrep -cf 'sleep 1000')"

# With the hardening that we ship it does all the same.
mkdir -p /etc/systemd/system/facron.service.d
cp /usr/share/doc/facron/hardening.conf /etc/systemd/system/facron.service.d/
systemctl daemon-reload
systemctl start facron; fact "hardened: start $?"
touch /srv/in/hardened
eventually ran arrived hardened
fact "hardened cgroup: $(sed -n 's,^0::\(/system.slice/facron.service/facron/\).*,\1,p' /srv/cgroup)"
fact "hardened: says $(journalctl -o cat -u facron | grep -c ^restricted) restrictions"
touch /srv/hang/one
eventually is_logged FACRON_RULE=hangs FACRON_OUTCOME=timeout
fact "hardened: user $(cat /srv/nobody/id), left running $(pgrep -cf 'sleep 2000')"
# And where it is forbidden to watch, it says so, and is not tried again.
printf '[Service]\nRestrictSUIDSGID=yes\n' >/etc/systemd/system/facron.service.d/suid.conf
systemctl daemon-reload
systemctl restart facron; fact "forbidden: $?: $(property ExecMainStatus)"
rm /etc/systemd/system/facron.service.d/*.conf
# What blinds rules is said; with the hardening nobody may look at process 1, to tell that it has other mounts.
printf '[Service]\nPrivateTmp=yes\n' >/etc/systemd/system/facron.service.d/tmp.conf
systemctl daemon-reload
systemctl restart facron
fact "own mounts: said $(journalctl -o cat -u facron | grep -c '^restricted what=own mounts')"
systemctl stop facron
rm -r /etc/systemd/system/facron.service.d

# A daemon that hangs is replaced.
mkdir -p /run/systemd/system/facron.service.d
printf '[Service]\nWatchdogSec=8s\n' >/run/systemd/system/facron.service.d/watchdog.conf
systemctl daemon-reload
systemctl start facron; fact "start $?"
main=$(property MainPID)
sleep 10
fact "well after 10 s: $([ "$(property MainPID)" = "$main" ] && echo yes)"
kill -STOP "$main"
touch /srv/in/hung
eventually main_is_not "$main"
eventually ran arrived hung

# With mistakes it does not start, and is not tried again.
echo 'x = [' >>/etc/facron/facron.toml
systemctl restart facron; fact "start with a mistake $?: $(property ExecMainStatus), restarts $(property NRestarts)"
fact "verify: $(systemd-analyze verify --man=no facron.service 2>&1 | grep -c facron.service)"
