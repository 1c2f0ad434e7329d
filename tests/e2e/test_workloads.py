"""Conversations, nonces, tools, images and structured output: at the simulator, by the real command."""

from __future__ import annotations

import base64
import json
import re
import struct
import subprocess
import sys
import zlib
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from analysis.summary import Result, Summary
from harness.dialects import DIALECTS
from harness.dialects.wire import Ask, Image, Turn
from harness.errors import UsageFault
from harness.plan import Images, Workload
from harness.plan_file import plan_of
from harness.prompts import prompt
from harness.records.dialect_names import KIND_OF_DIALECT
from harness.sample import Outcome, Sample, decode
from harness.workloads.conversation_files import read_conversations
from harness.workloads.pictures import png
from harness.workloads.structured import SCHEMA, valid
from harness.workloads.tool_box import tools

CHATS = sorted(name for name, kind in KIND_OF_DIALECT.items() if kind == "chat")
QUICK = {"ttft": 0.02, "itl": 0.0005, "prefill_s_per_input_token": 0.0002}
LOADS = [{"concurrency": 3, "duration_s": 1.2}]
PLAN = {
    "name": "workloads",
    "repeats": 1,
    "warmup_s": 0,
    "targets": [
        {
            "name": "cached",
            "dialect": "openai-chat",
            "base_url": "sim://cached",
            "model": "m",
            "key_env": "NO_SUCH_KEY",
        },
    ],
    "workloads": [
        {"name": "talk", "turns": 4, "input_tokens": 40, "output_tokens": 10, "stages": LOADS},
        {"name": "calls", "tools": 3, "input_tokens": 40, "output_tokens": 10, "stages": LOADS},
        {"name": "json", "structured": True, "input_tokens": 40, "output_tokens": 20, "stages": LOADS},
    ],
    "simulator": {
        "providers": {
            "cached": {"dialects": ["openai-chat"], "prefix_cache": True, "invalid_json": 0.3, **QUICK},
        }
    },
}


