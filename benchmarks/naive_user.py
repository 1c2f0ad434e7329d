"""What most people write first: a Locust FastHttpUser that reads line by line, decodes each, and then takes the time.

`locust -f benchmarks/naive_user.py -H http://HOST:PORT --headless -u 10 -t 10s`, with the file for its records in
TOKENSWARM_BENCH_OUT. Locust's own `iter_lines` waits for 1024 bytes and so bunches chunks; this user reads lines as
they come, which is the kindest reading of "naive".
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from locust import FastHttpUser, constant, events, task

BODY = {
    "model": "bench",
    "max_tokens": 128,
    "stream": True,
    "stream_options": {"include_usage": True},
    "messages": [{"role": "user", "content": "word " * 32}],
}
records: list[dict[str, Any]] = []


class NaiveUser(FastHttpUser):
    """Streams, decodes, stamps."""

    wait_time = constant(0)

    @task
    def ask(self) -> None:
        """One chat completion."""
        stamps: list[int] = []
        start_ns = time.monotonic_ns()
        with self.client.post("/v1/chat/completions", json=BODY, stream=True, catch_response=True) as response:
            while line := response._response.readline(b"\n"):  # noqa: SLF001  (the only way to read without waiting)
                if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
                    continue
                chunk = json.loads(line[6:])
                if chunk["choices"] and chunk["choices"][0]["delta"].get("content"):
                    stamps.append(time.monotonic_ns())
            records.append({"id": response.headers["x-request-id"], "start_ns": start_ns, "event_ns": stamps})


@events.quit.add_listener  # type: ignore[untyped-decorator]
def _write(**_: Any) -> None:
    with Path(os.environ["TOKENSWARM_BENCH_OUT"]).open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(record) + "\n" for record in records)
