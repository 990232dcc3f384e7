"""Exchange messages over many connections at a time, with asyncio. Arguments: port, connections, rounds."""

import asyncio
import random
import sys

port, connections, rounds = (int(argument) for argument in sys.argv[1:])


async def converse(number, barrier):
    source = random.Random(number)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await barrier.wait()
    carried = 0
    for _ in range(rounds):
        message = source.randbytes(source.randrange(1, 8000))
        writer.write(message)
        assert await reader.readexactly(len(message)) == message
        carried += 2 * len(message)
        await asyncio.sleep(0.02)
    await barrier.wait()
    writer.close()
    await writer.wait_closed()
    return carried


class Barrier:
    def __init__(self, parties):
        self.parties, self.waiting, self.event = parties, 0, asyncio.Event()

    async def wait(self):
        self.waiting += 1
        event = self.event
        if self.waiting == self.parties:
            self.waiting, self.event = 0, asyncio.Event()
            event.set()
        await event.wait()


async def main():
    barrier = Barrier(connections)
    print(sum(await asyncio.gather(*(converse(number, barrier) for number in range(connections)))))


asyncio.run(main())
