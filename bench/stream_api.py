"""An Alert API that costs next to nothing, so that a benchmark measures who asks it: `… PORT LATENCY [--firewall]`."""

import asyncio
import random
import sys
from urllib.parse import parse_qs

import orjson
import uvicorn

from sandbox import sample_alerts
from sandbox.firewall import Firewall

MARK = "0" * 36
ALERT = orjson.dumps(
    sample_alerts.draw_alert(random.Random(1), community="c", now=1_780_000_000, assets=["a1", "a2"]) | {"uuid": MARK}
)
"""1.8 KB, like an alert of the documentation; the uuid asked for is put in."""
BEFORE, _, AFTER = ALERT.partition(MARK.encode())
KNOWN = [f"00000000-0000-4000-8000-00000000000{number}" for number in range(2)]


def alert(uuid):
    """Return one alert as the list shows it."""
    return orjson.loads(BEFORE + uuid.encode() + AFTER)


class Api:
    """The list, the single GET, and an object with a name for everything else."""

    def __init__(self, latency, firewall):
        self._latency = latency
        self._firewall = firewall

    async def __call__(self, scope, receive, send):
        status, body = await self._answer(scope)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope):
        path = scope["path"]
        if path == "/_sandbox/firewall":
            return 200, orjson.dumps(self._firewall.stats.as_dict() if self._firewall else {})
        if self._firewall and not self._firewall.admit("worker"):
            return 429, b"{}"
        await asyncio.sleep(self._latency)
        if path == "/v1/sic/alerts":
            query = parse_qs(scope["query_string"].decode())
            uuids = query["match[uuid]"][0].split(",") if "match[uuid]" in query else KNOWN
            alerts = b",".join(BEFORE + uuid.encode() + AFTER for uuid in uuids)
            return 200, b'{"items":[' + alerts + b'],"total":%d}' % len(uuids)
        uuid = path.rpartition("/")[2]
        if path.startswith("/v1/sic/alerts/"):
            return 200, BEFORE + uuid.encode() + AFTER
        return 200, orjson.dumps({"uuid": uuid, "name": "A name", "short_id": "CA1", "items": []})


if __name__ == "__main__":
    port, latency, *options = sys.argv[1:]
    api = Api(float(latency), Firewall() if "--firewall" in options else None)
    uvicorn.run(api, host="127.0.0.1", port=int(port), log_level="error", access_log=False, lifespan="off")
