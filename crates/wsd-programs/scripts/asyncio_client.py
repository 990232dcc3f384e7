"""Exchange messages over many connections at a time, with asyncio. Arguments: address, port,
connections, rounds. Prints how many bytes went, and keeps the connections until standard input ends."""

import asyncio
import random
import sys

address = sys.argv[1]
port, connections, rounds = (int(argument) for argument in sys.argv[2:])

# After so many messages there is a pause of so many seconds: what is done about the connections then shall be done for all.
FIRST, PAUSE = 3, 2


class Talk:
    def __init__(self, number):
        self.source, self.carried = random.Random(number), 0

    async def connect(self):
        self.reader, self.writer = await asyncio.open_connection(address, port)

    async def exchange(self, rounds):
        for _ in range(rounds):
            message = self.source.randbytes(self.source.randrange(1, 8000))
            self.writer.write(message)
            assert await self.reader.readexactly(len(message)) == message
            self.carried += 2 * len(message)
            await asyncio.sleep(0.02)


async def main():
    talks = [Talk(number) for number in range(connections)]
    await asyncio.gather(*(talk.connect() for talk in talks))
    await asyncio.gather(*(talk.exchange(FIRST) for talk in talks))
    await asyncio.sleep(PAUSE)
    await asyncio.gather(*(talk.exchange(rounds - FIRST) for talk in talks))
    print(sum(talk.carried for talk in talks))
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for talk in talks:
        talk.writer.close()
        await talk.writer.wait_closed()


asyncio.run(main())
