"""The command `digest`: a day or a week of a run directory as one HTML page, by hand or when the day is over."""

from __future__ import annotations

import sys
import time
from datetime import date, timedelta
from pathlib import Path

import click
import msgspec
from rich.text import Text

from harness.alerting.report_clock import post_report, report_names
from harness.commands.cli_shown import ERR
from harness.errors import UsageFault
from harness.plan import Plan
from harness.plan_file import read_plan
from harness.prices import priced
from harness.records.alert_record import AlertConfig
from harness.rules.alert_file import read_alerts
from harness.rundir import RunDir

_HINT = "name the directory of a run or of a watch"


@click.command()
@click.argument("run_dir", metavar="RUN_DIR", type=click.Path(path_type=Path))
@click.option("--day", metavar="DATE", help="Such as 2026-11-27; else yesterday. With --week: any day of it.")
@click.option("--week", is_flag=True, help="The week (Monday to Sunday) that the day lies in.")
@click.option("--out", type=click.Path(path_type=Path), help="Where to write the page; else into the run directory.")
@click.option("--timezone", help="Such as Europe/Berlin; else that of the rules, else this machine's.")
@click.option("--alerts", "rules", type=click.Path(path_type=Path), help="A rule file, for `sla`, `reports`, `sinks`.")
@click.option("--prices", type=click.Path(path_type=Path), help="YAML table of prices (docs/cost.md).")
@click.option("--post", is_flag=True, help="Tell the webhooks that the rules name under `reports`.")
@click.option("--config-on-stdin", is_flag=True, hidden=True)
def digest(
    run_dir: Path,
    day: str | None,
    week: bool,  # noqa: FBT001
    out: Path | None,
    timezone: str | None,
    rules: Path | None,
    prices: Path | None,
    post: bool,  # noqa: FBT001
    config_on_stdin: bool,  # noqa: FBT001
) -> int:
    """What a day or a week of a run or of a watch was like: availability, latencies, failures, alerts, promises, spend,
    and what changed against the day or week before.

    Example: tokenswarm digest runs/watch/20261101T000000Z-ab12 --day 2026-11-27 --out friday.html
    """
    watched = RunDir(run_dir)
    if not run_dir.is_dir():
        raise UsageFault(f"{run_dir}: no such directory", _HINT)
    wanted = None if day is None else _day(day)
    if wanted is not None and not 1970 <= wanted.year <= 9000:
        raise UsageFault(f"--day {day}: no clock was ever there", "such as --day 2026-11-27")
    if not any(path.exists() for path in (watched.plan, watched.journals, watched.history, watched.probe)):
        raise UsageFault(f"{run_dir}: neither a run nor a watch: it has no plan, no journals, no history", _HINT)
    plan = priced(read_plan(str(watched.plan)), prices) if watched.plan.is_file() else None
    config = _config(rules, plan, on_stdin=config_on_stdin)
    if timezone is not None:
        config = msgspec.structs.replace(config, reports=msgspec.structs.replace(config.reports, timezone=timezone))
        config = read_alerts(msgspec.to_builtins(config), "--timezone")
    from analysis.digests.digest import digest_of, write_digest  # noqa: PLC0415
    from analysis.digests.digest_record import span_of, today  # noqa: PLC0415
    from analysis.digests.wording_digest import few_words  # noqa: PLC0415

    zone = config.reports.timezone
    now_s = time.time()
    asked = wanted or today(now_s, zone) - timedelta(days=7 if week else 1)
    span = span_of("weekly" if week else "daily", asked, zone)
    found = digest_of(watched, plan, config, span, now_s)
    place = out or watched.root / report_names(span.kind, span.name)[0]
    place.parent.mkdir(parents=True, exist_ok=True)
    write_digest(found, place)
    click.echo(place)
    if not post:
        return 0
    failed = post_report(config, found.run, place, few_words(found))
    for name, said in failed.items():
        ERR.print(Text(f"sink {name}: {said}"))
    return 1 if failed else 0


def _config(rules: Path | None, plan: Plan | None, *, on_stdin: bool) -> AlertConfig:
    if on_stdin:
        return msgspec.json.decode(sys.stdin.buffer.read(), type=AlertConfig)
    if rules is not None:
        return read_alerts(rules)
    return plan.alerts if plan else AlertConfig()


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageFault(f"--day: {text[:40]!r}: must be a date", "such as 2026-11-27") from None
