"""deploy/prometheus and deploy/grafana: what they ask for is told, and their own tools take them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

from harness.records.metric_table import METRICS

PROMETHEUS = ROOT / "deploy/prometheus"
GRAFANA = ROOT / "deploy/grafana"
DASHBOARD = json.loads((GRAFANA / "dashboards/tokenswarm.json").read_text(encoding="utf-8"))
RULES = yaml.safe_load((PROMETHEUS / "rules.yml").read_text(encoding="utf-8"))
_NAME = re.compile(r"\btokenswarm[_:][\w:]+")
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="wants promtool (Debian: prometheus)")


def promtool(*words: object) -> None:
    done = subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def rules() -> list[dict[str, Any]]:
    return [rule for group in RULES["groups"] for rule in group["rules"]]


def told() -> set[str]:
    """The names of all series: what we tell, and what the rules record of it."""
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    return recorded | {name for metric in METRICS.values() for name in metric.series}


def panels() -> Iterator[dict[str, Any]]:
    for panel in DASHBOARD["panels"]:
        yield panel
        yield from panel.get("panels", [])


def expressions() -> list[str]:
    found = [target["expr"] for panel in panels() for target in panel.get("targets", [])]
    found += [each["expr"] for each in DASHBOARD["annotations"]["list"] if "expr" in each]
    return [expression.replace("$__rate_interval", "1m") for expression in found]


@needs_promtool
def test_promtool_takes_the_configuration_and_the_rules_do_what_they_are_to_do() -> None:
    promtool("check", "config", PROMETHEUS / "prometheus.yml")
    promtool("check", "rules", PROMETHEUS / "rules.yml")
    promtool("test", "rules", PROMETHEUS / "rules_test.yml")


@needs_promtool
def test_every_expression_of_the_dashboard_is_promql(tmp_path: Path) -> None:
    assert len(expressions()) > 30
    recorded = [{"record": f"dashboard:{k}", "expr": expr} for k, expr in enumerate(expressions())]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))
    promtool("check", "rules", tmp_path / "rules.yml")


def test_every_alert_has_a_test() -> None:
    tests = yaml.safe_load((PROMETHEUS / "rules_test.yml").read_text(encoding="utf-8"))["tests"]
    tested = {each["alertname"] for test in tests for each in test.get("alert_rule_test", []) if each["exp_alerts"]}
    assert tested == {rule["alert"] for rule in rules() if "alert" in rule}


def test_rules_and_dashboard_ask_only_for_what_is_told() -> None:
    asked = {name for rule in rules() for name in _NAME.findall(rule["expr"])}
    asked |= {name for expression in expressions() for name in _NAME.findall(expression)}
    asked |= {name for variable in DASHBOARD["templating"]["list"] for name in _NAME.findall(str(variable["query"]))}
    assert asked <= told()
    assert len(asked) > 25


def test_the_labels_that_are_asked_for_are_those_of_the_metrics() -> None:
    labels_of = {
        name: {"run", "le", "job", "instance", *metric.labels} for metric in METRICS.values() for name in metric.series
    }
    for expression in [*expressions(), *(rule["expr"] for rule in rules())]:
        for name, selector in re.findall(r"\b(tokenswarm_\w+)\{([^}]*)\}", expression):
            asked = set(re.findall(r"(\w+)\s*[!=]~?\s*\"", selector))
            assert asked <= labels_of[name], expression


def test_the_dashboard_has_its_variables_and_each_panel_its_own_place() -> None:
    assert [each["name"] for each in DASHBOARD["templating"]["list"]] == ["datasource", "run", "target", "workload"]
    numbers = [panel["id"] for panel in panels()]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == "${datasource}"
            assert panel["title"]


def test_what_is_provisioned_is_mounted_where_it_is_looked_for() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    mounts = dict(volume.split(":")[:2][::-1] for volume in services["grafana"]["volumes"])
    assert all((ROOT / source).is_file() for source in mounts.values())
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/tokenswarm.yml").read_text())["providers"]
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert mounts[home] == "./deploy/grafana/dashboards/tokenswarm.json"
    assert Path(home).parent == Path(provider["options"]["path"])
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (job,) = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    host, _, port = job["static_configs"][0]["targets"][0].partition(":")
    assert services[host]["command"][services[host]["command"].index("--web-port") + 1] == port
