"""`tokenswarm calibrate`, and what `check` and `run` make of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Command

PLAN = """
name: much
repeats: 1
warmup_s: 0
targets: [{name: sim, dialect: openai-chat, base_url: "sim://openai-sim", model: m}]
workload: {kind: chat, input_tokens: 20, output_tokens: 4}
stages: [{concurrency: STREAMS, duration_s: 1}]
"""


@pytest.mark.alone
def test_a_calibration_is_kept_and_tells_how_many_workers_a_plan_needs(tokenswarm: Command, tmp_path: Path) -> None:
    env = {"XDG_CACHE_HOME": str(tmp_path)}
    done = tokenswarm("calibrate", "--quick", "--json", env=env)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [(each["streams"], each["pace"]) for each in found["levels"]] == [
        (20, "20 ms"),
        (200, "20 ms"),
        (200, "20 ms"),
        (32, "zero-gap"),
    ]
    assert {each["stamps"] for each in found["levels"]} >= {"user"}
    assert all(each["requests"] > each["streams"] and each["failed"] == 0 for each in found["levels"])
    assert all(each["chunks_per_s"] > 100 and 0 < each["cpu_us_per_chunk"] < 1000 for each in found["levels"])
    kept = tmp_path / "tokenswarm" / "calibration.json"
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"streams_within_1ms": 200}))
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN.replace("STREAMS", "900"))
    checked = tokenswarm("check", plan, "--json", env=env)
    assert json.loads(checked.stdout)["estimate"]["workers"] == 5
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"streams_within_1ms": 2}))
    plan.write_text(PLAN.replace("STREAMS", "5"))
    ran = tokenswarm("run", plan, env=env)
    assert "by the calibration of this machine 3 are needed" in ran.stderr
    assert "hint: add --workers 3" in ran.stderr


def test_a_calibration_of_another_machine_is_not_believed(tokenswarm: Command, tmp_path: Path) -> None:
    kept = tmp_path / "tokenswarm" / "calibration.json"
    kept.parent.mkdir()
    for content in ("", "{}", '{"schema":1,"machine":"another"}', "[" * 10_000):
        kept.write_text(content)
        plan = tmp_path / "plan.yaml"
        plan.write_text(PLAN.replace("STREAMS", "900"))
        done = tokenswarm("check", plan, "--json", env={"XDG_CACHE_HOME": str(tmp_path)})
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["estimate"]["workers"] is None
