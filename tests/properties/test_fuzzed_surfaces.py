"""Every surface that is fuzzed: its corpus, and what comes of it by cutting, flipping, doubling and mixing.

Each surface says by itself what must hold (`fuzz/files.py`, `fuzz/wires.py`); `make fuzz` searches on, guided by what
of the code is reached.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.surfaces import SURFACES

CORPUS = ROOT / "fuzz" / "corpus"
ODDITIES = [
    *(b"\x00", b"\xff\xfe", b"1e400", b"-1", b"99999999999999999999", b"NaN", b"inf"),
    *(b"\r\n", b'"', b"\x1e", b"*a", b"&a"),
]
SLOW = {"plan", "prices", "simulator", "use-case", "plan-settings", "locust-csv", "journals", "parquet", "questions"}
SLOW |= {"run-folder", "rival-results", "watched", "forms", "addresses", "dashboard-requests"}


def seeds(name: str) -> list[Path]:
    return sorted((CORPUS / name).iterdir())


def test_every_surface_has_a_corpus_and_every_corpus_a_surface() -> None:
    assert sorted(path.name for path in CORPUS.iterdir()) == sorted(SURFACES)
    assert all(seeds(name) for name in SURFACES)


def test_the_corpus_is_small() -> None:
    sizes = [path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()]
    assert max(sizes) <= 8192
    assert sum(sizes) < 2_000_000


@pytest.mark.parametrize("name", sorted(SURFACES))
def test_nothing_in_the_corpus_makes_a_surface_fail(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries that read: what they think of damaged data
        for path in seeds(name):
            try:
                SURFACES[name](path.read_bytes())
            except Exception as error:
                raise AssertionError(f"{path.relative_to(ROOT)}: {type(error).__name__}: {error}") from error


@st.composite
def damaged(draw: st.DrawFn, known: list[bytes]) -> bytes:
    """A file of the corpus, damaged as files and streams are."""
    data = draw(st.sampled_from(known))
    for _ in range(draw(st.integers(1, 4))):
        at, end = sorted(draw(st.integers(0, max(1, len(data)))) for _ in range(2))
        kind = draw(st.sampled_from(["torn", "flipped", "cut out", "doubled", "mixed", "put in"]))
        if kind == "torn":
            data = data[:end]
        elif kind == "flipped" and data:
            place = at % len(data)
            data = data[:place] + bytes([data[place] ^ (1 << draw(st.integers(0, 7)))]) + data[place + 1 :]
        elif kind == "cut out":
            data = data[:at] + data[end:]
        elif kind == "doubled":
            data = data[:end] + data[at:]
        elif kind == "mixed":
            data = data[:at] + draw(st.sampled_from(known))[at:]
        else:
            data = data[:at] + draw(st.binary(max_size=6) | st.sampled_from(ODDITIES)) + data[at:]
    return data[:16_384]


@pytest.mark.parametrize("name", sorted(SURFACES))
def test_no_damage_makes_a_surface_fail(name: str) -> None:
    known = [path.read_bytes() for path in seeds(name)]

    health = list(HealthCheck)
    examples = 25 if name in SLOW else 80

    @settings(max_examples=examples, suppress_health_check=health, database=None, derandomize=True)
    @given(damaged(known))
    def check(data: bytes) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            SURFACES[name](data)

    check()
