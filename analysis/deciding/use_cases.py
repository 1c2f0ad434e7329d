"""Use cases: what a user needs of a provider. Some are shipped (`analysis/use_cases.yaml`); a file may hold another."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import msgspec

from analysis.comparing.goals import check_goal
from analysis.deciding.burdens import CATEGORIES, check_metric, normalised
from harness.errors import UsageFault
from harness.inputs.plain_yaml import plain_yaml, read_plain_yaml
from harness.records.dialect_names import Kind

_PLACE = "docs/decide.md shows a use case"
Positive = Annotated[float, msgspec.Meta(gt=0, le=1e15)]


class UseCase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a user needs.

    `weights` by category (brought to the sum 1; missing: 0), `metrics` what speaks for a category (else the usual).
    `limits` are hard: goals such as `ttft_s.p99 < 1.2`. `requests_per_month` is the volume, `budget_usd` what a month
    of it may cost; `input_tokens` and `output_tokens` those of a request (else as measured). `kinds` of workloads that
    it is about (none: any).
    """

    name: str = "own"
    about: str = ""
    kinds: tuple[Kind, ...] = ()
    weights: dict[str, float]
    metrics: dict[str, tuple[str, ...]] = {}
    limits: tuple[str, ...] = ()
    budget_usd: Positive | None = None
    requests_per_month: Positive | None = None
    input_tokens: Positive | None = None
    output_tokens: Positive | None = None

    def __post_init__(self) -> None:
        """Raises ValueError."""
        normalised(self.weights)
        for category, paths in self.metrics.items():
            if category not in CATEGORIES:
                raise ValueError(f"metrics: {category[:60]!r}: no such category; there are {', '.join(CATEGORIES)}")
            if not paths:
                raise ValueError(f"metrics: {category}: one at least must be named")
            for path in paths:
                check_metric(category, path)
        for limit in self.limits:
            try:
                check_goal(limit)
            except UsageFault as fault:
                raise ValueError(fault.message.replace("goals:", "limits:", 1)) from fault
        if self.budget_usd is not None and self.requests_per_month is None:
            raise ValueError("budget_usd: needs requests_per_month")
        if self.output_tokens is not None and self.input_tokens is None:
            raise ValueError("output_tokens: needs input_tokens")


def shipped() -> dict[str, UseCase]:
    """The use cases that are shipped, by name."""
    return dict(_shipped())


@cache
def _shipped() -> dict[str, UseCase]:
    document = plain_yaml(files("analysis").joinpath("use_cases.yaml").read_text("utf-8"), "use_cases.yaml")
    return {name: _use_case(each | {"name": name}, "use_cases.yaml") for name, each in document.items()}


def read_use_case(source: str) -> UseCase:
    """A shipped use case by its name, or the one in a YAML file. Raises UsageFault."""
    path = Path(source)
    if path.suffix not in (".yaml", ".yml"):
        known = shipped()
        if source in known:
            return known[source]
        names = ", ".join(known)
        raise UsageFault(f"--use-case {source[:80]}: no such use case", f"there are {names}, or a file FILE.yaml")
    document = read_plain_yaml(path, _PLACE)
    if not isinstance(document, dict):
        raise UsageFault(f"{path}: {str(document)[:60]!r}: a use case is a mapping", _PLACE)
    return _use_case({"name": path.stem} | document, str(path))


def _use_case(document: Mapping[Any, Any], place: str) -> UseCase:
    try:
        return msgspec.convert(dict(document), UseCase)
    except msgspec.ValidationError as error:
        raise UsageFault(f"{place}: {' '.join(str(error).split())}", _PLACE) from error
