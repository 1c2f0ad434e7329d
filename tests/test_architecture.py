"""The house rules that a machine can check: layers, no import cycle, names that say nothing."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = {
    **dict.fromkeys(("plan", "sample", "errors", "plan_file", "loopback", "health_record", "search_record"), 0),
    **dict.fromkeys(("plain_yaml", "secrecy", "target_rules"), 0),
    **dict.fromkeys(("question", "numerals", "grade_record", "prices", "monitor_record"), 0),
    **dict.fromkeys(("alert_record", "alert_file", "checked_yaml"), 0),
    "alerts": 1,
    **dict.fromkeys(("alert_log", "alert_list", "alert_command", "webhook", "sinks", "report_clock"), 2),
    **dict.fromkeys(("dialect_names", "stream_event", "lengths", "chat_wishes"), 0),
    **dict.fromkeys(("draws", "own_draft", "own_arithmetic", "own_logic", "own_reading", "own_questions"), 1),
    **dict.fromkeys(("question_rows", "question_files", "hub", "asking", "judging"), 1),
    **dict.fromkeys(("echo", "prompts", "sse", "alike", "dialects", "arrivals", "traces", "rate_limits", "pace"), 1),
    **dict.fromkeys(("json_lines", "aws_stream", "stream_readers", "pictures", "structured", "tool_box"), 1),
    "conversation_files": 1,
    **dict.fromkeys(("margin", "attainment", "search_answer", "capacity_search"), 1),
    **dict.fromkeys(
        (
            "rundir",
            "environment",
            "stamps",
            "http_framing",
            "endpoint",
            "held",
            "tls",
            "turns",
            "transport",
            "reply",
            "exchange",
            "journal",
            "garbage",
            "moderation",
            "alarm",
            "simulator",
            "planned",
            "health",
            "collect",
            "relay_entries",
            "merge",
            "relay",
            "live",
            "live_cell",
            "prepare",
            "conversation",
            "batch_job",
            "allowance",
            "shared_allowance",
            "budget",
            "carried_traces",
            "injection",
            "question_sets",
            "sequential_record",
        ),
        2,
    ),
    **dict.fromkeys(("stopping", "user", "cell_users", "open_load", "worker_side", "master_side", "shape", "carry"), 3),
    **dict.fromkeys(("live_picture", "webui", "mounted", "exposition", "run_shown", "monitor_shown", "scraping"), 3),
    "metric_table": 0,
    **dict.fromkeys(
        (
            *(
                "interrupts",
                "swarm",
                "gather",
                "worker_loop",
                "launch",
                "estimate",
                "calibrate",
                "calibrate_client",
                "probe",
            ),
            *("limits_probe", "limits_sender", "reachable", "capacity_run"),
            *("second_opinion", "grade_run", "sequential_run", "run_metrics", "monitor_metrics"),
        ),
        4,
    ),
    "__main__": 5,
    **dict.fromkeys(("tail", "monitor_doubts"), 2),
    **dict.fromkeys(("client_health", "watched_cell", "monitor_state", "monitor", "monitor_loop"), 4),
    **dict.fromkeys(("folding", "probes", "prober"), 4),
    **dict.fromkeys(("probe_record", "run_ending"), 2),
    **dict.fromkeys(("monitor_table", "cli_monitor"), 5),
    **dict.fromkeys(
        (
            *("cli", "cli_load", "cli_limits", "cli_capacity", "cli_grade", "cli_compare", "cli_decide"),
            *("cli_completion", "cli_sequential", "cli_numbers", "cli_history", "cli_shown", "cli_dashboard"),
            *("cli_alerts", "cli_digest"),
        ),
        5,
    ),
}
MAY_IMPORT_LOCUST = {
    *("harness.user", "harness.stopping", "harness.cell_users", "harness.shape", "harness.carry"),
    *("harness.worker_side", "harness.master_side", "harness.webui"),
}
ANALYSIS_MAY_IMPORT = {
    "dialect_names",
    *("health_record", "search_record", "plan", "plan_file", "prices", "sample", "errors", "rundir", "loopback"),
    *("question", "numerals", "grade_record", "sequential_record", "monitor_record"),
    *("alert_record", "alert_file", "alert_list", "alert_log", "alerts", "checked_yaml"),
    *("plain_yaml", "target_rules"),
}
HARNESS_MAY_IMPORT_ANALYSIS = {
    *("harness.cli_load", "harness.cli_capacity", "harness.cli_numbers", "harness.cli_shown"),
    *("harness.cli_compare", "harness.cli_sequential", "harness.cli_history", "harness.cli_decide"),
    *("harness.live_picture", "harness.cli_digest", "harness.run_shown"),
    "harness.cli_dashboard",
    *("harness.client_health", "harness.watched_cell", "harness.monitor", "harness.monitor_loop"),
    "harness.folding",
    "harness.cli_monitor",
}
MAY_IMPORT_DASHBOARD = {"harness.cli_dashboard", "harness.webui"}
FORBIDDEN_NAMES = {"utils", "util", "base", "common", "helpers", "manager", "misc"}


@functools.cache
def _modules() -> dict[str, Path]:
    paths = [
        path
        for package in ("harness", "analysis", "dashboard", "locustfiles")
        for path in (ROOT / package).rglob("*.py")
    ]
    return {_name(path): path for path in paths}


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: Path) -> set[str]:
    """Every module that a file names in an import, wherever it stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names if names <= set(_modules()) else names | {node.module}
    return found


