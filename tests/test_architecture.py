"""The house rules that a machine can check: layers, no import cycle, names that say nothing."""

from __future__ import annotations

import graphlib
import subprocess
import sys

import pytest

from docs.code_map import ROOT, depths_of, folder_of, folders, graph, imported, modules

LAYERS = {
    **dict.fromkeys(("plan", "plan_file", "sample", "errors", "prices", "rundir"), 0),
    **dict.fromkeys(("inputs", "records", "rules"), 0),
    **dict.fromkeys(("arrivals", "prompts", "sse", "alerts", "questions", "workloads", "streams", "dialects"), 1),
    **dict.fromkeys(("environment", "transport", "exchange", "journal", "relay", "health", "simulator"), 2),
    **dict.fromkeys(("loop", "sockets", "attempts", "journals", "allowances", "handover", "alerting"), 2),
    **dict.fromkeys(("user", "shape", "webui", "live", "planned_run"), 3),
    **dict.fromkeys(("launch", "sequential_run", "monitor", "monitor_loop"), 4),
    **dict.fromkeys(("runs", "capacity", "grading", "monitoring"), 4),
    **dict.fromkeys(("cli", "__main__", "commands"), 5),
}
MAY_IMPORT_LOCUST = {"harness.user", "harness.shape", "harness.webui", "harness.planned_run", "harness.loop.stopping"}
ANALYSIS_MAY_IMPORT = {"harness.alerts", "harness.alerting.alert_list", "harness.alerting.alert_log"}
MAY_IMPORT_ANALYSIS = {
    "harness.commands",
    "harness.live",
    "harness.monitor",
    "harness.monitor_loop",
    "harness.monitoring",
}
MAY_IMPORT_DASHBOARD = {"harness.commands.cli_dashboard", "harness.webui"}
FORBIDDEN_NAMES = {"utils", "util", "base", "common", "helpers", "manager", "misc"}


def _layer(module: str) -> int | None:
    """The layer of a module of `harness`; None of others."""
    package, _, rest = module.partition(".")
    return LAYERS[rest.split(".")[0]] if package == "harness" and rest else None


@pytest.mark.parametrize("module", sorted(modules()))
def test_a_module_imports_its_own_layer_or_lower(module: str) -> None:
    layer = _layer(module)
    for other in graph()[module]:
        below = _layer(other)
        if layer is not None and below is not None:
            assert below <= layer, f"{module} (layer {layer}) imports {other} (layer {below})"


@pytest.mark.parametrize("module", sorted(modules()))
def test_only_the_named_modules_cross_between_the_packages_or_import_locust(module: str) -> None:
    imports = imported(modules()[module])
    packages = {name.split(".")[0] for name in imports}
    if module.startswith("analysis"):
        above = {name for name in graph()[module] if _layer(name)}
        assert above <= ANALYSIS_MAY_IMPORT
        assert not packages & {"gevent", "locust", "geventhttpclient"}
    if module.startswith("harness") and folder_of(module) not in MAY_IMPORT_ANALYSIS:
        assert "analysis" not in packages
    if not module.startswith("dashboard") and module not in MAY_IMPORT_DASHBOARD:
        assert "dashboard" not in packages
    if "locust" in packages:
        assert {module, folder_of(module)} & MAY_IMPORT_LOCUST or module.startswith("locustfiles")


def test_there_is_no_import_cycle_between_files_nor_between_folders() -> None:
    assert depths_of(graph()).keys() == modules().keys()
    assert depths_of(folders()).keys() == folders().keys()


def test_a_circle_of_imports_is_found() -> None:
    with pytest.raises(graphlib.CycleError):
        depths_of({"a": frozenset({"b"}), "b": frozenset({"c"}), "c": frozenset({"a"})})


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert not {module for module in modules() if FORBIDDEN_NAMES & set(module.split("."))}


def test_analysis_loads_no_gevent() -> None:
    names = [module for module in modules() if module.startswith("analysis")]
    code = f"import sys, {', '.join(names)}; assert 'gevent' not in sys.modules and 'locust' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_git_leaves_no_module_out() -> None:
    """A clone and a wheel have what git has: a file that .gitignore names is on one machine alone."""
    packages = sorted({module.split(".")[0] for module in modules()})
    command = ["git", "ls-files", "--others", "--ignored", "--exclude-standard", "--", *packages]
    ignored = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    assert not [name for name in ignored if name.endswith(".py")]


def test_every_folder_of_modules_is_a_package() -> None:
    """The wheel is made of packages: a folder without `__init__.py` is not in it."""
    assert {folder_of(module) for module in modules()} <= modules().keys()
