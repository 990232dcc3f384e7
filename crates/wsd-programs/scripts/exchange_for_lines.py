
# Exchange messages over all `connections`, as often as each line that is read says.
message = bytes(range(256)) * 16
for line in sys.stdin:
    for connection in connections * int(line):
        connection.sendall(message)
        left = len(message)
        while left:
            left -= len(connection.recv(left))
    print("exchanged", flush=True)
