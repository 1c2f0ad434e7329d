"""The pages of the dashboard, in the order of its navigation. A page is added by its module and one line here
(docs/dashboard.md)."""

from __future__ import annotations

from dashboard import (
    page_alerts,
    page_history,
    page_leaderboard,
    page_live,
    page_matrix,
    page_new,
    page_run,
    page_what_if,
)
from dashboard.site import Page

PAGES: tuple[Page, ...] = (
    page_leaderboard.PAGE,
    page_matrix.PAGE,
    page_what_if.PAGE,
    page_run.PAGE,
    page_history.PAGE,
    page_live.PAGE,
    page_alerts.PAGE,
    page_new.PAGE,
)
