"""What no page asks for, to every callback of the dashboard: answered 400 or as nothing, and in one line of the log."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from dashboard.app import make_app
from harness.plan_file import plan_of
from harness.rundir import RunDir
from harness.simulator.config import config_from
from harness.simulator.offline import play_offline

JUNK: list[object] = [
    None,
    True,
    5,
    -1.5,
    "x",
    "\ud800",
    "",
    [],
    [1],
    ["a"],
    {},
    {"a": 1},
    [[]],
    [None],
    [{}],
    {"points": [{}]},
]
LOOPBACK = {"Host": "127.0.0.1"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    root = tmp_path_factory.mktemp("runs")
    target = {"dialect": "openai-chat", "model": "m", "price": {"input": 1, "output": 2}}
    document = {
        "name": "p", "repeats": 2, "warmup_s": 0,
        "targets": [{"name": name, "base_url": f"sim://{name}"} | target for name in "ab"],
        "workload": {"kind": "chat", "name": "w", "input_tokens": 8, "output_tokens": 4},
        "stages": [{"concurrency": 1, "duration_s": 3}],
        "simulator": {"providers": {name: {"dialects": ["openai-chat"]} for name in "ab"}},
    }  # fmt: skip
    plan = plan_of(document, "test")
    play_offline(plan, config_from(plan.simulator), RunDir(root / "p" / "run"))
    with make_app(root).server.test_client() as found:
        yield found


def _bodies(client: FlaskClient) -> Iterator[dict[str, Any]]:
    """A request of each callback with each piece of junk."""

    def sent(place: dict[str, Any], value: object) -> dict[str, Any]:
        name = place["id"]
        return {
            "id": json.loads(name) if name.startswith("{") else name, "property": place["property"], "value": value
        }  # fmt: skip

    for callback in json.loads(client.get("/_dash-dependencies", headers=LOOPBACK).data):
        output = callback["output"]
        outputs = [
            dict(zip(("id", "property"), (part.split("@")[0] for part in each.rsplit(".", 1)), strict=True))
            for each in output.strip(".").split("...")
        ]
        for value in JUNK:
            yield {
                "output": output,
                "outputs": outputs if output.startswith("..") else outputs[0],
                "inputs": [sent(each, value) for each in callback["inputs"]],
                "state": [sent(each, value) for each in callback["state"]],
                "changedPropIds": [f"{each['id']}.{each['property']}" for each in callback["inputs"][:1]],
            }


def test_junk_is_answered_in_one_line_and_fills_no_terminal(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    page = client.get("/", headers=LOOPBACK)
    csrf = next(line.split("=", 1)[1].split(";")[0] for line in page.headers.getlist("Set-Cookie") if "csrf" in line)
    answers = []
    for body in _bodies(client):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            answer = client.post("/_dash-update-component", json=body, headers=LOOPBACK | {"X-CSRFToken": csrf})
        answers.append(answer.status_code)
        lines = [caplog.handler.format(record) for record in caplog.records]
        assert answer.status_code in (200, 204, 400), (body, lines)
        assert len(lines) <= 1 and not any("\n" in line for line in lines), (body, lines)
        assert answer.status_code != 400 or lines, "it is said"
    assert answers.count(400) > 50
