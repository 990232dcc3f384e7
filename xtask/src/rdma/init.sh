#!/bin/busybox sh
# First process of the guest: the host's files below, memory above them, then the command of the kernel command line.
busybox=/bin/busybox
$busybox mkdir -p /proc /sys /dev /host /over /new
$busybox mount -t proc proc /proc
$busybox mount -t devtmpfs dev /dev
for module in $($busybox cat /modules/order); do $busybox insmod "/modules/$module" || echo "no module $module"; done
$busybox mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose host /host
$busybox mount -t tmpfs over /over
$busybox mkdir /over/upper /over/work
$busybox mount -t overlay -o lowerdir=/host,upperdir=/over/upper,workdir=/over/work root /new

for argument in $($busybox cat /proc/cmdline); do
    case $argument in
    wsd.*) eval "${argument#wsd.}" ;;
    esac
done
$busybox mount -t proc proc /new/proc
$busybox mount -t sysfs sys /new/sys
$busybox mount -t devtmpfs dev /new/dev
$busybox mkdir -p /new/dev/shm /new/dev/pts "/new/lib/modules/$($busybox uname -r)"
$busybox mount -t devpts pts /new/dev/pts
for folder in run tmp dev/shm; do $busybox mount -t tmpfs -o mode=1777 "$folder" "/new/$folder"; done
$busybox mount --bind "/host$folder_of_guest/tree/lib/modules/$($busybox uname -r)" "/new/lib/modules/$($busybox uname -r)"
$busybox stty -F /dev/ttyS0 -opost
# The kernel looks for modprobe below the root of the first process, so this root must be the real one.
exec $busybox switch_root /new /bin/sh -c '
    /bin/sh "$0" </dev/null >/dev/ttyS0 2>&1
    echo "GUEST-RC=$?" >/dev/ttyS0
    echo o >/proc/sysrq-trigger
    sleep 60' "$script"
