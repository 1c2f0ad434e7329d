"""Readers of the public trace formats, and what they say of files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.arrivals import Arrival, arrivals, expected_arrivals
from harness.errors import UsageFault
from harness.plan import Stage
from harness.workloads import traces
from harness.workloads.traces import read_trace

TRACES = Path(__file__).parent.parent / "wire" / "traces"
AZURE = b"TIMESTAMP,ContextTokens,GeneratedTokens\n"
BURST = b"Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
NOON = b"2023-11-16 12:00:00"


def written(folder: Path, content: bytes) -> Path:
    path = folder / "trace"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "at_s", "asked", "made"),
    [
        ("azure.csv", [0, 4.314579, 4.541877], [374, 396, 879], [44, 109, 55]),
        ("azure_2024.csv", [0, 0.007405], [2162, 2399], [5, 6]),
        ("burstgpt.csv", [0, 40, 113], [472, 1087, 417], [18, 230, 1]),
        ("burstgpt_3.csv", [0, 51, 82.5], [906, 36, 320], [446, 29, 1]),
        ("mooncake.jsonl", [0, 3.053], [6955, 6472], [52, 26]),
    ],
)
def test_each_format_is_told_from_its_first_line(
    name: str, at_s: list[float], asked: list[int], made: list[int]
) -> None:
    trace = read_trace(TRACES / name)
    assert trace.at_s.tolist() == at_s, "exact: no time is rounded on its way"
    assert (trace.input_tokens.tolist(), trace.output_tokens.tolist()) == (asked, made)
    assert trace.name == name


def test_a_trace_drives_a_stage_sped_up_and_cut_at_its_span() -> None:
    stage = Stage(duration_s=60, arrival="trace", trace=str(TRACES / "burstgpt.csv"), trace_speed=2)
    found = list(arrivals(stage, 25, "seed"))
    assert found == [Arrival(0, 0, 472, 18), Arrival(1, 20_000_000_000, 1087, 230)]
    assert expected_arrivals(stage, 25) == 2
    assert list(arrivals(stage, 25, "seed", (1, 2))) == found[1:]


def test_rows_out_of_order_are_put_in_order_and_those_of_one_time_keep_theirs(tmp_path: Path) -> None:
    path = written(tmp_path, BURST + b"9,x,1,1,2,a\n5,x,2,1,3,a\n9,x,3,1,4,a\n5,x,4,1,5,a\n")
    trace = read_trace(path)
    assert trace.input_tokens.tolist() == [2, 4, 1, 3]
    assert trace.at_s.tolist() == [0, 0, 4, 4]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + AZURE + NOON + b",1,2\n",
        (AZURE + NOON + b",1,2\n").replace(b"\n", b"\r\n"),
        AZURE + b"\n \n" + NOON + b",1,2\n\n",
        AZURE + NOON + b",1,2",
        b'"TIMESTAMP", "ContextTokens", "GeneratedTokens"\n"2023-11-16 12:00:00", "1", "2"\n',
        b"GeneratedTokens ,NumImages,ContextTokens ,TIMESTAMP \n2,7,1,2023-11-16T12:00:00Z\n",
        b'\xef\xbb\xbf{"timestamp": 5, "input_length": 1, "output_length": 2, "hash_ids": []}\r\n\r\n',
    ],
)
def test_marks_ends_of_lines_empty_lines_quotes_and_the_order_of_columns_do_not_matter(
    tmp_path: Path, content: bytes
) -> None:
    trace = read_trace(written(tmp_path, content))
    assert (trace.at_s.tolist(), trace.input_tokens.tolist(), trace.output_tokens.tolist()) == ([0], [1], [2])


def test_an_offset_from_utc_is_heeded(tmp_path: Path) -> None:
    path = written(tmp_path, AZURE + NOON + b",1,1\n2023-11-16 14:30:00+02:00,2,2\n")
    assert read_trace(path).at_s.tolist() == [0, 1800]


def test_a_file_of_many_chunks_is_one_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "_ROWS", 3)
    rows = [b"%d,x,%d,1,1,a\n" % (second, second + 1) for second in range(20)]
    path = written(tmp_path, BURST + b"".join(rows))
    assert read_trace(path).at_s.tolist() == list(range(20))
    written(tmp_path, BURST + b"".join(rows[:10]) + b"\n10,x,oops,1,1,a\n")
    with pytest.raises(UsageFault, match="trace:13: Request tokens: 'oops'"):
        read_trace(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "trace: an empty file"),
        (b"\n" + AZURE, "trace:1: ''"),
        (AZURE, "no arrival in it"),
        (AZURE + b"\n\n", "no arrival in it"),
        (b"a,b\n1,2\n", "trace:1: 'a,b': the first line of no known trace"),
        (b"\xff\xfe\x00\x01", "cannot be read: not UTF-8 text"),
        (b"\x00" * 100, "the first line of no known trace"),
        (b"\x1f\x8b\x08\x00", "cannot be read: not UTF-8 text"),
        (b"x" * 300_000, "the first line of no known trace"),
        (AZURE + (NOON + b",1,2\n") * 1000 + b"\xff\n", "not UTF-8"),
        (AZURE + b"yesterday,1,2\n", "trace:2: TIMESTAMP: 'yesterday': not a time such as"),
        (AZURE + b"now,1,2\n", "trace:2: TIMESTAMP: 'now': not a time such as"),
        (AZURE + b"2023,1,2\n", "trace:2: TIMESTAMP: '2023': not a time such as"),
        (AZURE + b"2023-02-30 12:00:00,1,2\n", "trace:2: TIMESTAMP: '2023-02-30 12:00:00': not a time such as"),
        (AZURE + b"9999-01-01 00:00:00,1,2\n", "trace:2: TIMESTAMP: '9999-01-01 00:00:00': not a time such as"),
        (AZURE + b"\n" + NOON + b",1,2\n\n" + NOON + b",1,-2\n", "trace:5: GeneratedTokens: '-2': not a whole number"),
        (AZURE + NOON + b",1.5,2\n", "trace:2: ContextTokens: '1.5': not a whole number"),
        (AZURE + NOON + b",inf,2\n", "trace:2: ContextTokens: 'inf': not a whole number"),
        (AZURE + NOON + b",1e300,2\n", "trace:2: ContextTokens: '1e300': not a whole number"),
        (AZURE + NOON + b"," + b"9" * 400 + b",2\n", "trace:2: ContextTokens: '999"),
        (AZURE + NOON + b",1\x00,2\n", "trace:2: ContextTokens: "),
        (AZURE + NOON + b",1\n", "trace:2: GeneratedTokens: '': not a whole number"),
        (AZURE + NOON + b",1,2,3\n", "rows have more fields than the first line"),
        (AZURE + NOON + b",1,2\n" + NOON + b",1,2,3\n", "line 3, saw 4"),
        (AZURE + b'"' + NOON + b",1,2\n", "not CSV: EOF inside string"),
        (BURST + b"1,x,nan,2,2,a\n", "trace:2: Request tokens: 'nan': not a whole number"),
        (BURST + b"nan,x,1,2,2,a\n", "trace:2: Timestamp: 'nan': not a time in seconds"),
        (BURST + b"1e300,x,1,2,2,a\n", "trace:2: Timestamp: '1e300': not a time in seconds"),
        (BURST + b"-inf,x,1,2,2,a\n", "trace:2: Timestamp: '-inf': not a time in seconds"),
        (b'{"timestamp": 1}\n', "trace:1: '{\"timestamp\": 1}': Object missing required field `input_length`"),
        (b'{"timestamp": 1, "input_length": 1, "output_length": 1}\n\n{"timest\n', "trace:3: '{\"timest': "),
        (b'{"timestamp": 1, "input_length": -1, "output_length": 1}\n', "trace:1: input_length: -1: not a whole"),
        (b'{"timestamp": 1, "input_length": 1, "output_length": 1' + b"0" * 30 + b"}\n", "output_length: 1e+30: not"),
        (b'{"timestamp": 1e300, "input_length": 1, "output_length": 1}\n', "timestamp: 1e+300: not a time in milli"),
        (b'{"timestamp": NaN, "input_length": 1, "output_length": 1}\n', "trace:1: "),
        (b'{"timestamp": null, "input_length": 1, "output_length": 1}\n', "trace:1: "),
    ],
)
def test_what_is_no_trace_is_refused_with_its_place(tmp_path: Path, content: bytes, said: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(UsageFault) as fault:
        read_trace(path)
    assert str(path) in fault.value.message
    assert said in fault.value.message
    assert "\n" not in fault.value.message
    assert fault.value.hint


def test_a_missing_file_a_folder_a_device_and_an_impossible_name_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path, Path("/dev/zero"), tmp_path / "a\x00b"):
        with pytest.raises(UsageFault, match="cannot be read"):
            read_trace(path)


def test_a_format_that_the_file_has_not_is_refused() -> None:
    with pytest.raises(UsageFault, match="column 'TIMESTAMP' is missing"):
        read_trace(TRACES / "burstgpt.csv", "azure")
    with pytest.raises(UsageFault, match=r"mooncake.jsonl:1: column 'Timestamp' is missing"):
        read_trace(TRACES / "mooncake.jsonl", "burstgpt")
    with pytest.raises(UsageFault, match=r"azure.csv:1: 'TIMESTAMP,"):
        read_trace(TRACES / "azure.csv", "mooncake")
