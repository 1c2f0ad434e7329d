"""Leaderboard: the targets of a load by weighted scores; sliders change the weights."""

from __future__ import annotations

from typing import Any

from dashboard.pieces import empty, heading
from dashboard.site import Page, Query, Site


def layout(site: Site, query: Query) -> Any:  # noqa: ARG001
    """The page."""
    return [heading("Leaderboard"), empty("No runs yet", "x")]


def callbacks(app: Any, site: Site) -> None:
    """What it answers to."""


PAGE = Page("", "Leaderboard", layout, callbacks)
