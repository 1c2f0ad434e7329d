"""What the dashboard refuses, over plain HTTP: strangers, other sites, other hosts, and paths that lead out."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import Command
from dashboards import Served, served

TOKEN = "a-token-that-is-long-enough"
ASK = {
    "output": "page.children",
    "outputs": {"id": "page", "property": "children"},
    "inputs": [
        {"id": "address", "property": "pathname", "value": "/"},
        {"id": "address", "property": "search", "value": ""},
    ],
    "changedPropIds": ["address.pathname"],
}
ANSWERS = "_dash-update-component"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with one that leads out of it."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "report.html").write_text("secret")
    (outside / "summary.json").write_text('{"secret": 1}')
    (outside / "run.json").write_text("{}")
    root = tmp_path_factory.mktemp("runs")
    (root / "plan").mkdir()
    (root / "plan" / "leads-out").symlink_to(outside)
    run = root / "plan" / "20260301T090000Z-0001"
    run.mkdir()
    (run / "run.json").write_text("{}")
    (run / "report.html").symlink_to(outside / "report.html")
    (run / "summary.json").symlink_to(outside / "summary.json")
    return root


@pytest.fixture(scope="module")
def open_one(root: Path) -> Iterator[Served]:
    """Of this machine alone, as it is without options."""
    with served(root) as found:
        yield found


@pytest.fixture(scope="module")
def closed_one(root: Path) -> Iterator[Served]:
    """For other machines too, with a token of its own."""
    with served(root, "--host", "0.0.0.0") as found:
        found.url = re.sub(r"//[^/]*:", "//127.0.0.1:", found.url)
        yield found


def _csrf(client: httpx.Client) -> dict[str, str]:
    name = next(name for name in client.cookies if name.endswith("_csrf"))
    return {"X-CSRFToken": client.cookies[name]}


def test_without_the_token_nothing_is_told(closed_one: Served) -> None:
    with httpx.Client(base_url=closed_one.url) as stranger:
        page = stranger.get("/", headers={"Accept": "text/html"})
        assert (page.status_code, page.headers["location"]) == (303, "/login")
        for path in (
            "_dash-layout",
            "_dash-dependencies",
            "assets/look.css",
            "assets/strict.js",
            "download/plan/x/report.html",
        ):
            assert stranger.get(path).status_code == 401
        assert stranger.get("_dash-component-suites/dash/dcc/dash_core_components.js").status_code == 401
        assert stranger.post(ANSWERS, json=ASK).status_code in (401, 403)
        assert stranger.post("login", data={"token": TOKEN}).status_code == 401
        assert stranger.get("_dash-layout").status_code == 401


def test_the_token_opens_it_and_its_cookie_is_for_this_site_alone(closed_one: Served) -> None:
    with httpx.Client(base_url=closed_one.url) as client:
        done = client.post("login", data={"token": closed_one.token})
        assert (done.status_code, done.headers["location"]) == (303, "/")
        session, csrf = done.headers.get_list("set-cookie")
        assert "HttpOnly" in session and "SameSite=Strict" in session and "SameSite=Strict" in csrf
        assert closed_one.token not in session + csrf
        assert client.get("_dash-layout").status_code == 200
        assert client.post(ANSWERS, json=ASK).status_code == 403
        assert client.post(ANSWERS, json=ASK, headers=_csrf(client)).status_code == 200
        name, value = next((name, value) for name, value in client.cookies.items() if not name.endswith("_csrf"))
        forged = value.replace("1.", "1.9", 1)
        assert httpx.get(f"{closed_one.url}_dash-layout", cookies={name: forged}).status_code == 401
        assert client.post("logout", headers=_csrf(client)).status_code == 303
        assert client.get("_dash-layout").status_code == 401
        assert httpx.get(f"{closed_one.url}_dash-layout", cookies={name: value}).status_code == 401, "it was kept"


def test_wrong_tokens_have_to_wait(root: Path) -> None:
    with (
        served(root, "--login", "--token-env", "OPENER", env={"OPENER": TOKEN}) as found,
        httpx.Client(base_url=found.url) as client,
    ):
        codes = [client.post("login", data={"token": f"guess {n}"}).status_code for n in range(7)]
        assert codes == [401] * 5 + [429] * 2
        assert 0 < int(client.post("login", data={"token": TOKEN}).headers["retry-after"]) <= 60


def test_other_sites_can_neither_send_nor_embed(open_one: Served) -> None:
    with httpx.Client(base_url=open_one.url) as client:
        assert client.get("/", headers={"Accept": "text/html"}).status_code == 200
        good = _csrf(client)
        assert client.post(ANSWERS, json=ASK, headers=good).status_code == 200
        assert client.post(ANSWERS, json=ASK).status_code == 403
        assert client.post(ANSWERS, json=ASK, headers={"X-CSRFToken": "0" * 64}).status_code == 403
        for headers in (
            {"Origin": "http://elsewhere.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ):
            assert client.post(ANSWERS, json=ASK, headers=good | headers).status_code == 403
            form = client.post("logout", data={"csrf": good["X-CSRFToken"]}, headers=headers)
            assert form.status_code == 403
        embedded = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
        assert client.get("_dash-layout", headers=embedded).status_code == 403
        followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
        assert client.get("/", headers=followed).status_code == 200


def test_on_this_machine_it_answers_to_names_of_this_machine_alone(open_one: Served) -> None:
    port = httpx.URL(open_one.url).port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"):
        assert httpx.get(open_one.url, headers={"Host": host}).status_code == 200
    for host in ("rebound.example", f"127.0.0.1.rebound.example:{port}", "10.0.0.1", "localhost.example"):
        assert httpx.get(open_one.url, headers={"Host": host}).status_code == 421


def test_no_path_leads_out_of_the_folder(open_one: Served, root: Path) -> None:
    address = httpx.URL(open_one.url)
    for path in (
        "/download/plan/leads-out/report.html",
        "/download/plan/20260301T090000Z-0001/report.html",
        "/download/plan/20260301T090000Z-0001/summary.json",
        "/download/../../etc/passwd",
        "/download/plan/../../outside0/report.html",
        "/download/%2e%2e/%2e%2e/etc/report.html",
        "/download//etc/report.html",
        "/download/plan/20260301T090000Z-0001/run.json",
        "/download/plan/%00/report.html",
        "/assets/../security.py",
        "/assets/%2e%2e/security.py",
        "/_dash-component-suites/dash/../../../etc/passwd",
    ):
        with socket.create_connection((address.host, address.port or 80), 20) as raw:
            raw.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: raw.recv(65536), b""))
        elsewhere = answer.split(b" ")[1] != b"200"  # else it is the page of unknown addresses
        assert elsewhere or b"_dash-config" in answer, path
        assert b"secret" not in answer and b"Throttle" not in answer and str(root).encode() not in answer
    with httpx.Client(base_url=open_one.url) as client:
        client.get("/", headers={"Accept": "text/html"})
        for run in ("../outside0", "plan/leads-out", "plan/20260301T090000Z-0001", "/etc", "plan/\0", "."):
            asked = json.loads(json.dumps(ASK))
            asked["inputs"][0]["value"], asked["inputs"][1]["value"] = "/run", str(httpx.QueryParams({"run": run}))
            text = client.post(ANSWERS, json=asked, headers=_csrf(client)).text
            assert "This cannot be shown" in text and "secret" not in text


def test_requests_that_no_page_makes_are_refused_and_harm_nothing(open_one: Served) -> None:
    with httpx.Client(base_url=open_one.url) as client:
        client.get("/", headers={"Accept": "text/html"})
        headers = _csrf(client) | {"Content-Type": "application/json"}
        for body in (b"", b"{", b"[]", b"{}", b'{"output": "x.children", "inputs": []}', b"\xff" * 100):
            assert client.post(ANSWERS, content=body, headers=headers).status_code == 400
        assert client.post(ANSWERS, content=b" " * 5_000_000, headers=headers).status_code == 413
        assert client.put(ANSWERS, headers=headers).status_code == 405
        assert client.post(ANSWERS, json=ASK, headers=headers).status_code == 200


def test_what_is_answered_is_not_kept_and_runs_no_scripts_but_ours(open_one: Served) -> None:
    page = httpx.get(open_one.url, headers={"Accept": "text/html"})
    policy = dict(part.strip().partition(" ")[::2] for part in page.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in page.headers["content-security-policy"]
    nonce = re.search(r"'nonce-([^']+)'", policy["script-src"])
    assert nonce is not None and nonce[1] in page.text
    assert nonce[1] not in httpx.get(open_one.url).headers["content-security-policy"]
    for path in ("", "_dash-layout", "assets/look.css", "nowhere", "download/x/report.html"):
        headers = httpx.get(f"{open_one.url}{path}").headers
        assert headers["cache-control"] == "no-store" and headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY" and "server" not in headers


def test_what_is_asked_for_wrongly_is_told_in_two_lines(tokenswarm: Command, tmp_path: Path) -> None:
    cases = {
        ("dashboard", "nowhere"): "no such folder",
        ("dashboard", tmp_path, "--token-env", "NOT_SET"): "is not set",
        ("dashboard", tmp_path, "--host", "no.such.host.invalid"): "--host",
    }
    for arguments, says in cases.items():
        done = tokenswarm(*arguments)
        assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 2, done.stderr
    short = tokenswarm("dashboard", tmp_path, "--token-env", "SHORT", env={"SHORT": "abc"})
    assert short.returncode == 2 and "shorter than" in short.stderr
