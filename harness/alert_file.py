"""Rules of alerts as a file, or as the key `alerts` of a plan: YAML -> checked `AlertConfig`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.alert_record import AlertConfig, Rule, Sink


def read_alerts(source: str | Path | Mapping[str, Any], place: str = "alerts") -> AlertConfig:
    """The rules in a YAML file, or those a mapping means (then `place` names it in errors). Raises UsageFault."""
    raise NotImplementedError


def rules_of(config: AlertConfig) -> tuple[Rule, ...]:
    """The rules in force: the file's own, the shipped ones, or both."""
    raise NotImplementedError


def sinks_of(config: AlertConfig) -> tuple[tuple[str, Sink], ...]:
    """The sinks by name; a sink without a name has that of its kind, numbered where there are several."""
    raise NotImplementedError
