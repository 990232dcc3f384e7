# In the guest, before the command: what all beds have. A bed sets its own and its peer's address, and in what words
# the command runs there.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp
in=
# What goes wrong with a queue pair is told to whoever has it.
echo 3 >/proc/sys/kernel/printk
# Whoever prints tables asks for the width of the console.
stty columns 160 <&1
ip link set lo up

load() {
    modprobe -a "$@" || exit 125
}

# What ss and the switch ask; the kernel would load it at the first question, and both would wait for that.
load tcp_diag unix_diag

# An interface gets the addresses of a number, and an RDMA device (soft RoCE) of a name.
equip() {
    $in ip addr add "10.9.0.$2/24" dev "$1"
    $in ip addr add "fd09::$2/64" dev "$1" nodad
    $in ip link set "$1" mtu 4500 up
    $in rdma link add "$3" type rxe netdev "$1" || exit 125
}
