"""Exchange messages over many connections at a time, with asyncio. Arguments: port, connections,
rounds. Prints how many bytes went, and keeps the connections until standard input ends."""

import asyncio
import random
import sys

port, connections, rounds = (int(argument) for argument in sys.argv[1:])


async def converse(number, barrier):
    source = random.Random(number)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await barrier.wait()
    carried = 0
    for number in range(rounds):
        message = source.randbytes(source.randrange(1, 8000))
        writer.write(message)
        assert await reader.readexactly(len(message)) == message
        carried += 2 * len(message)
        # A pause after the first messages: what is done about the connections then shall be done for all.
        await asyncio.sleep(1 if number == 4 else 0.02)
    return carried, writer


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
    ended = await asyncio.gather(*(converse(number, barrier) for number in range(connections)))
    print(sum(carried for carried, _ in ended))
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for _, writer in ended:
        writer.close()
        await writer.wait_closed()


asyncio.run(main())
