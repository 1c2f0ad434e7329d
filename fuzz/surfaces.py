"""All that is fuzzed, by name."""

from __future__ import annotations

from collections.abc import Callable

from fuzz import files, runs, wires, words
from harness.dialects import DIALECTS

Surface = Callable[[bytes], None]

SURFACES: dict[str, Surface] = {
    "sse": wires.sse,
    "http": wires.http,
    "headers": wires.headers,
    **{name: wires.dialect(name) for name in sorted(DIALECTS)},
    "relay": wires.relay,
    "plan": files.plan,
    "plan-settings": files.plan_settings,
    "prices": files.prices,
    "simulator": files.simulator,
    "use-case": files.use_case,
    "alerts": files.alerts,
    "questions": files.questions,
    "parquet": files.parquet,
    "traces": files.traces,
    "locust-csv": files.locust_csv,
    "journals": files.journals,
    "small-records": files.small_records,
    "rival-results": runs.rival_results,
    "run-folder": runs.run_folder,
    "watched": runs.watched,
    "monitor-files": runs.monitor_files,
    "expressions": words.expressions,
    "conversations": words.conversations,
    "judgements": words.judgements,
    "forms": words.forms,
    "addresses": words.addresses,
    "dashboard-requests": words.requests,
}
