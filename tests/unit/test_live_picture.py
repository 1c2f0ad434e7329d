"""What the live page says of clients and targets, and the rows of Locust's tab."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from made_samples import made_sample

from harness.errors import ErrorKind
from harness.live.live import Board, Live
from harness.live.live_picture import COLUMNS, Picture, picture_of, table_of
from harness.records.health_record import LAG_BOUNDS_S, Health
from harness.sample import Outcome, Sample, Usage

ROOT = Path(__file__).parent.parent.parent
MS = 1_000_000
GOOD = made_sample(
    event_ns=tuple((100 + 10 * k) * MS for k in range(6)),
    end_ns=200 * MS,
    usage=Usage(source="provider", output_tokens=6),
    stamps="kernel",
)
REFUSED = msgspec.structs.replace(GOOD, outcome=Outcome.THROTTLED, error=ErrorKind.RATE_LIMIT, event_ns=(), usage=None)
DROPPED = msgspec.structs.replace(REFUSED, outcome=Outcome.DROPPED, error=None, start_ns=None)
FINE = {"cpu_share": 0.3, "in_flight": 5, "gc_pause_s": 0.001, "ephemeral_ports_used": 10, "ephemeral_ports": 100}


def _health(beat_lag_s: float, rows: int = 5, **changes: float) -> list[Health]:
    """Rows of 100 beats, each as late as that."""
    at = sum(bound < beat_lag_s for bound in LAG_BOUNDS_S)
    counts = tuple(100 if place == at else 0 for place in range(len(LAG_BOUNDS_S) + 1))
    row = Health(run="r", worker="r1-w0", repeat=1, t_ns=0, span_s=1, loop_lag_counts=counts, loop_lag_max_s=beat_lag_s)
    return [msgspec.structs.replace(row, **(FINE | changes)) for _ in range(rows)]


def _picture(samples: list[Sample], health: list[Health]) -> Picture:
    live, board = Live(0.0), Board()
    for sample in samples:
        live.add(sample)
    for row in health:
        live.add_health(row)
    board.merge("w", live.take(1.0), 1.0)
    return picture_of(board, "running", 1.0)


@pytest.mark.parametrize(
    ("health", "verdict", "codes"),
    [
        (_health(0.001), "valid", []),
        (_health(0.007), "invalid", ["loop-lag"]),
        (_health(0.001, cpu_share=0.95), "invalid", ["client-cpu"]),
        (_health(0.001, gc_pause_s=0.03), "valid", ["gc-pause"]),
        (_health(0.001, ephemeral_ports_used=81), "suspect", ["ports"]),
        (_health(9.0, in_flight=0), "valid", []),
        (_health(9.0, rows=2), "valid", []),
    ],
)
def test_a_client_is_judged_as_in_the_end_while_it_measures(
    health: list[Health], verdict: str, codes: list[str]
) -> None:
    picture = _picture([GOOD] * 5, health)
    assert [finding.code for finding in picture.findings] == codes
    assert picture.verdict == verdict
    assert all("stage" not in finding.saw for finding in picture.findings), "which stage is not known here"


def test_idle_seconds_do_not_hide_the_busy_ones() -> None:
    picture = _picture([GOOD], [*_health(0.02, rows=3), *_health(0.0005, rows=7, in_flight=0)])
    (client,) = picture.clients
    assert (client.name, client.span_s, client.loop_lag_p99_s) == ("r1-w0", 3.0, 0.02)
    assert _picture([GOOD], _health(0.02, in_flight=0)).clients == []


def test_what_was_not_measured_is_not_zero() -> None:
    (row,) = table_of(_picture([REFUSED], []))
    assert [row[name] for name in ("ttft", "ttft_tail", "itl", "tpot", "tokens_rate")] == ["\N{EN DASH}"] * 5
    assert (row["requests"], row["in_flight"], row["goodput"]) == (1, 0, 0.0)


def test_the_row_of_a_target() -> None:
    (row,) = table_of(_picture([*[GOOD] * 30, REFUSED, DROPPED], _health(0.007)))
    assert row.keys() == {"name", *COLUMNS}
    assert (row["name"], row["requests"], row["requests_rate"], row["goodput"]) == ("t w", 31, 31.0, 30.0)
    for name, exact in {"ttft": 100, "ttft_tail": 100, "itl": 10, "tpot": 10}.items():
        assert row[name] == pytest.approx(exact, rel=0.0102), name
    assert row["tokens_rate"] == 180
    assert str(row["failures"]).split() == [
        "throttled",
        "\N{MULTIPLICATION SIGN}",
        "1,",
        "dropped",
        "\N{MULTIPLICATION SIGN}",
        "1",
    ]
    assert row["validity"] == "invalid: loop-lag"
    assert str(row["findings"]).startswith("worker r1-w0")
    assert str(row["findings"]).endswith("(and 1 more)")
    assert table_of(_picture([GOOD], []))[0]["findings"] == "none"


@pytest.mark.parametrize(
    ("sample", "code", "severity"),
    [
        (REFUSED, "no-success", "invalid"),
        (DROPPED, "late-sends", "note"),
        (msgspec.structs.replace(GOOD, usage=None), "no-usage", "note"),
    ],
)
def test_a_target_is_doubted(sample: Sample, code: str, severity: str) -> None:
    picture = _picture([sample], [])
    (finding,) = picture.lines[0].findings
    assert (finding.code, finding.severity) == (code, severity)
    assert finding.saw.startswith("t w: ")
    assert picture.verdict == ("valid" if severity == "note" else severity)


def test_good_figures_of_a_healthy_client_raise_no_doubt() -> None:
    picture = _picture([GOOD] * 5, _health(0.001))
    assert (picture.lines[0].findings, picture.findings) == ([], [])


def test_a_worker_loads_neither_the_analysis_nor_its_libraries() -> None:
    imports = "import sys, locustfiles.openai, harness.planned_run.worker_side"
    code = f"{imports}; assert not {{'analysis', 'pandas'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
