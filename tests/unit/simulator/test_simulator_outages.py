"""The script of outages: the same for the same seed, in order, of the lengths that were asked for."""

from __future__ import annotations

from itertools import islice, pairwise
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageFault
from harness.simulator.config import Config, Fault, Outages, config_from
from harness.simulator.outages import (
    Outage,
    Script,
    Span,
    Timetable,
    coming,
    outage_file,
    outages_of,
    read_outages,
    scripts_of,
)
from harness.simulator.truth import TruthWriter

EXPONENTIAL = {"kind": "exponential", "mean_s": 120}
TIMES = st.one_of(
    st.floats(0, 1000),
    st.builds(lambda mean_s: {"kind": "exponential", "mean_s": mean_s}, st.floats(0.001, 1000)),
    st.builds(
        lambda mean_s, shape: {"kind": "weibull", "mean_s": mean_s, "shape": shape},
        st.floats(0.001, 1000),
        st.floats(0.2, 20),
    ),
    st.builds(
        lambda median_s, sigma: {"kind": "lognormal", "median_s": median_s, "sigma": sigma},
        st.floats(0.001, 1000),
        st.floats(0, 3),
    ),
)
TIMINGS = st.one_of(
    st.builds(lambda up, repair, seed: {"outages": {"up": up, "repair": repair, "seed": seed}}, TIMES, TIMES,
              st.none() | st.integers(0, 2**63 - 1)),
    st.builds(lambda duration_s: {"duration_s": duration_s}, st.floats(0.001, 100)),
    st.builds(lambda duration_s, every_s: {"duration_s": duration_s, "every_s": every_s}, st.floats(0.001, 100),
              st.floats(0.001, 200)),
    st.just({}),
)  # fmt: skip


def config(fault: dict[str, Any], seed: int = 0) -> Config:
    faults = [{"kind": "timeout", **fault}]
    return config_from({"seed": seed, "providers": {"p": {"dialects": ["openai-chat"], "faults": faults}}})


def script(fault: dict[str, Any], seed: int = 0) -> Script:
    (found,) = scripts_of(config(fault, seed))
    return found


def lengths(fault: dict[str, Any], number: int) -> tuple[list[float], list[float]]:
    """Up times and repair times."""
    spans = list(islice(script(fault).spans(), number))
    ends = [0.0, *(span.end_s for span in spans)]
    up = [span.begin_s - end_s for end_s, span in zip(ends, spans, strict=False)]
    return up, [span.end_s - span.begin_s for span in spans]


@given(timing=TIMINGS, start_s=st.floats(0, 1000), seed=st.integers(0, 2**63 - 1))
def test_spans_are_the_same_for_the_same_seed_and_in_order_and_disjoint(
    timing: dict[str, Any], start_s: float, seed: int
) -> None:
    first, second = (list(islice(script(timing | {"start_s": start_s}, seed).spans(), 50)) for _ in range(2))
    assert first == second
    assert all(start_s <= span.begin_s < span.end_s for span in first)
    assert all(earlier.end_s <= later.begin_s + 1e-9 for earlier, later in pairwise(first))


@given(timing=TIMINGS, moments=st.lists(st.floats(0, 500), min_size=1, max_size=20))
def test_a_fault_is_active_within_its_spans_in_whatever_order_one_asks(
    timing: dict[str, Any], moments: list[float]
) -> None:
    one = script(timing)
    spans = list(islice(one.spans(), 500))
    known_s = spans[-1].end_s if len(spans) == 500 else inf
    timetable = Timetable(one)
    for at_s in moments:
        if at_s < known_s:
            assert timetable.active(at_s) is any(span.begin_s <= at_s < span.end_s for span in spans)


@pytest.mark.parametrize(
    ("at_s", "down"),
    [(0, False), (9.9, False), (10, True), (14.9, True), (15, False), (69, False), (70, True), (75, False)],
)
def test_an_outage_comes_and_goes(at_s: float, *, down: bool) -> None:
    assert Timetable(script({"start_s": 10, "duration_s": 5, "every_s": 60})).active(at_s) is down


