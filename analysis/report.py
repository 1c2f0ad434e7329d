"""One self-contained HTML page for people: doubts first, answers, tables, plots, methods last. Needs no network.

Whatever comes from a plan or a provider is hostile text: Jinja2 escapes it, and figures are embedded as JSON in which
`<` cannot appear.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import msgspec
import plotly.graph_objects as go
import plotly.offline

from analysis import wording
from analysis.comparing.leaders import leaders
from analysis.comparisons import METHOD, compare_runs
from analysis.deciding import wording_decision
from analysis.ranking import last_rankings
from analysis.samples import Samples
from analysis.showing import charts, outage_charts, wording_capacity, wording_cost, wording_quality
from analysis.showing.charts_capacity import capacity_figures
from analysis.showing.charts_quality import quality_figures
from analysis.showing.charts_ranking import ranking_figures
from analysis.summary import Result, Summary
from harness.rundir import write_out
from harness.sample import Outcome

_PAGE = jinja2.Environment(
    loader=jinja2.PackageLoader("analysis"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
)


def write_report(runs: Sequence[tuple[Summary, Samples | None]], out: Path) -> None:
    """Write the page of one or several runs, whole or not at all."""
    write_out(out, render(runs).encode())


def render(runs: Sequence[tuple[Summary, Samples | None]]) -> str:
    """The page as text."""
    figures: dict[str, str] = {}
    pages = [_page(index, summary, samples, figures) for index, (summary, samples) in enumerate(runs)]
    for page in pages[1:]:
        page["against_first"] = compare_runs(runs[0][0], [page["summary"]])
    return _PAGE.get_template("report.html").render(
        pages=pages,
        figures=figures,
        plotly=plotly.offline.get_plotlyjs(),
        words=wording,
        said=wording_capacity,
        good=wording_quality,
        costs=wording_cost,
        decided=wording_decision,
        method=METHOD,
    )


def _page(index: int, summary: Summary, samples: Samples | None, figures: dict[str, str]) -> dict[str, Any]:
    return {
        "summary": summary,
        "answers": wording.answers(summary),
        "figures": _placed(f"figure-{index}", _figures(summary, samples), figures),
        "outages": _placed(f"outages-{index}", _figures_of_outages(summary), figures),
        "rankings": _rankings(index, summary, figures),
        "doubts": [(each.target, text) for each in summary.providers for text in wording.doubts(each.reliability)],
        "goals": [(result, goal) for result in summary.results for goal in result.goals],
        "leaders": leaders(summary),
        "trends": [trend for trend in summary.trends if trend.says],
        "outliers": [(result, each) for result in summary.results for each in result.outliers if each.n],
        "graded": [result for result in summary.results if result.quality is not None],
        "quality_sources": wording_quality.sources(summary),
        "judge_noise": list(filter(None, map(wording_quality.noise_line, summary.results))),
        "subjects": sorted(
            {name for result in summary.results if result.quality for name in result.quality.by_subject}
        ),
        "against_first": (),
        "streams": any(result.ttft_s or result.tpot_s for result in summary.results),
        "counted": [result for result in summary.results if result.tokens is not None],
        "used": [result for result in summary.results if result.resource_utilization is not None],
        "billed": [result for result in summary.results if result.cost is not None],
        "told": [result for result in summary.results if result.server_s is not None],
        "talks": [result for result in summary.results if result.turns],
        "structured": [result for result in summary.results if result.structured is not None],
        "recoveries": [result for result in summary.results if result.recovery],
        "recovery_rules": list(dict.fromkeys(each.recovery.rule for each in summary.results if each.recovery)),
        "rules": list(dict.fromkeys(result.reliability.rule for result in summary.results if result.reliability)),
        "outcomes": sorted({name for result in summary.results for name in result.outcomes}, key=_OUTCOMES.index),
        "stamps": _stamps(summary),
        "slo": ", ".join(f"{name} {limit:g}" for name, limit in summary.slo.items() if limit is not None),
        "environment": _indented(summary.environment),
    }


_Figures = list[tuple[str, str, go.Figure | None]]


def _placed(place: str, made: _Figures, figures: dict[str, str]) -> list[dict[str, str]]:
    """Titles, notes and names of the figures that there are, which are kept in `figures`."""
    found = []
    for number, (title, note, figure) in enumerate(made):
        if figure is not None:
            name = f"{place}-{number}"
            figures[name] = embeddable(figure)
            found.append({"name": name, "title": title, "note": note})
    return found


def _rankings(index: int, summary: Summary, figures: dict[str, str]) -> list[dict[str, Any]]:
    """The ranking with equal weights at the last stage of each workload that at least two targets ran."""
    return [
        {"ranking": each, "figures": _placed(f"ranking-{index}-{number}", ranking_figures(each), figures)}
        for number, each in enumerate(last_rankings(summary))
    ]


def _figures_of_outages(summary: Summary) -> _Figures:
    note = "All loads and repeats. What is worse is drawn thicker; nothing is drawn where a provider was not watched."
    curve = "Kaplan and Meier's estimate with 95 % bounds, of providers that failed 8 times or more."
    return [
        ("Up, degraded, throttled, down", note, outage_charts.timeline(summary.providers)),
        ("How long it stayed up", curve, outage_charts.survival_curves(summary)),
    ]


_OUTCOMES = [each.value for each in Outcome]


def _indented(environment: dict[str, Any]) -> str:
    """What the run was made with, as JSON; "" where it is not known."""
    return msgspec.json.format(msgspec.json.encode(environment), indent=2).decode() if environment else ""


def _stamps(summary: Summary) -> str:
    """Who stamped how many requests."""
    counts: Counter[str] = Counter()
    for result in summary.results:
        counts.update(result.stamps)
    names = {"kernel": "by the kernel", "user": "by this program"}
    return ", ".join(f"{counts[kind]:,} requests {name}" for kind, name in names.items() if counts[kind])


def embeddable(figure: go.Figure) -> str:
    """A figure's JSON that cannot end a script element nor begin a comment."""
    text: str = figure.to_json()
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _figures(summary: Summary, samples: Samples | None) -> _Figures:
    results, colours = summary.results, charts.colours_of(summary)
    found: _Figures = []
    if samples is not None:
        all_good = "Cumulative; all repeats, good requests, warm-up included."
        found += [
            ("Time to first token", all_good, charts.distribution(summary, samples, "ttft_s")),
            ("Inter-token latency", "Gaps between content events.", charts.distribution(summary, samples, "itl_s")),
            ("End-to-end latency", all_good, charts.distribution(summary, samples, "e2e_s")),
            ("Over time", "A mark a request; warm-up included; repeats shaded.", charts.over_time(summary, samples)),
        ]
    found += [
        ("Throughput", "Mean over the repeats.", charts.throughput(results, colours)),
        ("Errors by class", "", charts.errors(results)),
        (
            "Recovery",
            "From the repair to the first whole replies; mean of the repeats.",
            charts.recoveries(results, colours),
        ),
    ]
    found += [*capacity_figures(summary, samples), *quality_figures(summary)]
    for title, group in _groups(results):
        note = f"{title}. 100 is the best measured: best / own (p50) for latencies, own / best for rates."
        found.append(("Scores", note, charts.heatmap(group)))
        found.append(("Radar", note, charts.radar(group, colours)))
    return found


def _groups(results: Sequence[Result]) -> list[tuple[str, list[Result]]]:
    """The results of each workload and stage that at least two targets ran; the last stage of each workload."""
    groups: dict[str | None, dict[int | None, list[Result]]] = {}
    for result in results:
        if result.workload is None:
            continue  # plain CSV: nothing says that two names got the same load
        groups.setdefault(result.workload, {}).setdefault(result.stage, []).append(result)
    lasts = [list(stages.values())[-1] for stages in groups.values()]
    return [(wording.place(group[0]), group) for group in lasts if len(group) >= 2]
