"""Listen for RDMA connections, and refuse them or never answer. Arguments: address, port, refusing or silent. Prints
a line when it listens, and one for each request."""

import ctypes
import ipaddress
import socket
import struct
import sys

PORT_SPACE_TCP = 0x106
CONNECT_REQUEST = 4

address, port, manner = ipaddress.ip_address(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
library = ctypes.CDLL("librdmacm.so.1", use_errno=True)
library.rdma_create_event_channel.restype = ctypes.c_void_p


def succeed(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), "rdma_cm refuses")


def name():
    if address.version == 4:
        return struct.pack("=HH4s8x", socket.AF_INET, socket.htons(port), address.packed)
    return struct.pack("=HHI16sI", socket.AF_INET6, socket.htons(port), 0, address.packed, 0)


channel = ctypes.c_void_p(library.rdma_create_event_channel())
listener = ctypes.c_void_p()
succeed(library.rdma_create_id(channel, ctypes.byref(listener), None, PORT_SPACE_TCP))
succeed(library.rdma_bind_addr(listener, name()))
succeed(library.rdma_listen(listener, 16))
print("listening", flush=True)
while True:
    event = ctypes.c_void_p()
    succeed(library.rdma_get_cm_event(channel, ctypes.byref(event)))
    # The first members of the event: the new identifier, the listening one, the kind.
    new, _, kind = struct.unpack("=QQI", ctypes.string_at(event, 20))
    if kind == CONNECT_REQUEST:
        print("asked", flush=True)
        if manner == "refusing":
            succeed(library.rdma_reject(ctypes.c_void_p(new), None, 0))
    library.rdma_ack_cm_event(event)
    if kind == CONNECT_REQUEST and manner == "refusing":
        library.rdma_destroy_id(ctypes.c_void_p(new))