@pytest.mark.parametrize("fault", [{}, {"every_s": 5}, {"duration_s": 5, "every_s": 5}])
def test_what_never_pauses_is_one_span_without_end_and_no_outage(fault: dict[str, Any]) -> None:
    assert list(script(fault).spans()) == [Span(0.0, inf)]
    assert outages_of(config(fault), 1e6) == []
    (late,) = outages_of(config({"start_s": 3.0, **fault}), 1e6)
    assert (late.begin_s, late.end_s) == (3.0, None)


def test_up_and_repair_times_have_the_means_and_the_shapes_that_were_asked_for() -> None:
    repair = {"kind": "weibull", "mean_s": 10, "shape": 2.5}
    up, down = lengths({"outages": {"up": EXPONENTIAL, "repair": repair}}, 5000)
    assert np.mean(up) == pytest.approx(120, rel=0.06)  # four standard errors: 120 / sqrt(5000) * 4
    assert np.std(up) == pytest.approx(120, rel=0.1), "an exponential's standard deviation is its mean"
    assert np.mean(down) == pytest.approx(10, rel=0.03)
    assert np.std(down) / np.mean(down) == pytest.approx(0.428, rel=0.1)  # of shape 2.5
    assert abs(float(np.corrcoef(up, down)[0, 1])) < 0.06


def test_nothing_is_shorter_than_a_millisecond() -> None:
    up, down = lengths({"outages": {"up": 0, "repair": {"kind": "weibull", "mean_s": 0.001, "shape": 0.2}}}, 1000)
    assert min(up) >= 0.001 - 1e-9
    assert min(down) >= 0.001 - 1e-9


def test_changing_how_repairs_are_distributed_leaves_the_up_times_alone() -> None:
    before, _ = lengths({"outages": {"up": EXPONENTIAL, "repair": 10}}, 100)
    after, _ = lengths({"outages": {"up": EXPONENTIAL, "repair": EXPONENTIAL}}, 100)
    assert before == pytest.approx(after)


def test_faults_share_a_script_only_where_they_share_a_seed() -> None:
    def two(first: int | None, second: int | None, seed: int = 0) -> list[list[Span]]:
        faults = [{"kind": "timeout", "outages": {"up": EXPONENTIAL, "repair": 1, "seed": own}}
                  for own in (first, second)]  # fmt: skip
        whole = config_from({"seed": seed, "providers": {"p": {"dialects": ["openai-chat"], "faults": faults}}})
        return [list(islice(each.spans(), 20)) for each in scripts_of(whole)]

    own = two(None, None)
    assert own[0] != own[1]
    assert own != two(None, None, seed=1)
    same = two(5, 5)
    assert same[0] == same[1]
    assert same == two(5, 5, seed=1)


def incident(joins: float, fault: dict[str, Any] | None = None) -> Config:
    providers = {name: {"dialects": ["openai-chat"]} for name in "abc"}
    struck = fault or {"outages": {"up": EXPONENTIAL, "repair": 10}}
    return config_from(
        {
            "providers": providers,
            "incidents": [{"providers": ["a", "b", "c"], "fault": {"kind": "timeout"} | struck, "joins": joins}],
        }
    )


def begins(whole: Config, provider: str, number: int = 2000) -> set[float]:
    found = islice(coming(whole), number)
    return {outage.begin_s for outage in found if outage.provider == provider}


def test_an_incident_strikes_all_its_providers_at_once() -> None:
    outages = list(islice(coming(incident(1.0)), 30))
    assert [outage.provider for outage in outages] == ["a", "b", "c"] * 10
    assert len({(outage.begin_s, outage.end_s) for outage in outages}) == 10
    assert {outage.incident for outage in outages} == {0}


