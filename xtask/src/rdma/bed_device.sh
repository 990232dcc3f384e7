# One RDMA device (soft RoCE), on a network of its own.
load rdma_rxe rdma_ucm dummy
ip link add rdma0 type dummy
equip rdma0 1 rxe0
own=10.9.0.1 peer=10.9.0.1
