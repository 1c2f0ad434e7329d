"""Result files of other benchmark tools -> a summary. Several files of one tool, model and load are its repeats."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from analysis.locust_csv import class_of_text
from analysis.quantiles import STATISTICS, dist, statistics
from analysis.reliability import Counts, put_together
from analysis.rivals import TOOLS
from analysis.rivals.told import Told
from analysis.summary import Dist, Finding, Provider, Repeat, Result, Summary, Validity
from harness.errors import UNREADABLE, UsageFault

_MOST_BYTES = 2 << 30
_TIMES = ("ttft_s", "itl_s", "tpot_s", "e2e_s")
_HINT = f"result files of {', '.join(TOOLS)} are known: docs/migrate.md says which file of each"


def are_at(source: Path) -> bool:
    """Whether a path is a JSON file, or a folder with some in it but no run: where such results could be."""
    if source.is_dir():
        names = {path.name for path in _json_files(source)}
        return bool(names) and "run.json" not in names and not (source / "journal").is_dir()
    return source.is_file() and source.suffix == ".json"


def summarise_files(source: Path) -> Summary:
    """The numbers of a result file, or of all those in a folder. Raises UsageFault where there is none."""
    paths = sorted(_json_files(source)) if source.is_dir() else [source]
    told = [each for path in paths for each in _told(path, alone=not source.is_dir())]
    if not told:
        raise UsageFault(f"{source}: no result file of a known tool in it", _HINT)
    groups = _grouped(told)
    results = tuple(_result(group, place) for place, group in enumerate(groups))
    return Summary(
        run=str(source),
        plan=None,
        source="import",
        started_utc=min((each.started_utc for each in told if each.started_utc), default=None),
        duration_s=sum(each.duration_s or 0.0 for each in told) or None,
        validity=Validity(verdict="valid", findings=tuple(_findings(told))),
        results=results,
        providers=tuple(Provider(target=r.target, reliability=r.reliability) for r in results if r.reliability),
        environment={"tools": sorted({f"{each.tool} {each.version or ''}".strip() for each in told})},
    )


def _json_files(folder: Path) -> Iterator[Path]:
    """What cannot be looked into is passed over: a folder of somebody else, a process that has just ended."""
    found = (Path(base, name) for base, _, names in os.walk(folder) for name in names if name.endswith(".json"))
    return (path for path in found if path.is_file())


def _told(path: Path, *, alone: bool) -> list[Told]:
    """What a file says; nothing where it is of no tool, unless it stands `alone`."""
    found = []
    for document in _documents(path, alone=alone):
        tool = next((each for each in TOOLS.values() if each.is_one(document)), None)
        if tool is not None:
            found += tool.read(document, lambda name: _beside(path, name))
        elif alone:
            raise UsageFault(f"{path}: of no benchmark tool that is known", _HINT)
    return found


def _documents(path: Path, *, alone: bool) -> list[Any]:
    """The JSON document of a file, or one of each line (as `--append-result` of vllm writes them)."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageFault(f"{path}: {path.stat().st_size} bytes: more than 2 GiB", "name the file with statistics")
        content = path.read_bytes()
    except OSError as error:
        raise UsageFault(f"{path}: cannot be read: {error.strerror}", _HINT) from error
    try:
        return [msgspec.json.decode(content)]
    except UNREADABLE as error:
        try:
            return [msgspec.json.decode(line) for line in content.splitlines() if line.strip()] or _none(path, error)
        except UNREADABLE:
            return _none(path, error) if alone else []


def _none(path: Path, error: Exception) -> list[Any]:
    raise UsageFault(f"{path}: not JSON: {error}", _HINT) from error


def _beside(path: Path, name: str) -> bytes | None:
    """A file in the same folder; its name is the tool's or stands in the result file, so it may not lead elsewhere."""
    other = path.with_name(name) if Path(name).name == name else None
    try:
        return other.read_bytes() if other is not None and other.stat().st_size <= _MOST_BYTES else None
    except (OSError, ValueError):
        return None


def _grouped(told: Sequence[Told]) -> list[list[Told]]:
    """Those of one tool, model, load and request together: its repeats. In the order of the loads."""
    groups: dict[str, list[Told]] = {}
    for each in told:
        key = msgspec.json.encode([each.model, each.tool, each.load, each.request]).decode()
        groups.setdefault(key, []).append(each)
    return sorted(groups.values(), key=lambda group: _order(group[0]))


def _order(told: Told) -> tuple[str, str, float]:
    load = told.load.get("concurrency", told.load.get("rate_rps", 0.0))
    return told.model, told.tool, float(load) if isinstance(load, int | float) else 0.0


