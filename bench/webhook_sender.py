"""Posts webhooks when they are due, as cheaply as this program can: it shares the machine with what it measures."""

import asyncio
import re
import time

import httpx

CONNECTIONS = 32
LENGTH = re.compile(rb"(?i)content-length: *(\d+)")


class Sender:
    """Posts each webhook when it is due, on the next connection that is free, whether or not earlier ones were answered."""

    def __init__(self, hook_url):
        self._url = httpx.URL(hook_url)
        self._free = asyncio.Queue()
        self.refused = 0

    async def open(self):
        """Open the connections."""
        for _ in range(CONNECTIONS):
            self._free.put_nowait(await asyncio.open_connection(self._url.host, self._url.port))

    async def run(self, rate, total, make):
        """Post so many bodies; `make` gets when each was due (monotonic seconds), so that falling behind hides nothing."""
        began, posting = time.monotonic(), set()
        for number in range(total):
            due = began + number / rate
            if (early := due - time.monotonic()) > 0:
                await asyncio.sleep(early)
            task = asyncio.create_task(self._post(make(due)))
            posting.add(task)
            task.add_done_callback(posting.discard)
        await asyncio.gather(*posting)

    async def _post(self, body):
        reader, writer = await self._free.get()
        head = f"POST {self._url.path} HTTP/1.1\r\nHost: {self._url.host}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(LENGTH.search(answer)[1]))
        self.refused += b" 200 " not in answer.partition(b"\r\n")[0]
        self._free.put_nowait((reader, writer))
