# Two network namespaces with an RDMA device each; the network between them loses a hundredth of all packets.
load rdma_rxe rdma_ucm veth sch_netem sch_ingress cls_matchall act_gact
for side in near far; do
    ip netns add "$side"
    ip -n "$side" link set lo up
done
ip link add rdma0 netns near type veth peer name rdma0 netns far
in='ip netns exec far'
equip rdma0 2 rxe-far
in='ip netns exec near'
equip rdma0 1 rxe-near
for side in near far; do
    tc -n "$side" qdisc add dev rdma0 root netem loss 1%
    # The place for a filter that cuts the link. It is made here, since a device whose queueing disciplines are exchanged drops what
    # is just being sent, and soft RoCE's queue pair 1, by which rdma_cm talks, does not survive that.
    tc -n "$side" qdisc add dev rdma0 clsact
done
own=10.9.0.1 peer=10.9.0.2
