"""A WebSocket client for the tests: client.py CASE URL [CA-FILE].

It ends with status 0 when the echo server has done what the case expects.
"""

import asyncio
import os
import ssl
import sys

import websockets

name, url = sys.argv[1:3]
context = ssl.create_default_context(cafile=sys.argv[3]) if len(sys.argv) > 3 else None


def connect():
    return websockets.connect(url, ssl=context, max_size=None)


async def echo(socket, message):
    await socket.send(message)
    answer = await socket.recv()
    assert type(answer) is type(message), type(answer)
    assert answer == message, "the echo differs"


async def text():
    async with connect() as socket:
        for message in "hello", "", "gr\u00fc\u00dfe \u2603 \U0001f600":
            await echo(socket, message)


async def binary():
    async with connect() as socket:
        await echo(socket, bytes(range(256)))


async def large():
    async with connect() as socket:
        await echo(socket, os.urandom(1 << 20))
        await echo(socket, "x" * (1 << 20))


async def fragmented():
    async with connect() as socket:
        await socket.send(["in ", "three ", "parts"])
        assert await socket.recv() == "in three parts"
        await socket.send([b"\0", b"", b"\xff"])
        assert await socket.recv() == b"\0\xff"


async def ping():
    async with connect() as socket:
        for payload in b"", b"are you there?", b"x" * 125:
            await (await socket.ping(payload or None))


async def close():
    for code in 1000, 1001, 3000, 4321:
        async with connect() as socket:
            await socket.close(code, "that is all")
            assert socket.close_code == code, socket.close_code


async def parallel():
    sockets = await asyncio.gather(*(connect() for _ in range(100)))
    await asyncio.gather(*(echo(s, f"message of connection {i}") for i, s in enumerate(sockets)))
    await asyncio.gather(*(s.close() for s in sockets))
    assert {s.close_code for s in sockets} == {1000}


cases = [text, binary, large, fragmented, ping, close, parallel]
asyncio.run(asyncio.wait_for({c.__name__: c for c in cases}[name](), 40))