Run = tuple[list[Sample], dict[tuple[str, str], Result], str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of all of them: its samples in order, its results, and its page."""
    folder = tmp_path_factory.mktemp("workloads")
    (folder / "plan.yaml").write_text(json.dumps(PLAN))
    command = [sys.executable, "-m", "harness", "run", str(folder / "plan.yaml"), "--out", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode in (0, 3), done.stderr[-3000:]  # a busy machine's run may not be valid
    run_dir = Path(done.stdout.splitlines()[-1])
    lines = [line for path in sorted((run_dir / "journal").glob("*.jsonl")) for line in path.read_bytes().splitlines()]
    samples = [record for line in lines if isinstance(record := decode(line), Sample)]
    summary = msgspec.json.decode((run_dir / "summary.json").read_bytes(), type=Summary)
    results = {(each.target, each.workload or ""): each for each in summary.results}
    return samples, results, (run_dir / "report.html").read_text()


def test_a_conversation_grows_turn_by_turn(run: Run) -> None:
    talk = [each for each in run[0] if each.workload == "talk" and each.target == "cached"]
    by_conversation = {
        name: [*group]
        for name, group in groupby(
            sorted(talk, key=lambda each: str(each.conversation)), lambda each: each.conversation
        )
    }
    whole = [group for group in by_conversation.values() if len(group) == 4]
    assert len(whole) >= 2
    for group in whole:
        turns = sorted(group, key=lambda each: each.turn or 0)
        assert [each.turn for each in turns] == [1, 2, 3, 4]
        assert [each.prompt_id for each in turns] == [f"{turns[0].conversation}.{turn}" for turn in (1, 2, 3, 4)]
        for earlier, later in pairwise(turns):
            assert (later.start_ns or 0) > earlier.end_ns
        sent = [each.usage.input_tokens for each in turns if each.usage is not None]
        assert sent == [40, 90, 140, 190], "40 more words each turn, and the 10 of the reply before"
        cached = [each.usage.cached_tokens for each in turns if each.usage is not None]
        assert cached == [0, 50, 100, 150], "all that was said before, the reply included"


def test_the_summary_shows_turns_and_what_was_cached(run: Run) -> None:
    turns = run[1]["cached", "talk"].turns
    assert [each.turn for each in turns] == [1, 2, 3, 4]
    assert [each.input_tokens_mean for each in turns] == [40, 90, 140, 190]
    assert [each.cached_share for each in turns] == pytest.approx([0, 50 / 90, 100 / 140, 150 / 190])
    assert all(each.ok and each.ttft_p50_s is not None and each.ttft_p50_s > 0.02 for each in turns)
    assert run[1]["cached", "json"].turns == ()


def test_the_page_shows_turns_and_structured_replies(run: Run) -> None:
    _, results, page = run
    rows = re.findall(r"<tr>(.*?)</tr>", page)
    turns = [re.findall(r"<td>(.*?)</td>", row) for row in rows if ">talk, " in row]
    shown = [row[:5] for row in turns if len(row) == 7 and row[0] in ("1", "2", "3", "4")]
    told = results["cached", "talk"].turns
    inputs, shares = ("40.0", "90.0", "140", "190"), ("0.00 %", "55.56 %", "71.43 %", "78.95 %")
    assert shown == [
        [str(each.turn), str(each.attempted), str(each.ok), tokens, share]
        for each, tokens, share in zip(told, inputs, shares, strict=True)
    ]
    structured = results["cached", "json"].structured
    assert structured is not None
    assert (
        f"<td>{structured.replies}</td><td>{structured.valid}</td><td>{100 * structured.valid_share:.2f} %</td>" in page
    )


def test_a_call_of_a_tool_is_content_and_its_first_piece_ends_the_ttft(run: Run) -> None:
    calls = [each for each in run[0] if (each.workload, each.target) == ("calls", "cached")]
    ok = [each for each in calls if each.outcome is Outcome.OK]
    assert len(ok) > 5
    assert {each.finish_reason for each in ok} == {"tool_calls"}
    assert {len(each.event_ns) for each in ok} == {10} and {each.text_chars for each in ok} == {0}
    assert {each.first_text_ns for each in ok} == {None}, "nothing of it is text"
    assert run[1]["cached", "calls"].ttft_s is not None


def test_structured_replies_are_judged_by_their_schema(run: Run) -> None:
    judged = [each for each in run[0] if (each.workload, each.target) == ("json", "cached") and each.valid is not None]
    structured = run[1]["cached", "json"].structured
    assert structured is not None and structured.replies == len(judged) > 10
    assert 0 < structured.valid < structured.replies, "three in ten are broken there"
    assert structured.valid_share == structured.valid / structured.replies
    assert run[1]["cached", "talk"].structured is None


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ('{"title":"a","count":3,"tags":["x"]}', True),
        (' {"title":"","count":0,"tags":[]}\n', True),
        ('```json\n{"title":"a","count":3,"tags":[]}\n```', False),
        ('{"title":"a","count":3}', False),
        ('{"title":"a","count":"3","tags":[]}', False),
        ('{"title":"a","count":3,"tags":[],"more":1}', False),
        ('{"title":"a","count":3,"tags":[]', False),
        ("", False),
    ],
)
def test_a_reply_is_of_the_schema_or_not(text: str, right: bool) -> None:  # noqa: FBT001
    assert valid(text) == right


def test_the_schema_and_its_judge_agree() -> None:
    from jsonschema import Draft202012Validator  # noqa: PLC0415

    validator = Draft202012Validator(SCHEMA)
    values: tuple[Any, ...] = (
        {"title": "a", "count": 3, "tags": ["x"]},
        {"title": "a", "count": 3},
        {"title": 1, "count": 3, "tags": []},
        {"title": "a", "count": 1.5, "tags": []},
        {"title": "a", "count": 3, "tags": [1]},
        {"title": "a", "count": 3, "tags": [], "x": 1},
        [],
    )
    for value in values:
        assert validator.is_valid(value) == valid(json.dumps(value))


def test_a_nonce_is_at_the_very_beginning_and_of_this_run_alone() -> None:
    workload = Workload(nonce=True, input_tokens=30, prefix_share=0.5)
    texts = {(run, index): prompt(7, workload, index, "t", run=run).texts[0] for run in "ab" for index in range(20)}
    nonces = {text.partition(" ")[0] for text in texts.values()}
    assert len(nonces) == 40
    assert texts["a", 3].partition(" ")[2] == texts["b", 3].partition(" ")[2], "all else is alike in every run"
    assert texts["a", 3] == prompt(7, workload, 3, "t", run="a").texts[0]


@given(st.integers(1, 70), st.integers(1, 70), st.text(max_size=5))
def test_pictures_are_whole_png_files(width: int, height: int, seed: str) -> None:
    data = png(width, height, seed)
    assert data.startswith(b"\x89PNG\r\n\x1a\n") and data == png(width, height, seed)
    assert struct.unpack(">II", data[16:24]) == (width, height)
    place, kinds, pixels = 8, [], b""
    while place < len(data):
        (size,) = struct.unpack(">I", data[place : place + 4])
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + size]
        assert struct.unpack(">I", data[place + 8 + size : place + 12 + size])[0] == zlib.crc32(kind + body)
        kinds.append(kind)
        pixels += zlib.decompress(body) if kind == b"IDAT" else b""
        place += 12 + size
    assert kinds == [b"IHDR", b"IDAT", b"IEND"] and len(pixels) == height * (1 + 3 * width)


def test_pictures_differ_from_prompt_to_prompt() -> None:
    workload = Workload(images=Images(count=2, width=32, height=32))
    made = [image.data for index in range(5) for image in prompt(1, workload, index, "t").images]
    assert len(set(made)) == 10 and all(base64.b64decode(data or "").startswith(b"\x89PNG") for data in made)
    far = Workload(images=Images(url="https://example.org/a.png"))
    assert prompt(1, far, 0).images == (Image(url="https://example.org/a.png"),)


def body_of(dialect: str, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DIALECTS[dialect].build(Ask(model="m", texts=("now",), **fields)).body)
    return found


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in strings(each)]
    return [text for each in value for text in strings(each)] if isinstance(value, list) else [str(value)]


@pytest.mark.parametrize("dialect", CHATS)
def test_every_dialect_sends_what_was_said_before_in_order(dialect: str) -> None:
    said = strings(body_of(dialect, history=(Turn("user", "first"), Turn("assistant", "second"))))
    assert [text for text in said if text in ("first", "second", "now")] == ["first", "second", "now"]
    roles = [text for text in said if text in ("user", "assistant", "model")]
    assert roles == ["user", "model" if dialect in ("google-generate", "vertex") else "assistant", "user"]


@pytest.mark.parametrize("dialect", CHATS)
def test_every_dialect_sends_pictures_tools_and_schemas(dialect: str) -> None:
    pictured = strings(body_of(dialect, images=(Image(data="UE5H"),)))
    assert [text for text in pictured if text.endswith("UE5H")] and "now" in pictured
    if dialect not in ("ollama", "bedrock-converse"):
        assert "https://e.org/x.png" in strings(body_of(dialect, images=(Image(url="https://e.org/x.png"),)))
    offered = body_of(dialect, tools=tools(2))
    assert {"find_weather_0", "find_calendar_1"} <= set(strings(offered))
    asked = json.dumps(body_of(dialect, schema=SCHEMA)).replace("\\", "")
    assert '"additionalProperties": false' in asked or '"additionalProperties":false' in asked


@pytest.mark.parametrize(
    ("workload", "said"),
    [
        ({"turns": 3, "stages": [{"rate_rps": 1, "duration_s": 5}]}, "turns: 3: wants closed stages"),
        ({"turns": 3, "questions": "own"}, "does not go with `questions`"),
        ({"nonce": True, "questions": "own"}, "nonce: does not go with `questions`"),
        ({"images": {"count": 1}, "questions": "own"}, "images: does not go with `questions`"),
        ({"turns": 3, "tools": 1}, "does not go with `tools`"),
        ({"structured": True, "tools": 1}, "structured: does not go with `tools`"),
        ({"structured": True, "echo": True}, "structured: does not go with `echo`"),
        ({"images": {"url": "ftp://x"}}, "images.url"),
        ({"images": {"width": 0}}, "images.width"),
        ({"turns": 0}, "turns: 0"),
    ],
)
def test_what_does_not_go_together_is_refused(workload: dict[str, Any], said: str) -> None:
    target = {"name": "t", "dialect": "openai-chat", "base_url": "sim://x", "model": "m"}
    stages = [{"concurrency": 1, "duration_s": 1}]
    with pytest.raises(UsageFault) as fault:
        plan_of({"name": "p", "targets": [target], "workload": workload, "stages": stages}, "plan")
    assert said in fault.value.message


def test_pictures_by_url_are_refused_where_nobody_fetches_them() -> None:
    target = {"name": "t", "dialect": "ollama", "base_url": "sim://x", "model": "m"}
    workload = {"images": {"url": "https://e.org/x.png"}}
    document = {"name": "p", "targets": [target], "workload": workload, "stages": LOADS}
    with pytest.raises(UsageFault, match="takes no image by URL"):
        plan_of(document, "plan")


SHAREGPT = {
    "id": "a",
    "conversations": [
        {"from": "system", "value": "be brief"},
        {"from": "human", "value": "first question"},
        {"from": "gpt", "value": "an answer of then"},
        {"from": "human", "value": "second question"},
    ],
}
MESSAGES = {"messages": [{"role": "user", "content": [{"type": "text", "text": "only question"}]}]}
SILENT = {"conversations": [{"from": "gpt", "value": "nobody asked"}]}


@pytest.mark.parametrize("form", ["lines", "list"])
def test_recorded_conversations_are_read_in_both_layouts(tmp_path: Path, form: str) -> None:
    values = [SHAREGPT, MESSAGES, SILENT]
    text = json.dumps(values, indent=1) if form == "list" else "\n\n".join(map(json.dumps, values)) + "\n"
    (tmp_path / "talk.jsonl").write_text(text)
    found = read_conversations(str(tmp_path / "talk.jsonl"))
    assert found == (("first question", "second question"), ("only question",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"conversations": []}\n{"x": 1}\n', "line 2: no conversation"),
        ('{"messages": [{"role": "user", "content": "a"}]}\n{"mess\n', "line 2: not JSON"),
        ('[{"conversations": 7}]', "item 0: no conversation"),
        ('{"messages": [{"role": ["user"], "content": "a"}]}', "no conversation in which"),
        ("", "no conversation in which"),
        (json.dumps(SILENT), "no conversation in which"),
    ],
)
def test_a_file_that_is_none_of_conversations_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "talk.jsonl").write_text(text)
    with pytest.raises(UsageFault, match=said):
        read_conversations(str(tmp_path / "talk.jsonl"))


def test_what_people_said_is_asked_turn_by_turn_and_all_of_it_once(tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    path.write_text("\n".join(map(json.dumps, [SHAREGPT, MESSAGES])))
    workload = Workload(conversations=str(path), turns=5)
    begun = {prompt(1, workload, index).texts[0]: index for index in range(2)}
    assert sorted(begun) == ["first question", "only question"]
    asked = [prompt(1, workload, begun["first question"], turn=turn) for turn in (1, 2)]
    assert [(each.texts[0], each.last) for each in asked] == [("first question", False), ("second question", True)]
    assert prompt(1, workload, begun["only question"]).last
    assert prompt(1, msgspec.structs.replace(workload, turns=1), begun["first question"]).last


def test_a_missing_file_of_conversations_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    plan = {**PLAN, "workloads": [{"name": "talk", "conversations": "none.jsonl", "stages": LOADS}]}
    (tmp_path / "plan.yaml").write_text(json.dumps(plan))
    command = [sys.executable, "-m", "harness", "check", str(tmp_path / "plan.yaml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 2 and f"{tmp_path / 'none.jsonl'}: cannot be read" in done.stderr
