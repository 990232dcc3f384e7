"""Send back all that arrives, with asyncio. Arguments: address, port."""

import asyncio
import sys


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_server(echo, sys.argv[1], int(sys.argv[2]), backlog=1024)
    await server.serve_forever()


asyncio.run(main())
