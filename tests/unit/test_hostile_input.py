"""Defects that fuzzing found, each with the input that showed it."""

from __future__ import annotations

import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from made_samples import made_sample

from analysis.deciding.use_cases import read_use_case
from analysis.locust_csv import summarise_csv
from analysis.samples import load_samples, write_parquet
from harness.dialects.json_fields import read_error
from harness.errors import ErrorKind, UsageFault
from harness.inputs.plain_yaml import MOST_BYTES, plain_yaml
from harness.journals.relay_entries import read_acked, read_end, read_ends, read_entry
from harness.plan_file import read_plan
from harness.prices import read_prices
from harness.questions.question_files import load_questions
from harness.rules.alert_file import read_alerts
from harness.rundir import RunDir
from harness.sample import Header, encode
from harness.simulator.config import load_config
from harness.sockets.http_framing import MAX_HEADER_BYTES, Framing, TransportFault
from harness.workloads.traces import read_trace

OK = b"HTTP/1.1 200 OK\r\n"


def test_a_second_response_in_the_same_read_is_no_part_of_the_first() -> None:
    framing = Framing()
    second = b"HTTP/1.1 500 No\r\ncontent-length: 3\r\nx: y\r\n\r\nbad"
    assert framing.parse(OK + b"content-length: 4\r\n\r\ngood" + second) == b"good"
    assert (framing.head.status, framing.head.headers) == (200, {"content-length": "4"})
    assert framing.complete and not framing.keep_alive


def test_a_trailer_without_end_is_refused_before_it_fills_the_memory() -> None:
    framing = Framing()
    framing.parse(OK + b"transfer-encoding: chunked\r\n\r\n0\r\n")

    def endless() -> None:
        for number in range(MAX_HEADER_BYTES):
            framing.parse(b"x-%d: y\r\n" % number)

    with pytest.raises(TransportFault) as caught:
        endless()
    assert caught.value.kind is ErrorKind.PROTOCOL
    assert "a trailer of more than" in caught.value.detail
    assert len(framing.head.headers) < MAX_HEADER_BYTES / 8


def test_a_huge_error_body_is_quoted_not_decoded() -> None:
    body = b"[" + b"[],{}," * 2_000_000 + b"[]]"
    tracemalloc.start()
    try:
        assert read_error(body).error.message
        assert tracemalloc.get_traced_memory()[1] < 4 * len(body)
    finally:
        tracemalloc.stop()


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, "line 2: anchors and aliases"),
        ("a: &a [*a]\n", "anchors and aliases"),
        ("a: " + "[" * 100_000, "nested more than 64 deep"),
        ("{a: " * 5000, "nested more than 64 deep"),
        ("a: 1" + ":59" * 100_000, "a number of 300001 characters"),
        ("a: " + "9" * 100_000, "a number of 100000 characters"),
        ("a: \x00b\n", "special characters are not allowed"),
        ("[1]: 2\n", "unhashable"),
        ("? {a: b}\n: c\n", "unhashable"),
        ("a: !!timestamp 2026-99-99\n", "month must be in 1..12"),
        ("a: !!python/object/apply:os.system [x]\n", "could not determine a constructor"),
        ("a: " + "x" * MOST_BYTES, f"has at most {MOST_BYTES}"),
    ],
    ids=[
        *("laughs", "cycle", "deep-list", "deep-map", "sixties", "digits"),
        *("nul", "list-key", "map-key", "month", "object", "long"),
    ],
)
def test_yaml_that_makes_much_of_little_is_refused_by_every_reader(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "given.yaml"
    path.write_text(text)
    for message in _refusals(path):
        assert said in message, message
        assert len(message) < 500


def test_a_yaml_file_that_is_no_text_or_not_there_is_refused_by_every_reader_in_the_same_words(tmp_path: Path) -> None:
    path = tmp_path / "given.yaml"
    path.write_bytes(b"name: \xe9t\xe9\n")
    assert set(_refusals(path)) == {f"{path}: byte 6: not UTF-8 text"}
    path.unlink()
    assert set(_refusals(path)) == {f"{path}: cannot be read: No such file or directory"}


@pytest.mark.parametrize("read", [read_alerts, read_prices, load_config])
def test_a_device_without_an_end_is_refused(read: Callable[[Path], object]) -> None:
    with pytest.raises(UsageFault, match="has at most"):
        read(Path("/dev/zero"))


def _refusals(path: Path) -> list[str]:
    """What every reader of YAML files says of a bad one."""
    said = []
    for read in (
        read_prices,
        load_config,
        read_alerts,
        lambda path: read_use_case(str(path)),
        lambda p: read_plan(str(p)),
    ):
        with pytest.raises(UsageFault) as caught:
            read(path)
        said.append(caught.value.message)
    return said


def test_plain_yaml_reads_what_people_write() -> None:
    text = "# a plan\nname: x\nlist: [1, 2.5, yes, ~, 2026-01-02]\nmap:\n  - {a: 'b'}\n"
    assert str(plain_yaml(text, "p")["list"]) == "[1, 2.5, True, None, '2026-01-02']"
    assert plain_yaml("", "p") is None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {b"worker": b"w", b"journal": b"0123456789abcdef", b"offset": b"9" * 5000, b"data": b"x\n"},
        {b"worker": b"w", b"journal": b"0123456789abcdef", b"offset": b"-1", b"data": b"x\n"},
        {b"worker": b"../w", b"journal": b"0123456789abcdef", b"offset": b"0", b"data": b"x\n"},
        {b"worker": b"\xff\xfe", b"journal": b"0123456789abcdef", b"offset": b"0", b"data": b"x\n"},
        {b"worker": b"w", b"journal": b"0123456789abcdef", b"offset": b"0", b"data": b"torn"},
    ],
)
def test_an_entry_of_a_stranger_in_redis_is_refused(fields: dict[bytes, bytes]) -> None:
    assert read_entry(fields) is None


