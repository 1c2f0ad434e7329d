"""Everything that turns Locust CSV and samples into numbers, comparisons and pictures.

In notebooks and scripts: `from analysis import load_run, compare`; docs/notebook.ipynb shows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.api import Run, compare, explain, gate, load_history, load_run, predict, rank, recommend, trend

__all__ = ["Run", "compare", "explain", "gate", "load_history", "load_run", "predict", "rank", "recommend", "trend"]


def __getattr__(name: str) -> Any:
    """Loaded when first asked for: the command line, which wants a module or two, starts without the rest."""
    if name not in __all__:
        raise AttributeError(f"module 'analysis' has no attribute {name!r}")
    from analysis import api  # noqa: PLC0415

    return getattr(api, name)
