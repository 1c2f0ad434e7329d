"""Run directories and replies that somebody made to do harm, each with the input that showed a defect."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from made_samples import made_sample

from analysis.cells.health import read_health
from analysis.rivals.files import summarise_files
from analysis.samples import load_samples
from analysis.summarise import summarise
from fuzz.runs import monitor_files
from harness.allowances.pace import Pace
from harness.allowances.shared_allowance import read_pace
from harness.commands.cli_shown import complain
from harness.errors import UsageFault
from harness.journals.tail import Tail
from harness.monitor import Watch
from harness.monitoring.client_health import ClientHealth
from harness.plan_file import read_plan
from harness.records.alert_record import AlertConfig
from harness.records.health_record import LAG_BOUNDS_S, Health, encode_health
from harness.rundir import RunDir
from harness.sample import Header, Sample, Usage, encode

DEEP = b'{"type":"sample","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
RUNNING = b'{"started_utc":"2001-09-09T01:46:40Z","ended":"running"}'  # 10^9 s after 1970
PLAN = """
name: p
targets: [{name: t, dialect: openai-chat, base_url: "sim://p", model: m}]
workload: {kind: chat, name: w}
stages: [{concurrency: 1, duration_s: 2}]
"""


def header() -> Header:
    return Header(
        schema=3, run="p/r", worker="w0", repeat=1, share=(0, 1), wall_ns=10**18, mono_ns=10**12, pid=1, host="h"
    )


def sample(seq: int) -> Sample:
    return made_sample(run="p/r", worker="w0", seq=seq, start_ns=seq * 10**9, end_ns=seq * 10**9 + 10**8)


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    found = RunDir(tmp_path / "p" / "r")
    found.journals.mkdir(parents=True)
    found.plan.write_text(PLAN)
    lines = [encode(header()), encode(sample(0)), DEEP + b"\n", encode(sample(1))]
    found.journal("w0").write_bytes(b"".join(lines))
    return found


def test_a_line_that_is_nested_without_end_is_a_bad_line_and_the_samples_around_it_stay(run_dir: RunDir) -> None:
    found = load_samples(run_dir)
    assert len(found.table) == 2
    (read,) = Tail(run_dir.journals).read(10**18, 10**12)
    assert [each.seq for each in read.samples] == [0, 1]


@pytest.mark.parametrize("content", [DEEP, b'{"ended":"\xff"}', b'{"ended":"complete","\xff":1}'])
def test_a_run_json_that_cannot_be_read_is_a_run_that_died(run_dir: RunDir, content: bytes) -> None:
    run_dir.run_json.write_bytes(content)
    assert summarise(run_dir)[0].ended == "died"


@pytest.mark.parametrize("kind", range(9))
def test_no_file_of_a_monitor_fails_by_its_nesting(kind: int) -> None:
    monitor_files(bytes([kind]) + DEEP)


@pytest.mark.timeout(100)
@pytest.mark.parametrize("began", ["0001-01-01T00:00:00Z", "1970-01-01T00:05:00Z", "2000-01-01T00:00:00"])
def test_a_run_that_began_by_a_clock_that_was_wrong_is_watched_at_once(run_dir: RunDir, began: str) -> None:
    run_dir.run_json.write_bytes(b'{"started_utc":"%s","ended":"running"}' % began.encode())
    now_ns = 10**18 + 5 * 10**9
    watch = Watch(run_dir, None, AlertConfig(), now_ns, 10**12 + 5 * 10**9)
    (cell,) = watch.look(now_ns, 10**12 + 5 * 10**9).cells
    assert (cell.target, cell.windows["10m"].attempted) == ("t", 2)


@pytest.mark.timeout(100)
@pytest.mark.parametrize("at_ns", [0, -(2**63), 2**80])
def test_a_monitor_that_is_said_to_have_stood_anywhere_goes_on_now(run_dir: RunDir, at_ns: int) -> None:
    run_dir.monitor_state.write_bytes(b'{"schema":1,"begun_ns":%d,"at_ns":%d,"places":{},"cells":[]}' % (at_ns, at_ns))
    watch = Watch(run_dir, None, AlertConfig(), 10**18, 10**12)
    assert watch.look(10**18 + 10**9, 10**12 + 10**9).state


@pytest.mark.parametrize(
    "wrong",
    [
        {"seq": 10**30},
        {"attempt": 2**31},
        {"start_ns": -(10**400)},
        {"first_text_ns": 2**53},
        {"end_ns": 2**62},
        {"event_ns": (1, 2**63)},
        {"first_event_tokens": 10**400},
        {"usage": Usage(source="provider", output_tokens=10**400)},
    ],
)
def test_a_number_that_no_column_holds_makes_a_line_no_record_live_and_after_the_run(
    run_dir: RunDir, wrong: dict[str, Any]
) -> None:
    with run_dir.journal("w0").open("ab") as file:
        file.write(encode(msgspec.structs.replace(sample(2), **wrong)) + encode(sample(3)))
    run_dir.run_json.write_bytes(RUNNING)
    now_ns = 10**18 + 5 * 10**9
    watch = Watch(run_dir, read_plan(str(run_dir.plan)), AlertConfig(), now_ns, 10**12 + 5 * 10**9)
    picture = watch.look(now_ns, 10**12 + 5 * 10**9)
    assert picture.spend.requests == len(load_samples(run_dir).table) == 3
    assert picture.findings[0].saw == "2 lines of journals are no record"
    watch.close()
    again = Watch(run_dir, None, AlertConfig(), now_ns, 10**12 + 5 * 10**9).look(now_ns + 10**9, 10**12 + 6 * 10**9)
    assert again.spend.requests == 3


@pytest.mark.parametrize(
    "wrong", [{"wall_ns": -(10**40)}, {"wall_ns": 10**40}, {"wall_ns": -1}, {"clock_offset_ns": 2**62}, {"schema": 99}]
)
def test_a_journal_whose_clock_shows_no_date_is_in_no_window_before_and_after_a_restart(
    run_dir: RunDir, wrong: dict[str, Any]
) -> None:
    lines = [
        msgspec.json.encode(msgspec.structs.replace(header(), **wrong)) + b"\n",
        *map(encode, map(sample, range(3))),
    ]
    run_dir.journal("w0").write_bytes(b"".join(lines))
    run_dir.run_json.write_bytes(RUNNING)
    for start in range(2):
        watch = Watch(run_dir, None, AlertConfig(), 10**18 + start * 10**9, 10**12)
        assert watch.look(10**18 + (5 + start) * 10**9, 10**12 + 10**9).spend.requests == 0
        with run_dir.journal("w0").open("ab") as file:
            file.write(encode(sample(10 + start)))
        watch.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"span_s": 0.0},
        {"span_s": -1.0},
        {"span_s": 1e308, "cpu_share": 1e308},
        {"t_ns": 10**400},
        {"loop_lag_counts": (10**30,) * (len(LAG_BOUNDS_S) + 1)},
        {"ephemeral_ports": 1, "ephemeral_ports_used": 10**410},
    ],
)
def test_a_row_of_health_that_no_second_had_is_left_out(run_dir: RunDir, wrong: dict[str, Any]) -> None:
    row = Health(run="p/r", worker="w0", repeat=1, t_ns=10**9, span_s=1.0, cpu_share=0.5, in_flight=1)
    odd = msgspec.structs.replace(row, **wrong)
    run_dir.health.write_bytes(b"".join(map(encode_health, [odd, odd, odd, row, row, row])))
    assert ClientHealth(run_dir.health).look(0.0) == []
    assert len(read_health(run_dir)) == 3
    assert summarise(run_dir)[0].validity


@pytest.mark.parametrize("seen_s", [-1e300, 1e300])
def test_states_of_alerts_that_stood_nowhere_end_no_monitor(run_dir: RunDir, seen_s: float) -> None:
    run_dir.run_json.write_bytes(RUNNING)
    episode = {"id": "a", "rule": "down", "severity": "info", "target": "t", "workload": "w", "state": "firing",
               "since_wall_s": 1.0, "since_utc": "", "changed_wall_s": 1.0, "seen_wall_s": seen_s, "value": None,
               "threshold": 1.0, "summary": ""}  # fmt: skip
    run_dir.alert_states.write_bytes(msgspec.json.encode({"events_to": -5, "states": {"down/t/w": episode}}))
    run_dir.alerts.write_bytes(b"{}\n")
    now_ns = 10**18 + 5 * 10**9
    watch = Watch(run_dir, None, AlertConfig(), now_ns, 10**12 + 5 * 10**9)
    assert watch.look(now_ns, 10**12 + 5 * 10**9).spend.requests == 2


def test_names_that_are_no_utf_8_of_a_run_or_a_journal_end_no_monitor(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path / os.fsdecode(b"l\xe4ufe") / "r")
    run_dir.journals.mkdir(parents=True)
    run_dir.run_json.write_bytes(RUNNING)
    for name in ("w0", os.fsdecode(b"\xff")):
        run_dir.journal(name).write_bytes(encode(header()) + encode(sample(0)))
    now_ns = 10**18 + 5 * 10**9
    watch = Watch(run_dir, None, AlertConfig(), now_ns, 10**12 + 5 * 10**9)
    picture = watch.look(now_ns, 10**12 + 5 * 10**9)
    watch.close()
    assert (picture.run, picture.spend.requests) == ("l\N{REPLACEMENT CHARACTER}ufe/r", 1)
    assert picture.findings[0].saw.endswith("now: \N{REPLACEMENT CHARACTER}.jsonl: its name is no UTF-8")
    assert run_dir.monitor_state.is_file()


@pytest.mark.parametrize("content", [DEEP, b'{"a":"\xff"}', b'{"a":1}\n{"b":"\xff"}'])
def test_a_result_file_of_another_tool_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "result.json").write_bytes(content)
    with pytest.raises(UsageFault, match=r"result\.json: "):
        summarise_files(tmp_path / "result.json")


def test_a_message_that_quotes_a_file_of_somebody_holds_nothing_that_a_terminal_obeys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plan.yaml").write_text('name: "\\e]0;owned\\a\\e[2J\\u202e"\n')
    with pytest.raises(UsageFault) as caught:
        read_plan(str(tmp_path / "plan.yaml"))
    complain(f"{caught.value.message} \x1b[31m", f"{caught.value.hint}\x07\n\u202e")
    said = capsys.readouterr().err
    assert said.startswith("error: ") and "hint: " in said
    assert all(char.isprintable() or char == "\n" for char in said)


@pytest.mark.parametrize("kept", [b"", b"x", b"[]", b'{"held_s":"x","until_s":1}', b"\xff", b"[" * 100_000])
def test_a_pace_in_redis_that_a_stranger_wrote_is_none(kept: bytes) -> None:
    assert read_pace(kept) is None
    assert read_pace(b'{"held_s":1.5,"until_s":2}') == Pace(held_s=1.5, until_s=2.0)


def test_a_count_of_requests_that_no_load_has_is_none(tmp_path: Path) -> None:
    path = tmp_path / "summary_lifecycle_metrics.json"
    latency = {"request_latency": {"mean": 1.0}}
    document = {
        "load_summary": {"count": 2},
        "successes": {"count": 1e60, "latency": latency},
        "failures": {"count": 1},
    }
    path.write_bytes(msgspec.json.encode(document))
    (result,) = summarise_files(path).results
    assert result.outcomes == {"failed": 1}
