"""Serving `/metrics`: who may ask, and the last scrape that is waited for."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from harness.errors import UsageFault
from harness.live.exposition import Exposition, Shown
from harness.live.scraping import TOKEN, Door, Scraped, check_host, serving

DOOR = Door("127.0.0.1", 0)


def told() -> list[Shown]:
    return [Shown(run="r", plan="p", mode="run", state="running")]


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Scraped]]:
    monkeypatch.delenv(TOKEN, raising=False)
    with serving(Exposition(told), DOOR) as served:
        yield served


def get(url: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers=headers, trust_env=False, timeout=20)


def test_the_page_is_served_in_the_format_that_is_accepted(metrics: tuple[str, Scraped]) -> None:
    url, _ = metrics
    assert "tokenswarm_run_info" in get(url).text
    assert get(url, Accept="application/openmetrics-text;version=1.0.0").text.endswith("# EOF\n")
    assert get(url, **{"Accept-Encoding": "gzip"}).headers["content-encoding"] == "gzip"


def test_there_is_nothing_else(metrics: tuple[str, Scraped]) -> None:
    url, _ = metrics
    assert get(url.removesuffix("/metrics") + "/").status_code == 404
    assert get(url.removesuffix("/metrics") + "/metrics/../etc").status_code == 404
    assert httpx.post(url, trust_env=False, timeout=20).status_code == 405


def test_with_a_token_only_who_brings_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, "s3cret-é")
    with serving(Exposition(told), DOOR) as (url, scraped):
        refused = get(url)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert "tokenswarm_" not in refused.text
        assert get(url, Authorization="Bearer wrong").status_code == 401
        assert not scraped.lately()
        found = httpx.get(url, headers={b"Authorization": "Bearer s3cret-é".encode()}, trust_env=False, timeout=20)
        assert found.status_code == 200
        assert scraped.wait_since(0.0, 60.0)


def test_an_address_that_others_reach_wants_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        with pytest.raises(UsageFault, match="other machines reach"):
            check_host(host)
        with pytest.raises(UsageFault), serving(Exposition(told), Door(host, 0)):
            pass
    monkeypatch.setenv(TOKEN, "s3cret")
    with serving(Exposition(told), Door("0.0.0.0", 0)) as (url, _):
        assert get(url.replace("0.0.0.0", "127.0.0.1")).status_code == 401


def test_a_port_that_is_taken_is_refused_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = f"--metrics-port: cannot listen: 127.0.0.1:{port}"
        with pytest.raises(UsageFault, match=said), serving(Exposition(told), Door("127.0.0.1", port)):
            pass


def test_the_last_scrape_is_waited_for_only_where_somebody_asks(metrics: tuple[str, Scraped]) -> None:
    url, scraped = metrics
    assert not scraped.lately()
    get(url)
    assert scraped.wait_since(0.0, 60.0)  # noted when all of the page was sent
    assert scraped.lately()
    assert not scraped.wait_since(time.monotonic(), 0.05)
    since_s = time.monotonic()
    asker = threading.Timer(0.2, get, (url,))
    asker.start()
    assert scraped.wait_since(since_s, 60.0)
    asker.join()


def test_a_client_that_says_nothing_keeps_nobody_waiting(metrics: tuple[str, Scraped]) -> None:
    url, _ = metrics
    with socket.create_connection(("127.0.0.1", int(url.split(":")[2].split("/")[0]))):
        assert get(url).status_code == 200