def _own(path: Path) -> set[str]:
    return _imports(path) & set(_modules())


def _layer(module: str) -> int | None:
    part = module.split(".")[1] if module.startswith("harness.") else None
    return None if part is None else LAYERS[part]


@pytest.mark.parametrize("module", sorted(_modules()))
def test_a_module_imports_its_own_layer_or_lower(module: str) -> None:
    layer = _layer(module)
    for imported in _own(_modules()[module]):
        below = _layer(imported)
        if layer is not None and below is not None:
            assert below <= layer, f"{module} (layer {layer}) imports {imported} (layer {below})"


@pytest.mark.parametrize("module", sorted(_modules()))
def test_only_the_named_modules_cross_between_the_packages_or_import_locust(module: str) -> None:
    imports = _imports(_modules()[module])
    if module.startswith("analysis"):
        crossing = {name.split(".")[1] for name in imports if name.startswith("harness.")}
        assert crossing <= ANALYSIS_MAY_IMPORT
        assert not any(name.split(".")[0] in ("gevent", "locust", "geventhttpclient") for name in imports)
    if module.startswith("harness") and module not in HARNESS_MAY_IMPORT_ANALYSIS:
        assert not any(name.split(".")[0] == "analysis" for name in imports)
    if not module.startswith("dashboard") and module not in MAY_IMPORT_DASHBOARD:
        assert not any(name.split(".")[0] == "dashboard" for name in imports)
    if any(name.split(".")[0] == "locust" for name in imports):
        assert module in MAY_IMPORT_LOCUST or module.startswith("locustfiles")


def test_there_is_no_import_cycle() -> None:
    graph = {module: _own(path) - {module} for module, path in _modules().items()}
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, f"cycle: {' -> '.join([*above, module])}"
        if module not in done:
            for imported in graph[module]:
                visit(imported, (*above, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert not {module for module in _modules() if FORBIDDEN_NAMES & set(module.split("."))}


def test_analysis_loads_no_gevent() -> None:
    modules = [module for module in _modules() if module.startswith("analysis")]
    code = f"import sys, {', '.join(modules)}; assert 'gevent' not in sys.modules and 'locust' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_every_file_stands_on_the_map() -> None:
    text = (ROOT / "docs" / "map.md").read_text(encoding="utf-8")
    missing = [str(path.relative_to(ROOT)) for path in _modules().values() if f"`{path.relative_to(ROOT)}`" not in text]
    assert not missing
