"""`tokenswarm limits` against simulated providers, each of which tells its limits in its own way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import BIN, Command

from harness.commands.cli_limits import limits
from harness.errors import UsageFault

RPM, TPM, AT_ONCE = 600, 60_000, 20
DIALECTS = {
    "openai": "openai-chat",
    "responses": "openai-responses",
    "anthropic": "anthropic-messages",
    "google": "google-generate",
    "jina": "jina-embeddings",
}


def plan(
    folder: Path, limits: dict[str, int], families: list[str], price: dict[str, float] | None = None, **provider: Any
) -> Path:
    """A plan of simulated targets, one for each family, and of light load."""
    fields = {"ttft": 0.1, "itl": 0.002, "limits": limits} | provider
    kinds = sorted({"embeddings" if family == "jina" else "chat" for family in families})
    document = {
        "name": "limits",
        "targets": [
            {"name": family, "dialect": DIALECTS[family], "base_url": f"sim://{family}", "model": "m", "price": price}
            for family in families
        ],
        "workloads": [{"name": kind, "kind": kind, "input_tokens": 84, "output_tokens": 16} for kind in kinds],
        "stages": [{"rate_rps": 5, "duration_s": 10}],
        "simulator": {"providers": [{"name": family, "dialects": [DIALECTS[family]]} | fields for family in families]},
    }
    path = folder / "plan.yaml"
    path.write_text(json.dumps(document))  # which is YAML too
    return path


def within_5_percent(found: dict[str, Any]) -> None:
    requests, tokens, at_once = found["limits"]
    assert requests["measured"] == pytest.approx(RPM, rel=0.05), found
    assert tokens["measured"] == pytest.approx(TPM, rel=0.05), found
    assert at_once["measured"] == pytest.approx(AT_ONCE, rel=0.05), found


def test_limits_are_found_however_the_provider_tells_them(tmp_path: Path) -> None:
    path = plan(tmp_path, {"rpm": RPM, "tpm": TPM, "concurrency": AT_ONCE}, list(DIALECTS))
    running = {
        family: subprocess.Popen(
            [str(BIN / "tokenswarm"), "limits", str(path), "--target", family, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for family in DIALECTS
    }
    said = {family: process.communicate(timeout=100) for family, process in running.items()}
    for family, (out, err) in said.items():
        assert running[family].returncode == 0, err
        found = json.loads(out)
        within_5_percent(found)
        requests, tokens, _ = found["limits"]
        tells = family in ("openai", "responses", "anthropic")
        assert (requests["told"], tokens["told"]) == ((RPM, TPM) if tells else (None, None))
        assert requests["burst"] == pytest.approx(RPM, rel=0.1)
        assert requests["headroom"] == pytest.approx(1 - 300 / requests["measured"])
        assert set(found["refusals"]["statuses"]) == {"429"}
        assert found["refusals"]["wait_s"] is not None
        assert found["spent"]["requests"] <= 1500
        assert found["spent"]["tokens"] <= 200_000


@pytest.mark.parametrize(
    "bounds", [("--spend-requests", 150, "--spend-tokens", 9_000), ("--spend-usd", 0.03, "--spend-requests", 150)]
)
def test_no_more_is_spent_than_may_be(tokenswarm: Command, tmp_path: Path, bounds: tuple[object, ...]) -> None:
    path = plan(tmp_path, {"rpm": 100_000}, ["openai"], {"input": 5.0, "output": 5.0})
    done = tokenswarm("limits", path, *bounds, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    spent = found["spent"]
    assert 20 < spent["requests"] <= 150
    assert spent["tokens"] <= 9_000
    assert 0 < spent["usd"] <= 0.05
    assert [each["measured"] for each in found["limits"]] == [None, None, None]
    assert all(each["note"] for each in found["limits"])


def test_a_provider_that_queues_is_told_from_one_that_refuses(tokenswarm: Command, tmp_path: Path) -> None:
    path = plan(tmp_path, {}, ["openai"], capacity=2, overload_exponent=1.0)
    done = tokenswarm("limits", path, "--spend-requests", 60, "--spend-tokens", 5000, "--most-at-once", 16)
    assert done.returncode == 0, done.stderr
    assert "at least 16" in done.stdout
    assert "it queues" in done.stdout
    assert "spent: " in done.stdout


def test_a_limit_a_minute_is_not_taken_for_one_on_requests_at_once(tokenswarm: Command, tmp_path: Path) -> None:
    path = plan(tmp_path, {"rpm": 20}, ["openai"])
    done = tokenswarm("limits", path, "--spend-requests", 40, "--json")
    assert done.returncode == 0, done.stderr
    at_once = json.loads(done.stdout)["limits"][2]
    assert at_once["measured"] is None
    assert at_once["at_least"] == 8
    assert "a limit a minute" in at_once["note"]


def test_what_cannot_be_probed_is_refused(tmp_path: Path) -> None:
    path = str(plan(tmp_path, {}, ["openai", "jina"]))
    targets = tmp_path / "targets.yaml"
    target = {"name": "gone", "dialect": "openai-chat", "base_url": "http://127.0.0.1:9/v1", "model": "m"}
    targets.write_text(yaml.safe_dump([target]))
    for words, said in (
        ([], "no target given"),
        ([path], "no --target given"),
        ([path, "--target", "other"], "no such target"),
        ([path, "--target", "jina", "--spend-usd", "1"], "no price"),
        (["--targets", str(targets)], "the first request failed"),
        (["--targets", str(targets), "--set", "a=b"], "there is no PLAN"),
    ):
        with pytest.raises(UsageFault, match=said):
            limits.main(words, standalone_mode=False)


@pytest.mark.skipif(sys.platform == "win32", reason="wants a pseudo-terminal")
def test_a_terminal_sees_a_bar(tmp_path: Path) -> None:
    import pty  # noqa: PLC0415

    path = plan(tmp_path, {"rpm": 20}, ["openai"])
    ours, theirs = pty.openpty()
    command = [str(BIN / "tokenswarm"), "limits", str(path), "--spend-requests", "20"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        while chunk := _read(ours):
            seen += chunk
        assert process.wait(60) == 0
    os.close(ours)
    assert b"requests at once" in seen
    assert b"\x1b[" in seen


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed
        return b""
