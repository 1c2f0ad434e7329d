"""Readers of the public trace formats, and what they say of files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.arrivals import Arrival, arrivals, expected_arrivals
from harness.errors import UsageFault
from harness.plan import Stage
from harness.traces import read_trace

TRACES = Path(__file__).parent.parent / "wire" / "traces"


@pytest.mark.parametrize(
    ("name", "at_s", "asked", "made"),
    [
        ("azure.csv", [0, 4.314579, 4.541877], [374, 396, 879], [44, 109, 55]),
        ("azure_2024.csv", [0, 0.007405], [2162, 2399], [5, 6]),
        ("burstgpt.csv", [0, 40, 113], [472, 1087, 417], [18, 230, 1]),
        ("mooncake.jsonl", [0, 3.053], [6955, 6472], [52, 26]),
    ],
)
def test_each_format_is_told_from_its_first_line(
    name: str, at_s: list[float], asked: list[int], made: list[int]
) -> None:
    trace = read_trace(TRACES / name)
    assert trace.at_s.tolist() == pytest.approx(at_s, abs=1e-7)
    assert (trace.input_tokens.tolist(), trace.output_tokens.tolist()) == (asked, made)


def test_a_trace_drives_a_stage_sped_up_and_cut_at_its_span() -> None:
    stage = Stage(duration_s=60, arrival="trace", trace=str(TRACES / "burstgpt.csv"), trace_speed=2)
    found = list(arrivals(stage, 25, "seed"))
    assert found == [Arrival(0, 0, 472, 18), Arrival(1, 20_000_000_000, 1087, 230)]
    assert expected_arrivals(stage, 25) == 2
    assert list(arrivals(stage, 25, "seed", (1, 2))) == found[1:]


def test_rows_out_of_order_are_put_in_order(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(
        '{"timestamp": 2000, "input_length": 2, "output_length": 2}\n\n'
        '{"timestamp": 1000, "input_length": 1, "output_length": 1}\n'
    )
    assert read_trace(path).input_tokens.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file"),
        (b"TIMESTAMP,ContextTokens,GeneratedTokens\n", "no arrival in it"),
        (b"a,b\n1,2\n", "the first line of no known trace"),
        (b"\xff\xfe\x00\x01", "cannot be read"),
        (b"TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,1,2\n", "row 1: at_s: not a time"),
        (b"TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,1,-2\n", "row 1: output_tokens: not a number"),
        (b"Timestamp,Model,Request tokens,Response tokens\n1,x,nan,2\n", "row 1: input_tokens: not a number"),
        (b'{"timestamp": 1}\n', ":1: Object missing required field `input_length`"),
        (b'{"timestamp": 1, "input_length": 1, "output_length": 1}\n{"timest\n', ":2: "),
        (b"Timestamp,Model,Request tokens,Response tokens\n1,x,2,3,4,5,6\n2,x\n", "row "),
    ],
)
def test_what_is_no_trace_is_refused_with_its_place(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "trace"
    path.write_bytes(content)
    with pytest.raises(UsageFault) as fault:
        read_trace(path)
    assert str(path) in fault.value.message
    assert said in fault.value.message
    assert fault.value.hint


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(UsageFault, match="cannot be read"):
            read_trace(path)


def test_a_format_that_the_file_has_not_is_refused() -> None:
    with pytest.raises(UsageFault, match="column 'TIMESTAMP' is missing"):
        read_trace(TRACES / "burstgpt.csv", "azure")