def test_others_join_an_incident_as_often_as_they_were_told_and_each_by_itself() -> None:
    whole = incident(0.5)
    first, second, third = (begins(whole, name) for name in "abc")
    assert len(first) > 800
    assert second < first
    assert third < first
    assert len(second) / len(first) == pytest.approx(0.5, abs=0.07)
    assert len(second & third) / len(second) == pytest.approx(0.5, abs=0.1)
    assert begins(incident(0.0), "b") == set()
    assert begins(incident(0.0), "a")


def test_an_incident_that_passes_a_provider_by_does_not_strike_it() -> None:
    whole = incident(0.5)
    (one,) = [each for each in scripts_of(whole) if each.provider == "b"]
    timetable = Timetable(one)
    joined = begins(whole, "b", 200)
    for span in islice(one.spans(), 60):
        assert timetable.active((span.begin_s + span.end_s) / 2) is (span.begin_s in joined) is span.struck


def test_an_incident_without_a_time_joins_once_and_for_all() -> None:
    whole = incident(0.5, {"start_s": 1.0})
    for one in scripts_of(whole):
        assert len(list(one.spans())) == 1


def test_outages_of_several_faults_come_in_order() -> None:
    fault = {"kind": "timeout", "outages": {"up": EXPONENTIAL, "repair": 1}}
    provider = {"dialects": ["openai-chat"], "faults": [fault, fault]}
    whole = config_from(
        {
            "providers": {"p": provider, "q": provider},
            "port_faults": [{"kind": "tcp_refuse", "start_s": 50, "duration_s": 1, "every_s": 100}],
        }
    )
    outages = outages_of(whole, 2000)
    assert [outage.begin_s for outage in outages] == sorted(outage.begin_s for outage in outages)
    assert {outage.provider for outage in outages} == {"p", "q", ""}
    assert max(outage.begin_s for outage in outages) < 2000


def test_without_faults_nothing_is_coming() -> None:
    assert outages_of(Config(), 1e9) == []


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ({"faults": [{"kind": "reset", "duration_s": 1, "outages": {"up": 1, "repair": 1}}]}, "does not go with"),
        ({"faults": [{"kind": "reset", "outages": {"up": 1}}]}, "repair"),
        ({"faults": [{"kind": "reset", "outages": {"up": {"kind": "exponential", "mean_s": 0}, "repair": 1}}]}, "up"),
        ({"faults": [{"kind": "tcp_refuse"}]}, "kind"),
    ],
)
def test_a_schedule_that_will_not_do_says_where(mapping: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageFault) as caught:
        config_from({"providers": {"p": {"dialects": ["openai-chat"], **mapping}}}, "sim.yaml")
    assert caught.value.message.startswith("sim.yaml: providers.p.faults[0]")
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("names", "said"),
    [(["openai-sim", "nobody"], "'nobody': no such"), (["openai-sim"] * 2, "twice"), (["a"], "incid")],
)
def test_an_incident_names_providers_that_there_are(names: list[str], said: str) -> None:
    with pytest.raises(UsageFault, match=said):
        config_from({"incidents": [{"providers": names, "fault": {"kind": "reset"}}]})


def test_outages_are_read_as_they_were_written_but_for_a_torn_line(tmp_path: Path) -> None:
    path = outage_file(tmp_path / "truth.jsonl")
    assert path.name == "truth.outages.jsonl"
    outages = [Outage(provider="p", kind="reset", begin_s=1.0, end_s=None, begin_ns=5), *islice(coming(incident(1)), 3)]
    writer = TruthWriter(path)
    for outage in outages:
        writer.write(outage)
    writer.close()
    with path.open("ab") as file:
        file.write(b'{"type":"outa')
    assert read_outages(path) == outages
    (tmp_path / "broken").write_text("{}\n")
    with pytest.raises(UsageFault):
        read_outages(tmp_path / "broken")
    with pytest.raises(UsageFault):
        read_outages(tmp_path / "none")


def test_a_fault_cannot_have_both_sorts_of_schedule() -> None:
    with pytest.raises(ValueError, match="does not go with"):
        Fault(kind="reset", every_s=1.0, outages=Outages(up=1.0, repair=1.0))
