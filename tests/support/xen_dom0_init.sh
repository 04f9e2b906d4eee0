#!/bin/busybox sh
# SPDX-License-Identifier: GPL-3.0-or-later
# dom0's only program: start Xen's daemons, then run each guest of the scenario on /dev/vda, one
# after another.
#
# A scenario is a tar: order (one name a line) and per guest NAME/cfg (an xl configuration),
# NAME/settings (shell variables: timeout, linger: seconds; copied, copies, every, aim: see Copies
# in xen_lab.py) and NAME/until (extended regular expressions, one a line; the first to appear on
# the guest's console ends the run). Guests' consoles go to the second serial port between marker
# lines.

/bin/busybox mkdir -p /usr/bin /usr/sbin /sbin
/bin/busybox --install -s /bin
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm && mount -t devpts devpts /dev/pts
mount -t tmpfs run /run && mkdir -p /run/xen /run/xenstored /run/lock
rm -rf /var/run && ln -s /run /var/run
exec </dev/hvc0 >/dev/hvc0 2>&1

say() { echo "LAB: $*"; }
stop() { sync; say "end"; sleep 0.3; poweroff -f; }
must() { "$@" || { say "broken: $* failed"; dmesg | tail -n 20; stop; }; }
# The time in seconds, as $now: a process costs much under emulation, and a guest is looked at often.
clock() { read -r now _ </proc/uptime && now=${now%.*}; }

for module in virtio_pci virtio_blk xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xenfs xen-blkback; do
    modprobe "$module" || say "no module $module"
done
mount -t xenfs xenfs /proc/xen
stty -F /dev/ttyS1 raw 115200
# What libxl runs to attach a disk; Debian's own script needs bash and a lock, this does the one
# case there is.
mkdir -p /etc/xen/scripts && : >/etc/xen/xl.conf
cat >/etc/xen/scripts/block <<'END'
#!/bin/sh
[ "$1" = add ] || exit 0
device=$(xenstore-read "$XENBUS_PATH/params")
xenstore-write "$XENBUS_PATH/physical-device" "$(stat -L -c %t:%T "$device")" "$XENBUS_PATH/hotplug-status" connected
END
chmod +x /etc/xen/scripts/block
must xenstored --pid-file /run/xenstored.pid
must xen-init-dom0
must xenconsoled --log=guest --pid-file=/run/xenconsoled.pid
must tar -xf /dev/vda -C /scenario
clock
say "ready after $now s"

state() { xl list "$1" 2>/dev/null | awk -v name="$1" '$1 == name { print $5 }'; }

# Follow one guest to its end; prints how it ended.
follow() {
    clock
    name=$1 log=/var/log/xen/console/guest-$1.log end=$((now + timeout)) looks=0
    while :; do
        if [ -s "/scenario/$name/until" ] && grep -aqE -f "/scenario/$name/until" "$log" 2>/dev/null; then
            echo reached && return
        fi
        # A start of xl is dear here: the guest has the time instead.
        looks=$(((looks + 1) % 8))
        [ "$looks" -ne 0 ] || case "$(state "$name")" in
            '') echo gone && return ;;
            *c*) echo crashed && return ;;
            *s*) echo stopped && return ;;
        esac
        clock
        [ "$now" -lt "$end" ] || { echo timeout && return; }
        sleep 0.7
    done
}

said() { grep -aoE "$aim" "$log" | wc -l; }

# Take the copies that the settings ask for, as destroying the domain at those moments would leave
# its disk.
copy() {
    number=0
    for target in $copies; do
        clock
        number=$((number + 1)) end=$((now + 200)) before=$(said)
        if [ $((number % 3)) -eq 0 ]; then
            while [ "$(said)" -eq "$before" ] && [ "$now" -lt "$end" ]; do sleep 0.1 && clock; done
        else
            sleep "$every"
        fi
        xl pause "$1"
        blockdev --flushbufs "$copied"
        dd if="$copied" of="$target" bs=1M iflag=direct oflag=direct 2>/scenario/dd.log || { say "no copy:"; cat /scenario/dd.log; }
        sleep 1.5 # what the guest said before reaches the serial line
        clock
        echo "LAB-COPY at $now s" >/dev/ttyS1
        xl unpause "$1"
    done
}

guest() {
    name=$1 timeout=60 linger=0 copies='' copied='' every='' aim=''
    # shellcheck source=/dev/null
    . "/scenario/$name/settings"
    log=/var/log/xen/console/guest-$name.log
    : >"$log"
    echo "LAB-BEGIN $name" >/dev/ttyS1
    say "guest $name begins"
    if xl create -p "/scenario/$name/cfg" >/scenario/xl.log 2>&1 && xl unpause "$name"; then
        tail -n +1 -f "$log" >/dev/ttyS1 &
        tail=$!
        how=$(follow "$name")
        [ "$how" != reached ] || { sleep "$linger"; copy "$name"; }
        xl destroy "$name" 2>/dev/null
        sleep 0.5
        kill "$tail" && wait "$tail" 2>/dev/null
    else
        how="refused" && cat /scenario/xl.log
        xl destroy "$name" 2>/dev/null
    fi
    printf '\nLAB-END %s %s\n' "$name" "$how" >/dev/ttyS1
    say "guest $name ends: $how"
}

while read -r name; do
    guest "$name"
done </scenario/order
stop
