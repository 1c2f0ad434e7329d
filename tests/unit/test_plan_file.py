"""Plans as files: what is accepted, and how a mistake is told."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from harness.cells import cells, left_out
from harness.errors import UsageFault
from harness.plan_file import dump_plan, plan_of, plan_schema, read_plan, suites

ROOT = Path(__file__).parent.parent.parent
GOOD: dict[str, Any] = {
    "name": "p",
    "targets": [
        {"name": "a", "dialect": "openai-chat", "base_url": "http://127.0.0.1:1/v1", "model": "m"},
        {"name": "b", "dialect": "anthropic-messages", "base_url": "http://127.0.0.1:1", "model": "m"},
    ],
    "workload": {"kind": "chat", "input_tokens": "N(480,120)", "output_tokens": 256},
    "stages": [{"concurrency": 8, "duration_s": 60}],
}


def _changed(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(GOOD), **changes}


@pytest.mark.parametrize("suite", suites())
def test_every_shipped_suite_is_a_valid_plan_and_survives_a_round_trip(suite: str, tmp_path: Path) -> None:
    plan = read_plan(f"suite:{suite}")
    path = tmp_path / "plan.yaml"
    path.write_text(dump_plan(plan))
    assert read_plan(str(path)) == plan


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tragets": []}, "plan.yaml: tragets: unknown key"),
        ({"stages": [{"rate_rps": -5, "duration_s": 1}]}, "plan.yaml: stages[0].rate_rps: -5: expected"),
        ({"stages": [{"concurrency": 1, "rate_rps": 1, "duration_s": 1}]}, "plan.yaml: stages[0]: a stage is closed"),
        ({"stages": [{"concurrency": 1, "duration_s": "long"}]}, "plan.yaml: stages[0].duration_s: 'long': expected"),
        ({"stages": []}, "plan.yaml: workloads[0]: has no stages"),
        ({"targets": [{**GOOD["targets"][0], "kye": 1}]}, "plan.yaml: targets[0].kye: unknown key"),
        ({"targets": [GOOD["targets"][0]] * 2}, "plan.yaml: targets: 'a': a name is used once"),
        ({"targets": [{**GOOD["targets"][0], "dialect": "telnet"}]}, "plan.yaml: targets[0].dialect: 'telnet'"),
        (
            {"targets": [{**GOOD["targets"][0], "query": {"a": "b", "v": 7}}]},
            "plan.yaml: targets[0].query.v: 7: expected",
        ),
        ({"targets": [{**GOOD["targets"][0], "headers": {"x": None}}]}, "plan.yaml: targets[0].headers.x: expected"),
        ({"targets": [{**GOOD["targets"][0], "base_url": "ftp://x"}]}, "plan.yaml: targets[0].base_url: 'ftp://x'"),
        ({"targets": [{**GOOD["targets"][0], "base_url": "http://h:99999"}]}, "the port must be 1 to 65535"),
        ({"workload": {"input_tokens": "N(0,1)"}}, "plan.yaml: workloads[0].input_tokens: 'N(0,1)': N(mean,sd)"),
        ({"workload": {"kind": "rerank"}}, "no workload of kind `chat`"),
        ({"workloads": []}, "either `workload` or `workloads`"),
        ({"repeats": 0}, "plan.yaml: repeats: 0: expected"),
        ({"name": "../../etc"}, "plan.yaml: name: '../../etc': expected"),
    ],
)
def test_a_mistake_is_told_with_file_key_value_and_rule(change: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageFault) as caught:
        plan_of(_changed(**change), "plan.yaml")
    assert said in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "- 1", "a: [", "a: &x [1]\nb: *x", "\tx", "{}", "1: 2", "a: 2026-99-99"])
def test_text_that_is_no_plan_is_a_usage_fault(text: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(UsageFault):
        read_plan(str(path))


def test_a_key_that_stands_twice_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("name: a\ntargets:\n  - {name: b}\n  - {name: c, model: x, model: y}\n")
    with pytest.raises(UsageFault, match=f"{path}: not YAML: line 4: model: the key stands there twice"):
        read_plan(str(path))


def test_a_version_that_looks_like_a_date_is_text(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(GOOD).replace("model: m\n", "model: m\n  query: {api-version: 2024-10-21}\n", 1))
    plan = read_plan(str(path))
    assert plan.targets[0].query == {"api-version": "2024-10-21"}
    path.write_text(dump_plan(plan))
    assert read_plan(str(path)) == plan


def test_bytes_that_are_no_text_and_missing_files_are_usage_faults(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_bytes(b"name: \xff\xfe")
    for source in (str(path), str(tmp_path / "none.yaml"), str(tmp_path), "suite:none"):
        with pytest.raises(UsageFault):
            read_plan(source)


def test_a_password_in_a_base_url_is_refused_and_not_repeated() -> None:
    target = {**GOOD["targets"][0], "base_url": "https://me:secret-word@host/v1"}
    with pytest.raises(UsageFault) as caught:
        plan_of(_changed(targets=[target]), "plan.yaml")
    assert "secret-word" not in caught.value.message


def test_settings_enter_lists_by_index_and_by_name() -> None:
    plan = read_plan("suite:demo", ["stages.0.concurrency=20", "targets.google-sim.model=other", "repeats=5"])
    assert (plan.stages[0].concurrency, plan.repeats) == (20, 5)
    assert [target.model for target in plan.targets if target.name == "google-sim"] == ["other"]


@pytest.mark.parametrize(
    "setting", ["repeats", "=3", "stages.9.concurrency=1", "name.deeper.still=1", "repeats=[", "x=1"]
)
def test_a_wrong_setting_is_a_usage_fault(setting: str) -> None:
    with pytest.raises(UsageFault):
        read_plan("suite:demo", [setting])


def test_the_order_of_targets_is_seeded_and_differs_between_repeats() -> None:
    plan = read_plan("suite:demo")
    orders = [tuple(cell.target.name for cell in cells(plan, repeat)) for repeat in range(1, 9)]
    assert orders[0] == tuple(cell.target.name for cell in cells(plan, 1))
    assert len(set(orders)) > 1
    assert all(sorted(order) == sorted(orders[0]) for order in orders)


def test_the_published_schema_is_current_and_accepts_what_the_reader_accepts() -> None:
    published = json.loads((ROOT / "docs" / "plan.schema.json").read_text())
    assert published == json.loads(json.dumps(plan_schema()))
    jsonschema.validate(GOOD, published)
    jsonschema.validate(yaml.safe_load(dump_plan(plan_of(GOOD, "x"))), published)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(_changed(tragets=[]), published)


def test_scale_multiplies_every_span_once() -> None:
    plan = read_plan("suite:reliability", ["scale=0.1", "warmup_s=5"])
    stress, recovery, *_ = plan.workloads
    assert [stage.duration_s for stage in stress.stages] == [60, 60, 60]
    assert stress.stages[0].end_rate_rps == 5
    inject = recovery.stages[0].inject
    assert inject is not None
    assert (inject.start_s, inject.duration_s) == (2, 3)
    assert (plan.warmup_s, plan.scale) == (0.5, 1)
    assert plan_of(yaml.safe_load(dump_plan(plan)), "x") == plan


def test_a_suite_leaves_out_the_workloads_that_no_target_can_run(tmp_path: Path) -> None:
    path = tmp_path / "targets.yaml"
    path.write_text('[{name: a, dialect: openai-chat, base_url: "https://a.example/v1", model: m}]')
    plan = read_plan("suite:reliability", targets_file=path)
    assert [workload.name for workload in plan.workloads] == ["stress", "error_recovery"]
    run = [cell.stage.label for cell in cells(plan, 1)]
    assert run == ["light", "heavy", "beyond", "timeout", "auth_failure"]
    assert [(target.name, stage.label) for target, _, stage in left_out(plan)] == [("a", "rate_limit")]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"stages": [{"concurrency": 1, "duration_s": 9, "inject": {"kind": "timeout", "duration_s": 1}}]}, "inject"),
        ({"stages": [{"rate_rps": 1, "duration_s": 9, "inject": {"kind": "timeout", "duration_s": 9}}]}, "duration_s"),
        ({"stages": [{"rate_rps": 1, "duration_s": 9, "inject": {"kind": "flood", "duration_s": 1}}]}, "kind"),
        ({"stages": [{"rate_rps": 1, "duration_s": 9, "inject": {"kind": "rate_limit", "duration_s": 1}}]}, "stages"),
        ({"workload": {"echo": True, "unique_prompts": False}}, "echo"),
        ({"scale": 0}, "scale"),
    ],
)
def test_what_cannot_be_injected_or_checked_is_refused(change: dict[str, Any], place: str) -> None:
    with pytest.raises(UsageFault, match=place):
        plan_of(_changed(**change), "p")


@pytest.mark.parametrize("field", [{"questions": "own"}, {"keep_text": True}, {"ask_times": 3}])
def test_only_a_chat_is_asked_questions(field: dict[str, Any]) -> None:
    target = {"name": "a", "dialect": "jina-embeddings", "base_url": "http://127.0.0.1:1/v1", "model": "m"}
    with pytest.raises(UsageFault, match=f"{next(iter(field))}: wants a chat"):
        plan_of(_changed(targets=[target], workload={"kind": "embeddings", **field}), "p")


def test_the_helpers_of_a_suite_are_found_among_other_targets(tmp_path: Path) -> None:
    path = tmp_path / "targets.yaml"
    path.write_text('[{name: a, dialect: openai-chat, base_url: "https://a.example/v1", model: m}]')
    quality = read_plan("suite:quality", targets_file=path).quality
    assert (quality.embedder, quality.judge) == (None, "a")