def test_what_strangers_write_beside_the_stream_tells_nothing() -> None:
    field = b"w:0123456789abcdef"
    assert read_ends({field: b"12", b"x": b"1", b"w:0123456789abcdee": b"many"}) == {field.decode(): 12}
    assert [read_acked(value) for value in (b"5 1", b"5", b"x y", b"", None, b"9" * 40 + b" 1")] == [(5, 1)] + [
        None
    ] * 5
    assert [read_end(value) for value in (b"7", b"7.5", b"-7", None)] == [7, None, None, None]


HEAD = "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Requests/s,50%,99%\n"
HISTORY = (
    "Timestamp,User Count,Type,Name,Requests/s,Failures/s,50%,Total Request Count,Total Failure Count,"
    "Total Median Response Time,Total Average Response Time\n"
)


def test_counts_that_nothing_can_be_are_left_out(tmp_path: Path) -> None:
    rows = "GET,/a,inf,0,5,5,1,5,9\nGET,/b,5,7,5,5,1,5,9\nGET,/c,-5,-7,5,5,1,5,9\nGET,/d,9,1,1e400,nan,1,5,9\n"
    (tmp_path / "x_stats.csv").write_text(HEAD + rows)
    (tmp_path / "x_failures.csv").write_text("Method,Name,Error,Occurrences\nGET,/d,odd,inf\n")
    (result,) = summarise_csv(tmp_path / "x").results
    assert (result.target, result.attempted, result.outcomes) == ("/d", 9, {"ok": 8, "failed": 1})


def test_a_history_by_a_clock_that_was_wrong_costs_no_memory(tmp_path: Path) -> None:
    """One row stands eleven years before the others: an array of seconds took gigabytes."""
    seconds = [1_339_177_831, *range(1_700_000_002, 1_700_000_009)]
    rows = [f"{at},1,GET,/a,1,0,5,{number},{number // 4},5,5.5\n" for number, at in enumerate(seconds, 1)]
    (tmp_path / "x_stats.csv").write_text(HEAD + "GET,/a,8,2,5,5.5,1,5,9\n")
    (tmp_path / "x_stats_history.csv").write_text(HISTORY + "".join(rows))
    tracemalloc.start()
    try:
        (result,) = summarise_csv(tmp_path / "x").results
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()
    assert result.reliability is not None
    assert (result.reliability.watched_s or 0) < 60


def test_a_history_of_absurdly_many_requests_costs_no_memory(tmp_path: Path) -> None:
    rows = [f"{1_700_000_000 + k},1,GET,/a,1,0,5,{k * 10**12},{k // 4 * 10**11},5,5.5\n" for k in range(1, 9)]
    (tmp_path / "x_stats.csv").write_text(HEAD + "GET,/a,8000000000000,200000000000,5,5.5,1,5,9\n")
    (tmp_path / "x_stats_history.csv").write_text(HISTORY + "".join(rows))
    (result,) = summarise_csv(tmp_path / "x").results
    assert result.reliability is not None and result.reliability.success_ratio is not None


def _sample(seq: int, **changes: object) -> bytes:
    whole = made_sample(worker="w", seq=seq, start_ns=5, end_ns=9)
    return encode(msgspec.structs.replace(whole, **changes))


def test_a_time_that_no_float_holds_is_a_bad_line_and_the_samples_around_it_stay(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    run_dir.journals.mkdir()
    header = Header(schema=3, run="r", worker="w", repeat=1, share=(0, 1), wall_ns=10**18, mono_ns=1, pid=1, host="h")
    far = encode(msgspec.structs.replace(header, wall_ns=10**30))
    lines = [encode(header), _sample(1), _sample(2, end_ns=2**63 - 1), far, _sample(3, start_ns=-(2**62)), _sample(4)]
    run_dir.journal("w").write_bytes(b"".join(lines))
    samples = load_samples(run_dir)
    assert list(samples.table["seq"]) == [1, 4]
    assert samples.journals[0].bad_lines == 3
    write_parquet(samples, tmp_path / "samples.parquet")
    shutil.rmtree(run_dir.journals)


@pytest.mark.parametrize("twice", ["GeneratedTokens", "GeneratedTokens\x0b", " GeneratedTokens"])
def test_a_column_of_arrivals_that_stands_twice_is_refused(tmp_path: Path, twice: str) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(f"TIMESTAMP,ContextTokens,GeneratedTokens,{twice}\n2024-05-12 00:00:00.1,1,2,3\n")
    with pytest.raises(UsageFault, match="column 'GeneratedTokens' stands there 2 times"):
        read_trace(path)


@pytest.mark.parametrize(
    ("time", "kind"),
    [(2**61, pa.duration("s")), (2**61, pa.timestamp("ms")), (0, pa.timestamp("ms", tz="Nowhere/Land"))],
)
def test_times_that_python_has_not_are_refused_in_sets_of_questions(
    tmp_path: Path, time: int, kind: pa.DataType
) -> None:
    table = pa.table({"question": ["?"], "answer": ["x"], "asked": pa.array([time], pa.int64()).cast(kind)})
    pq.write_table(table, tmp_path / "set.parquet")
    with pytest.raises(UsageFault, match="not Parquet"):
        load_questions(str(tmp_path / "set.parquet"))
