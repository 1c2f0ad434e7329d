"""The official `openai` async SDK under asyncio: `python -m benchmarks.sdk_client URL STREAMS DURATION_S OUT`."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
from openai import AsyncOpenAI

Record = dict[str, Any]


async def _ask(client: AsyncOpenAI) -> Record:
    start_ns = time.monotonic_ns()
    stream = await client.chat.completions.create(
        model="bench",
        max_tokens=128,
        stream=True,
        stream_options={"include_usage": True},
        messages=[{"role": "user", "content": "word " * 32}],
    )
    stamps = [time.monotonic_ns() async for chunk in stream if chunk.choices and chunk.choices[0].delta.content]
    return {"id": stream.response.headers["x-request-id"], "start_ns": start_ns, "event_ns": stamps}


async def _user(client: AsyncOpenAI, until_s: float) -> list[Record]:
    records = []
    while time.monotonic() < until_s:
        records.append(await _ask(client))
    return records


async def _run(url: str, streams: int, duration_s: float) -> list[Record]:
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)  # its own would re-connect above 100
    http = httpx2.AsyncClient(limits=limits, timeout=60.0)
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="sim-key", max_retries=0, http_client=http) as client:
        until_s = time.monotonic() + duration_s
        per_user = await asyncio.gather(*(_user(client, until_s) for _ in range(streams)))
    return [record for records in per_user for record in records]


def main() -> None:
    """Run and write one JSON line a request."""
    url, streams, duration_s, out = sys.argv[1:]
    records = asyncio.run(_run(url, int(streams), float(duration_s)))
    Path(out).write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


if __name__ == "__main__":
    main()
