# One of two hosts with a cable between them, each with an RDMA device.
load virtio_net rdma_rxe rdma_ucm sch_netem
ip link set eth0 name rdma0
equip rdma0 "$host" rxe0
own=10.9.0.$host peer=10.9.0.$((3 - host))
tries=60
until busybox ping -c 1 -W 1 "$peer" >/dev/null; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || { echo "the other host does not answer"; exit 125; }
done
