"""The pages of the dashboard, in the order of its navigation. A page is added by its module and one line here
(docs/dashboard.md)."""

from __future__ import annotations

from dashboard import page_history, page_leaderboard, page_matrix, page_run
from dashboard.site import Page

PAGES: tuple[Page, ...] = (page_leaderboard.PAGE, page_matrix.PAGE, page_run.PAGE, page_history.PAGE)
