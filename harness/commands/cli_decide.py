"""The commands that decide by what was measured: rank, recommend."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from harness.commands.cli_shown import as_text, code_of, console

_RUNS = click.argument("run_dirs", metavar="RUN_DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
_WORKLOAD = click.option("--workload", metavar="NAME", help="Only this workload.")
_STAGE = click.option("--stage", type=click.IntRange(0), metavar="N", help="Only this stage, counted from 0.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.command()
@_RUNS
@click.option("--weights", metavar="NAME=N,...", help="Of latency, throughput, quality, reliability, cost (equal).")
@_WORKLOAD
@_STAGE
@_JSON
def rank(
    run_dirs: tuple[Path, ...],
    weights: str | None,
    workload: str | None,
    stage: int | None,
    as_json: bool,  # noqa: FBT001
) -> int:
    """The targets of runs by weighted scores, with the interval of each rank; for each load by itself.

    Example: tokenswarm rank runs/chat/MONDAY --weights latency=0.4,cost=0.3,quality=0.3
    """
    from analysis.deciding.burdens import EQUAL, read_weights  # noqa: PLC0415
    from analysis.ranking import rank as rank_runs  # noqa: PLC0415
    from analysis.showing.tables_ranking import print_ranking  # noqa: PLC0415
    from analysis.summarise import read_sources  # noqa: PLC0415

    wanted = EQUAL if weights is None else read_weights(weights)
    summaries = [summary for summary, _ in read_sources(run_dirs)]
    found = rank_runs(summaries, wanted, workload=workload, stage=stage)
    if as_json:
        click.echo(as_text({"rankings": msgspec.to_builtins(found)}))
    else:
        for each in found:
            print_ranking(each, console(stderr=False))
    return code_of(summaries)


@click.command()
@_RUNS
@click.option("--use-case", required=True, metavar="NAME|FILE.yaml", help="What it is for (docs/decide.md).")
@_WORKLOAD
@_STAGE
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Also write it as a page.")
@_JSON
def recommend(
    run_dirs: tuple[Path, ...],
    use_case: str,
    workload: str | None,
    stage: int | None,
    html: Path | None,
    as_json: bool,  # noqa: FBT001
) -> int:
    """Which target to take for a use case, why, how sure that is, what would change it, and what might go wrong.

    Use cases: real_time_chat, batch_processing, high_quality_analysis, embedding_generation, or a file of your own.

    Example: tokenswarm recommend runs/chat/MONDAY --use-case real_time_chat
    """
    from analysis.answers.model_drift import drifts  # noqa: PLC0415
    from analysis.deciding.use_cases import read_use_case  # noqa: PLC0415
    from analysis.deciding.wording_decision import recommendation_lines  # noqa: PLC0415
    from analysis.pages.decision_page import write_decision  # noqa: PLC0415
    from analysis.recommendation import recommend as recommend_from  # noqa: PLC0415
    from analysis.summarise import read_sources  # noqa: PLC0415

    wanted = read_use_case(use_case)
    read = read_sources(run_dirs)
    summaries = [summary for summary, _ in read]
    changes = [change for other in read[1:] for change in drifts(read[0], other)]
    found = recommend_from(summaries, wanted, workload=workload, stage=stage, changes=changes)
    if html is not None:
        write_decision(found, html)
    if as_json:
        click.echo(as_text(msgspec.to_builtins(found)))
    else:
        for line in recommendation_lines(found):
            click.echo(line)
    return code_of(summaries)
