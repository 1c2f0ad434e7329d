"""The command `alerts` by the real program: lists, acknowledges, silences, checks rules and tries sinks."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.alerting.alert_log import append_events, read_actions
from harness.alerts import States, step
from harness.records.alert_record import Reading, Rule

T0 = 1_795_000_000.0
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A watched run: one alert fires, one is over, one was pending and went away."""
    root = tmp_path / "runs" / "chat" / "20261118T000000Z-ab12"
    root.mkdir(parents=True)
    states: States = {}
    for rule, values in (
        (Rule(name="slow", metric="ttft.p95", above=1, for_s=0, resolve_after_s=0), (2.0, 0.5, 0.5)),
        (Rule(name="failing", metric="error_ratio", above=0.1, for_s=1, summary="[red]{target}[/] fails"), (0.5,) * 3),
        (Rule(name="brief", metric="e2e.p95", above=1, for_s=9), (2.0, 0.5, 0.5)),
    ):
        for second, value in enumerate(values):
            reading = Reading(wall_s=T0 + second, target="acme", workload="chat", values={rule.metric: value})
            states, events = step([rule], states, [reading], [], T0 + second)
            append_events(root / "alerts.jsonl", events)
        states = {}
    return root


def test_what_fires_comes_first_and_names_are_text(tokenswarm: Command, run_dir: Path) -> None:
    shown = tokenswarm("alerts", run_dir, "--json")
    assert shown.returncode == 0, shown.stderr
    document = json.loads(shown.stdout)
    assert document["run"] == "chat/20261118T000000Z-ab12"
    assert [(each["rule"], each["state"]) for each in document["alerts"]] == [
        ("failing", "firing"),
        ("slow", "resolved"),
    ]
    assert document["alerts"][1]["lasted_s"] == 1.0 and document["alerts"][1]["summary"].startswith("ttft.p95 is 2")
    assert len(json.loads(tokenswarm("alerts", run_dir, "--json", "--every").stdout)["alerts"]) == 3
    assert "[red]acme[/] fails" in tokenswarm("alerts", run_dir).stdout


def test_acknowledging_and_silencing_are_actions_that_a_monitor_reads(tokenswarm: Command, run_dir: Path) -> None:
    assert (
        tokenswarm("alerts", run_dir, "--acknowledge", "failing/", "--by", "ann", "--comment", "on it").returncode == 0
    )
    silent = tokenswarm(
        "alerts", run_dir, "--silence", "sl*", "--target", "acme", "--for", "2h", "--by", "ann", "--json"
    )
    document = json.loads(silent.stdout)
    assert document["alerts"][0]["acknowledged_by"] == "ann" and document["alerts"][0]["comment"] == "on it"
    assert [(each["rule"], each["target"]) for each in document["silences"]] == [("sl*", "acme")]
    assert "no such silence" in tokenswarm("alerts", run_dir, "--unsilence", "sl*").stderr
    assert tokenswarm("alerts", run_dir, "--unsilence", "sl*", "--target", "acme").returncode == 0
    assert json.loads(tokenswarm("alerts", run_dir, "--json").stdout)["silences"] == []
    kinds = [each.kind for each in read_actions(run_dir / "alert_actions.jsonl")]
    assert kinds == ["acknowledge", "silence", "unsilence"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--acknowledge", "nobody"), "no such alert"),
        (("--silence", "slow"), "no --for"),
        (("--silence", "slow", "--for", "2 weeks"), "must be a number with s, m, h or d"),
        (("--for", "2h"), "goes with --silence"),
        (("--silence", "a", "--acknowledge", "b"), "more than one of"),
        (("--test-sinks",), "no file to --check"),
    ],
)
def test_bad_usage_is_two_lines(tokenswarm: Command, run_dir: Path, arguments: tuple[str, ...], said: str) -> None:
    answer = tokenswarm("alerts", run_dir, *arguments)
    assert answer.returncode == 2 and said in answer.stderr and answer.stderr.count("\n") == 2


def test_rules_are_checked_and_sinks_tried(tokenswarm: Command, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("sinks: [{kind: log}, {kind: command, argv: [/bin/false]}]\n")
    bad.write_text("rules: [{name: x, metric: ttft.p96, above: 1}]\n")
    assert "rules: outage, refused, failing" in tokenswarm("alerts", "--check", good).stdout
    answer = tokenswarm("alerts", "--check", bad)
    assert answer.returncode == 2
    assert answer.stderr.startswith(f"error: {bad}: rules[0].metric: 'ttft.p96': no such metric\nhint: did you mean")
    tried = tokenswarm("alerts", "--check", good, "--test-sinks")
    assert tried.returncode == 1
    assert "sink log: told" in tried.stderr and "sink command: /bin/false: exit code 1" in tried.stderr


def test_the_rules_of_a_plan_are_checked_with_it(tokenswarm: Command, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    assert tokenswarm("init", plan).returncode == 0
    text = plan.read_text()
    plan.write_text(text + "\nalerts: {rules: [{name: x, metric: ttft.p95, above: 1, for_s: -1}]}\n")
    answer = tokenswarm("check", plan)
    assert answer.returncode == 2 and "alerts.rules[0].for_s: -1" in answer.stderr
    plan.write_text(text + "\nalerts: {rules: [{name: x, metric: ttft.p95, above: 1}]}\n")
    assert "rules: x\n" in tokenswarm("alerts", "--check", plan).stdout
