"""Result files of other tools: what they say, in our words; and that none of them, however damaged, is a traceback."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from analysis.comparisons import compare_runs
from analysis.rivals import TOOLS
from analysis.rivals.files import are_at, summarise_files
from analysis.summarise import read_source
from analysis.summary import Result, Summary
from harness.commands.cli_compare import compare as compare_command
from harness.commands.cli_numbers import analyze
from harness.errors import UsageFault

FILES = Path(__file__).parents[2] / "rival_files"
OF_TOOL = {
    "aiperf": "aiperf/profile_export_aiperf.json",
    "genai-bench": "genai-bench/D32_8_text-to-text_num_concurrency_4_time_2s.json",
    "guidellm": "guidellm/guidellm.json",
    "inference-perf": "inference-perf/summary_lifecycle_metrics.json",
    "llmperf": "llmperf/bench_32_8_summary.json",
    "vllm bench": "vllm-bench/detailed.json",
}


def only(source: Path) -> tuple[Summary, Result]:
    summary = summarise_files(source)
    (result,) = summary.results
    return summary, result


def test_every_tool_has_a_file_and_no_other_tool_takes_it_for_its_own() -> None:
    assert set(OF_TOOL) == set(TOOLS)
    for name, path in OF_TOOL.items():
        document = json.loads((FILES / path).read_bytes())
        assert [tool for tool, module in TOOLS.items() if module.is_one(document)] == [name]


@pytest.mark.parametrize(
    ("tool", "attempted", "failed", "classes", "gaps"),
    [
        ("aiperf", 24, 3, {"server": 3}, 147),
        ("genai-bench", 37, 5, {"server": 5}, None),
        ("guidellm", 24, 3, {"server": 3}, None),
        ("inference-perf", 24, 3, {"unknown": 3}, 147),
        ("llmperf", 22, 2, {"throttled": 2}, None),
        ("vllm bench", 22, 2, {"transport": 2}, 140),
    ],
)
def test_counts_and_latencies_are_those_of_the_file(
    tool: str, attempted: int, failed: int, classes: dict[str, int], gaps: int | None
) -> None:
    summary, result = only(FILES / OF_TOOL[tool])
    assert (result.attempted, result.outcomes) == (attempted, {"failed": failed, "ok": attempted - failed})
    assert result.error_classes == classes
    assert (None if result.itl_s is None else result.itl_s.n) == gaps
    assert result.ttft_s is not None and result.ttft_s.p50 == pytest.approx(0.1, abs=0.01)
    assert result.tpot_s is not None and result.tpot_s.p50 == pytest.approx(0.02, abs=0.001)
    assert result.e2e_s is not None and result.e2e_s.n == attempted - failed
    assert result.reliability is not None
    assert result.reliability.success_ratio.value == pytest.approx(1 - failed / attempted)
    assert summary.source == "import" and "client-unwatched" in {each.code for each in summary.validity.findings}


def test_quantiles_are_ours_over_the_single_requests() -> None:
    _, result = only(FILES / OF_TOOL["aiperf"])
    lines = (FILES / "aiperf" / "profile_export.jsonl").read_text().splitlines()
    good = [each["metrics"] for each in map(json.loads, lines) if not each.get("error")]
    ttft = [each["time_to_first_token"]["value"] / 1000 for each in good]
    assert result.ttft_s is not None
    assert result.ttft_s.p95 == pytest.approx(float(np.quantile(ttft, 0.95)))


def test_without_its_single_requests_a_file_gives_the_statistics_of_the_tool(tmp_path: Path) -> None:
    shutil.copy(FILES / OF_TOOL["aiperf"], tmp_path / "aiperf.json")
    summary, result = only(tmp_path / "aiperf.json")
    said = json.loads((tmp_path / "aiperf.json").read_bytes())["time_to_first_token"]
    assert result.ttft_s is not None
    assert (result.ttft_s.p50, result.ttft_s.p99) == (said["p50"] / 1000, said["p99"] / 1000)
    assert "statistics-alone" in {each.code for each in summary.validity.findings}


def test_one_file_may_hold_several_loads_each_on_its_line() -> None:
    summary = summarise_files(FILES / "vllm-bench" / "plain.json")
    assert [result.load for result in summary.results] == [{"concurrency": 4}, {"concurrency": 8}]


def repeats(folder: Path, factor: float) -> Path:
    """Three files of one load, their latencies times a factor, and apart by a little."""
    folder.mkdir()
    for number in range(3):
        document = json.loads((FILES / OF_TOOL["vllm bench"]).read_bytes())
        scale = factor * (1 + 0.002 * number)
        for name in ("ttfts", "latencies"):
            document[name] = [value * scale for value in document[name]]
        (folder / f"{number}.json").write_text(json.dumps(document))
    return folder


def test_files_of_one_load_are_its_repeats_and_are_told_apart(tmp_path: Path) -> None:
    slow, fast = repeats(tmp_path / "slow", 1.3), repeats(tmp_path / "fast", 1.0)
    first, other = summarise_files(slow), summarise_files(fast)
    assert first.results[0].repeats == 3
    assert first.results[0].ttft_s is not None and first.results[0].ttft_s.ci95["p50"]
    (found,) = (each for each in compare_runs(first, [other]) if each.metric == "ttft_s.p50")
    assert found.verdict == "better" and found.ratio.value == pytest.approx(1 / 1.3, rel=1e-6)


def test_other_loads_are_not_comparable(tmp_path: Path) -> None:
    document = json.loads((FILES / OF_TOOL["vllm bench"]).read_bytes()) | {"max_concurrency": 9}
    (tmp_path / "nine.json").write_text(json.dumps(document))
    found = compare_runs(summarise_files(FILES / OF_TOOL["vllm bench"]), [summarise_files(tmp_path / "nine.json")])
    assert {each.verdict for each in found} == {"not comparable"}
    assert {each.reason.split(" ")[0] for each in found} == {"only"}


def test_the_commands_read_them(tmp_path: Path) -> None:
    ran = CliRunner().invoke(analyze, [str(FILES / "guidellm"), "--json"])
    assert ran.exit_code == 0 and json.loads(ran.stdout)["source"] == "import"
    sources = [str(repeats(tmp_path / name, factor)) for name, factor in (("a", 1.0), ("b", 1.3))]
    ran = CliRunner().invoke(compare_command, sources)
    assert ran.exit_code == 0 and "beats" in ran.stdout


def test_what_is_no_result_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    (tmp_path / "torn.json").write_text('{"a": ')
    for path, said in ((tmp_path / "other.json", "no benchmark tool"), (tmp_path / "torn.json", "not JSON")):
        with pytest.raises(UsageFault, match=said):
            read_source(path)
    with pytest.raises(UsageFault, match="no result file"):
        summarise_files(tmp_path)
    assert not are_at(tmp_path / "absent.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def damaged(document: Any, draw: st.DataObject) -> Any:
    """The document with something else at a place that the path of draws leads to."""
    if isinstance(document, dict) and document and draw.draw(st.integers(0, 5)):
        key = draw.draw(st.sampled_from(sorted(document)))
        return document | {key: damaged(document[key], draw)}
    if isinstance(document, list) and document and draw.draw(st.integers(0, 5)):
        place = draw.draw(st.integers(0, len(document) - 1))
        return [*document[:place], damaged(document[place], draw), *document[place + 1 :]]
    return draw.draw(JSON)


@pytest.mark.parametrize("tool", TOOLS)
@given(draw=st.data())
def test_a_damaged_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, tool: str, draw: st.DataObject
) -> None:
    document = damaged(json.loads((FILES / OF_TOOL[tool]).read_bytes()), draw)
    path = tmp_path_factory.mktemp("damaged") / "file.json"
    path.write_text(json.dumps(document))
    with suppress(UsageFault):
        summarise_files(path)