def _result(group: Sequence[Told], place: int) -> Result:
    first = group[0]
    attempted, failed = sum(each.attempted for each in group), sum(each.failed for each in group)
    ok, cancelled = sum(each.ok for each in group), sum(each.cancelled for each in group)
    errors = sum((Counter(each.errors) for each in group), Counter[str]())
    classes = _classes(errors, failed)
    span_s = [each.duration_s for each in group if each.duration_s]
    window_s = sum(span_s) if len(span_s) == len(group) else None
    times: dict[str, Any] = {name: _dist(group, name) for name in _TIMES}
    outcomes = {"cancelled": cancelled, "failed": failed, "ok": ok}
    return Result(
        target=first.model,
        workload=None,
        kind="chat",
        stage=place,
        stage_label=_label(first),
        load=first.load,
        request=first.request,
        repeats=len(group),
        attempted=attempted,
        outcomes={name: n for name, n in outcomes.items() if n},
        errors=dict(errors),
        error_classes={name: n for name, n in sorted(classes.items()) if n},
        window_s=window_s,
        achieved_rps=attempted / window_s if window_s else None,
        completed_rps=ok / window_s if window_s else None,
        goodput_rps=_mean([each.goodput_rps for each in group]),
        output_tokens_per_s=_mean([each.output_tokens_per_s for each in group]),
        input_tokens_per_s=_mean([each.input_tokens_per_s for each in group]),
        in_flight_mean=_mean([each.in_flight_mean for each in group]),
        **times,
        reliability=put_together([], Counts(ok + failed, ok, classes), "success ratio only, by the tool's word", None),
        repeat_values=tuple(_repeat(each, number) for number, each in enumerate(group, 1)),
    )


def _classes(errors: Counter[str], failed: int) -> Counter[str]:
    """Failures by class, by what is said of them; those of which nothing is said are unknown."""
    found: Counter[str] = Counter()
    for said, n in errors.items():
        found[class_of_text(said)] += n
    left = failed - found.total()
    if left < 0:
        return Counter({class_of_text(""): failed})
    found[class_of_text("")] += left
    return found


def _label(told: Told) -> str:
    load = ", ".join(f"{name} {value}" for name, value in told.load.items()) or "load not told"
    return f"{told.tool}: {load}"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def _dist(group: Sequence[Told], name: str) -> Dist | None:
    """By this project's definition over all requests; where a file has statistics alone, those, of a single repeat."""
    values = [each.values_s.get(name) for each in group]
    whole = [each for each in values if each is not None and len(each)]
    if len(whole) == len(group):
        return dist(whole)
    return group[0].said.get(name) if len(group) == 1 else None


def _repeat(told: Told, number: int) -> Repeat:
    values: dict[str, float | None] = {}
    for name in _TIMES:
        own = told.values_s.get(name)
        said = told.said.get(name)
        if own is not None and len(own):
            found: dict[str, float | None] = statistics(own)
        else:
            found = {} if said is None else {each: getattr(said, each) for each in STATISTICS}
        values |= {f"{name}.{each}": value for each, value in found.items() if value is not None}
    span_s = told.duration_s
    values["achieved_rps"] = told.attempted / span_s if span_s else None
    values["completed_rps"] = told.ok / span_s if span_s else None
    values["goodput_rps"] = told.goodput_rps
    values["output_tokens_per_s"] = told.output_tokens_per_s
    counted = told.attempted - told.cancelled
    values["success_ratio"] = told.ok / counted if counted > 0 else None
    return Repeat(repeat=number, attempted=told.attempted, window_s=span_s, values=values)


def _findings(told: Sequence[Told]) -> Iterator[Finding]:
    tools = ", ".join(dict.fromkeys(each.tool for each in told))
    yield Finding(
        code="client-unwatched",
        severity="note",
        saw=f"made by {tools}, whose own load, lag and timing errors are not in its files",
        why="whether the client was the bottleneck, and whether broken streams count as success, cannot be told",
        hint="measure the same with `tokenswarm run`, which says so",
    )
    for saw, why in dict.fromkeys(note for each in told for note in each.notes):
        yield Finding(code="defined-otherwise", severity="note", saw=saw, why=why, hint="see docs/migrate.md")
    if any(not each.values_s and any(each.said.values()) for each in told):
        yield Finding(
            code="statistics-alone",
            severity="note",
            saw="a file without its single requests",
            why="quantiles are by the tool's own definition, and those of several files cannot be put together",
            hint="let the tool keep every request (docs/migrate.md says how)",
        )
