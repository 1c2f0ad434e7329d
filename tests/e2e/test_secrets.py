"""A key is planted in every way that one can come in; no part of it of 8 characters is found anywhere afterwards."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import redis
import trustme
import yaml
from click.testing import CliRunner
from conftest import BIN, ROOT
from leaks import Echoing, Search

from harness.attempts.prepare import prepare
from harness.cli import tokenswarm
from harness.commands.cli_shown import warn_of_clear_redis
from harness.dialects import DIALECTS
from harness.errors import ErrorKind, UsageFault
from harness.exchange import Origin, perform
from harness.journals.redis_client import REDIS_URL, check_redis, connect
from harness.plan import Target, Timeouts, Workload
from harness.plan_file import read_plan
from harness.prompts import prompt
from harness.rules.alert_file import read_alerts
from harness.rules.target_rules import travels_in_clear
from harness.sample import Outcome, encode
from harness.sockets.endpoint import endpoint_of
from harness.sockets.tls import tls_context
from harness.transport import Connection

ALL = bool(os.environ.get("TOKENSWARM_ALL_SECRETS"))
needs_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="wants a redis-server")
PAGES = ("/", "/tokenswarm", "/stats/requests", "/exceptions", "/logs", "/stats/report", "/stats/failures/csv")


def planted(*names: str) -> dict[str, str]:
    """A key for each way in, without the beginnings by which keys are known, so that nothing hides them by chance."""
    return {name: "".join(secrets.choice("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789") for _ in range(36))
            for name in names}  # fmt: skip


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def provider() -> Iterator[Echoing]:
    running = Echoing()
    yield running
    running.close()


@contextmanager
def redis_with(password: str, folder: Path, *, knows_auth: bool = True) -> Iterator[str]:
    """The URL of a Redis that wants a password, which it reads from its standard input; or one that has no AUTH."""
    port = free_port()
    wants = f"requirepass {password}" if knows_auth else 'rename-command AUTH ""'
    settings = f"port {port}\nbind 127.0.0.1\nsave ''\nappendonly no\ndir {folder}\n{wants}\n"
    with subprocess.Popen(["redis-server", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as server:
        assert server.stdin is not None
        server.stdin.write(settings.encode())
        server.stdin.close()
        client = redis.Redis(port=port, password=password if knows_auth else None)
        for _ in range(500):
            with suppress(redis.RedisError):
                if client.ping():
                    break
            time.sleep(0.02)
        client.close()
        try:
            yield f"redis://:{password}@127.0.0.1:{port}/0"
        finally:
            server.kill()


def plan_of(url: str, duration_s: float) -> dict[str, Any]:
    """Targets with a key each, against a provider that says it again in every way."""
    kinds = {
        "ok": "openai-chat",
        "stream": "openai-responses",
        "html": "anthropic-messages",
        "redirect": "google-generate",
        "body": "jina-embeddings",
    }
    targets: list[dict[str, Any]] = [
        {"name": way, "dialect": dialect, "base_url": f"{url}/{way}", "model": "m", "key_env": f"KEY_{way}"}
        for way, dialect in kinds.items()
    ]
    targets[0] |= {"headers": {"authorization": "Bearer ${KEY_header}"}, "limits": {"rpm": 6000}}
    sizes = {"input_tokens": 5, "output_tokens": 5}
    workloads = [
        {"name": "chat", "kind": "chat", "keep_text": True, **sizes},
        {"name": "embeddings", "kind": "embeddings", **sizes},
    ]
    stages = [{"concurrency": 1, "duration_s": duration_s}]
    document = {"name": "secret", "repeats": 1, "warmup_s": 0, "drain_s": 2, "targets": targets, "stages": stages}
    return document | {"workloads": workloads, "timeouts": {"connect_s": 5, "read_s": 5, "total_s": 5}}


def command(*words: str) -> list[str]:
    return [str(BIN / "tokenswarm"), *words]


def said(
    search: Search, place: str, words: list[str], folder: Path, variables: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command; what it says is searched."""
    env = os.environ | variables
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=100, check=False)
    search.look(f"{place}: stdout", done.stdout)
    search.look(f"{place}: stderr", done.stderr)
    return done


@needs_redis
@pytest.mark.timeout(300)
def test_no_part_of_a_planted_key_is_found_anywhere(provider: Echoing, tmp_path: Path) -> None:
    plan = plan_of(provider.url, 0.6)
    names = [target["key_env"] for target in plan["targets"]]
    keys = planted(*names, "KEY_header", "REDIS", "PROXY", "WEBHOOK", "SIGNATURE")
    search = Search(keys)
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    home = tmp_path / "home"
    home.mkdir()
    with redis_with(keys["REDIS"], tmp_path) as url, search.processes():
        variables = {name: keys[name] for name in (*names, "KEY_header")} | {
            "TOKENSWARM_REDIS": url,
            "HTTP_PROXY": f"http://user:{keys['PROXY']}@127.0.0.1:9",
            "HOOK": f"{provider.url}/ok/{keys['WEBHOOK']}",
            "HOOK_SECRET": keys["SIGNATURE"],
            "XDG_CACHE_HOME": str(home),
        }
        assert said(search, "check", command("check", "plan.yaml"), tmp_path, variables).returncode == 0
        run_swarm(search, tmp_path, variables, url)
        (run_dir,) = tmp_path.glob("runs/secret/*")
        offline(search, run_dir, variables)
        sink = {"kind": "webhook", "name": "hook", "url_env": "HOOK", "secret_env": "HOOK_SECRET"}
        (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"sinks": [sink]}))
        words = command("alerts", "--check", "rules.yaml", "--test-sinks")
        assert "Traceback" not in said(search, "alerts", words, tmp_path, variables | {"NO_PROXY": "127.0.0.1"}).stderr
        if ALL:
            done = said(search, "calibrate", command("calibrate", "--quick"), tmp_path, variables)
            assert done.returncode == 0, done.stderr
        crashed(search, tmp_path, variables, provider.url)
    search.files(tmp_path)
    assert len(provider.requests) > 20
    sent = json.dumps(provider.requests)
    unsent = [name for name in (*names[1:], "KEY_header", "WEBHOOK") if keys[name] not in sent]
    assert not unsent, "each key was really sent"
    assert search.places > 100
    assert not search.found
    assert "********" in (run_dir / "journal").glob("*.jsonl").__next__().read_text(), "it was said, and cut out"


def offline(search: Search, run_dir: Path, variables: dict[str, str]) -> None:
    """What is made of a run afterwards."""
    of_run, root = str(run_dir), str(run_dir.parent.parent)
    page = ("--out", str(run_dir / "again.html"))
    for words in (
        ("analyze", of_run, "--json"),
        ("report", of_run, *page),
        ("compare", of_run, of_run),
        ("rank", of_run),
        ("trend", root),
    ):
        done = CliRunner().invoke(tokenswarm, words, env=variables)
        assert done.exception is None or isinstance(done.exception, SystemExit | UsageFault), done.exception
        search.look(f"{words[0]}: output", f"{done.output} {done.exception}")


def run_swarm(search: Search, folder: Path, variables: dict[str, str], url: str) -> None:
    """A master with the page, a worker on what could be another host, and Redis between them."""
    port, web_port = free_port(), free_port()
    address = ["--master-port", str(port)]
    ui = ["--ui", "--web-port", str(web_port)]
    master = command("run", "plan.yaml", "--master", "--master-bind-host", "127.0.0.1", *address, *ui)
    worker = command("run", "--worker", "--master-host", "127.0.0.1", *address, "--out", str(folder / "worker"))
    env = os.environ | variables
    logs = [(folder / f"{name}.log").open("wb") for name in ("master", "worker")]
    processes = [
        subprocess.Popen(words, cwd=folder, env=env, stdout=log, stderr=log)
        for words, log in zip((master, worker), logs, strict=True)
    ]
    seen: set[str] = set()
    client: Any = redis.Redis.from_url(url)
    end_s = time.monotonic() + 180
    while processes[0].poll() is None and time.monotonic() < end_s:
        search.redis(client)
        for page in PAGES:
            with suppress(httpx.HTTPError):
                found = httpx.get(f"http://127.0.0.1:{web_port}{page}", timeout=5, trust_env=False)
                search.look(f"page {page}", found.content + str(found.headers).encode())
                seen.add(page)
        time.sleep(0.1)
    search.redis(client)
    client.close()
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(20)
    for log in logs:
        log.close()
    assert seen == set(PAGES), (folder / "master.log").read_text()
    assert list(folder.glob("runs/secret/*/summary.json")), (folder / "master.log").read_text()


CRASH = """
import gevent, harness.exchange
from locust import events
def crash(*arguments):
    raise RuntimeError("the harness is broken")
harness.exchange._sample = crash
from locustfiles.openai import OpenAIUser

@events.init.add_listener
def end(environment, **_):
    environment.events.user_error.add_listener(lambda **_: gevent.spawn_later(0.3, environment.runner.quit))
"""


def crashed(search: Search, folder: Path, variables: dict[str, str], url: str) -> None:
    """Plain Locust, in which an attempt ends in a traceback."""
    (folder / "crash.py").write_text(CRASH)
    words = [
        sys.executable,
        "-m",
        "locust",
        "-f",
        "crash.py",
        "-H",
        f"{url}/body",
        "--headless",
        "-u",
        "1",
        "-t",
        "60s",
    ]
    words += ["--key-env", "KEY_ok", "--csv", "crashed"]
    done = said(search, "crash", words, folder, variables | {"PYTHONPATH": str(ROOT)})
    assert "the harness is broken" in done.stderr


LEAKY = """
import os, pathlib, subprocess, sys
import gevent
import pyarrow as pa, pyarrow.parquet as pq
import redis
from locust import User, constant, events, task
KEY = os.environ["OPENAI_API_KEY"]

class Leaky(User):
    wait_time = constant(1)
    @task
    def leak(self):
        print("the key is", KEY, flush=True)
        pathlib.Path("notes.txt").write_text(KEY[3:12])
        pq.write_table(pa.table({"a": ["x" * 500 + KEY] * 9}), "rows.parquet", compression="zstd")
        redis.Redis.from_url(os.environ["TOKENSWARM_REDIS"]).hset("h", "k", KEY)
        shown = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", KEY[5:14]])
        for _ in range(400):
            if asked and pathlib.Path("seen").exists():
                break
            gevent.sleep(0.1)
        shown.kill()
        os.kill(os.getpid(), 15)

asked = []

def leak():
    asked.append(1)
    return KEY

@events.init.add_listener
def page(environment, **_):
    environment.web_ui.app.add_url_rule("/leak", "leak", leak)
"""


@needs_redis
@pytest.mark.timeout(300)
def test_the_same_search_finds_a_leak_in_every_place(tmp_path: Path) -> None:
    """A locustfile that prints its key, and puts it wherever the test above looks."""
    keys = planted("OPENAI_API_KEY", "REDIS")
    search = Search(keys)
    (tmp_path / "leaky.py").write_text(LEAKY)
    port = free_port()
    words = [sys.executable, "-m", "locust", "-f", "leaky.py", "-u", "1", "-t", "90s", "--autostart", "--autoquit", "0"]
    words += ["-H", "http://127.0.0.1:9", "--web-host", "127.0.0.1", "--web-port", str(port)]
    with redis_with(keys["REDIS"], tmp_path) as url, search.processes():
        variables = {"OPENAI_API_KEY": keys["OPENAI_API_KEY"], "TOKENSWARM_REDIS": url}
        pages = threading.Thread(target=fetch, args=(search, f"http://127.0.0.1:{port}/leak", tmp_path / "seen"))
        pages.start()
        said(search, "run", words, tmp_path, variables)
        pages.join()
        search.redis(redis.Redis.from_url(url))
    search.files(tmp_path, but=frozenset({"leaky.py"}))
    places = {place.split(" ")[0] for _, place in search.found}
    assert places == {"run:", "file", "rows", "redis", "process", "page"}, search.found


def fetch(search: Search, url: str, seen: Path) -> None:
    end_s = time.monotonic() + 60
    while time.monotonic() < end_s:
        with suppress(httpx.HTTPError):
            search.look("page /leak", httpx.get(url, timeout=5, trust_env=False).content)
            break
        time.sleep(0.05)
    while time.monotonic() < end_s and not any(place == "process list" for _, place in search.found):
        time.sleep(0.05)
    seen.touch()


@needs_redis
def test_a_redis_that_repeats_the_password_is_not_quoted(tmp_path: Path) -> None:
    """A server without AUTH says `unknown command 'AUTH', with args beginning with: ...`."""
    keys = planted("PASSWORD")
    search = Search(keys)
    with redis_with(keys["PASSWORD"], tmp_path, knows_auth=False) as url:
        with pytest.raises(redis.ResponseError) as said, connect(url) as client:
            client.ping()
        assert keys["PASSWORD"] in str(said.value), "this server repeats it"
        with pytest.raises(UsageFault, match="unknown command 'AUTH'") as caught:
            check_redis(url)
        search.look("error", caught.value.message)
        journal = tmp_path / "w.jsonl"
        journal.write_text('{"pid": 1}\n')
        command = [sys.executable, "-m", "harness.journals.collect", "--run", "p/1", "--folder", str(tmp_path)]
        with subprocess.Popen(command, env=os.environ | {REDIS_URL: url}, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            line = process.stderr.readline()
            process.terminate()
        assert "waiting for it" in line
        search.look("log", line)
    assert not search.found


@pytest.mark.parametrize("way", ["--redis {}", "--redis={}"])
def test_a_password_among_the_words_of_a_command_is_gone_once_it_has_begun(way: str, tmp_path: Path) -> None:
    keys = planted("PASSWORD")
    search = Search(keys)
    url = f"redis://:{keys['PASSWORD']}@127.0.0.1:{free_port()}/0"
    words = command("run", "--worker", "--master-host", "127.0.0.1", "--master-port", str(free_port()))
    words += way.format(url).split()
    with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        seen = [psutil.Process(process.pid)]
        end_s = time.monotonic() + 60
        while len(seen) < 2 and time.monotonic() < end_s:
            time.sleep(0.02)
            seen = [seen[0], *seen[0].children()]
        search.look("process list", "\0".join(word for each in seen for word in each.cmdline()))
        given = [each.environ().get(REDIS_URL) for each in seen]
        process.send_signal(signal.SIGINT)
        search.look("stderr", said + process.stderr.read())
    assert "waiting for the master" in said
    assert given == [url, url], "it was handed over"
    assert not search.found


@pytest.mark.parametrize(
    ("url", "clear"),
    [
        ("redis://:pw@redis.example:6379/0", True),
        ("redis://redis.example?password=pw", True),
        ("redis://redis.example:6379/0", False),
        ("rediss://:pw@redis.example:6379/0", False),
        ("redis://:pw@127.0.0.1", False),
        ("redis://:pw@[::1]:6379", False),
        ("unix://:pw@/run/redis.sock", False),
    ],
)
def test_a_password_of_redis_that_travels_unencrypted_is_told(
    url: str, *, clear: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    warn_of_clear_redis(url)
    assert ("its password travels unencrypted" in capsys.readouterr().err) is clear


def test_redis_over_tls_verifies_certificate_and_name() -> None:
    with connect("rediss://:pw@127.0.0.1:1") as client:
        connection = client.connection_pool.make_connection()
    assert connection.check_hostname is True
    assert connection.cert_reqs == ssl.CERT_REQUIRED


def mistakes(key: str) -> dict[str, Callable[[dict[str, Any]], None]]:
    """What people do with a key in a plan."""
    return {
        "user in the URL": lambda target: target.update(base_url=f"https://user:{key}@api.example.com/v1"),
        "query in the URL": lambda target: target.update(base_url=f"https://api.example.com/v1?key={key}"),
        "a URL of another kind": lambda target: target.update(base_url=f"ftp://{key}@api.example.com"),
        "a port": lambda target: target.update(base_url=f"https://user:{key}:x"),
        "key_env": lambda target: target.update(key_env=key),
        "key_env with hyphens": lambda target: target.update(key_env=f"sk-{key}"),
        "a header": lambda target: target.update(headers={"Authorization": f"Bearer {key}"}),
        "another header": lambda target: target.update(headers={"x-api-key": key}),
        "a header of the wrong type": lambda target: target.update(headers=[key]),
        "a header with a line break": lambda target: target.update(headers={"x-a": f"{key}\r\nx-b: c"}),
        "a header whose name is half known": lambda target: target.update(headers={"x-functions-key": key}),
        "a header after a word": lambda target: target.update(headers={"cf-aig-authorization": f"Bearer {key}"}),
        "a variable within a header": lambda target: target.update(headers={"authorization": f"Bearer ${{{key}}}"}),
        "the query": lambda target: target.update(query={"key": key}),
        "the whole query": lambda target: target.update(query=key),
        "the body": lambda target: target.update(body={"extra": {"api_key": key}}),
        "the body, below": lambda target: target.update(body={"api_keys": [{"value": key}]}),
        "a field's name": lambda target: target.update({f"api_key {key}": 1}),
        "instead of a URL": lambda target: target.update(base_url=key),
        "user in the URL, escaped": lambda target: target.update(base_url=f"https://u%3A{key}%40api.example.com"),
        "id of a key of AWS": lambda target: target.update(AWS | {"aws": {"key_id_env": key}}),
        "token of AWS": lambda target: target.update(AWS | {"aws": {"session_token_env": key}}),
        "instead of `aws`": lambda target: target.update(AWS | {"aws": key}),
    }


AWS: dict[str, Any] = {"dialect": "bedrock-converse", "key_env": "AWS_SECRET_ACCESS_KEY"}


@pytest.mark.parametrize("mistake", sorted(mistakes("")))
def test_a_key_in_a_plan_is_refused_and_not_repeated(mistake: str, tmp_path: Path) -> None:
    keys = planted("KEY")
    search = Search(keys)
    target = {"name": "t", "dialect": "openai-chat", "base_url": "https://api.example.com/v1", "model": "m"}
    mistakes(keys["KEY"])[mistake](target)
    plan = {"name": "p", "targets": [target], "workload": {}, "stages": [{"concurrency": 1, "duration_s": 1}]}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    with pytest.raises(UsageFault) as caught:
        read_plan(str(tmp_path / "plan.yaml"))
    search.look("error", f"{caught.value.message} {caught.value.hint}")
    assert ": targets[0]." in caught.value.message
    assert not search.found, caught.value.message


FORMS = {
    "lower case": "jina_q7rk2ztyb9wmx4cv8nlp3sdf6ghj5tqe",
    "capitals": "AKIA3IOSFODNN7EXAMPQ",
    "letters alone": "qwkzjfhrtpmxvcnbqwsdftgh",
    "hexadecimal": "af9a1c7be2d04586a9b1c2d3e4f50617",
}


@pytest.mark.parametrize("form", sorted(FORMS))
def test_a_key_of_any_form_is_no_name_of_a_variable(form: str, tmp_path: Path) -> None:
    target = {"name": "t", "dialect": "openai-chat", "base_url": "https://h", "model": "m", "key_env": FORMS[form]}
    plan = {"name": "p", "targets": [target], "workload": {}, "stages": [{"concurrency": 1, "duration_s": 1}]}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    with pytest.raises(UsageFault, match="looks like a key itself") as caught:
        read_plan(str(tmp_path / "plan.yaml"))
    assert FORMS[form][:8] not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    "part",
    [
        {"headers": {"openai-organization": "org-a1B2c3D4e5F6g7H8i9J0k1L2", "idempotency-key": "run-2026-11-28-0001"}},
        {"headers": {"authorization": "Bearer ${SOME_KEY}", "x-token": "${OTHER_TOKEN_2}"}},
        {"body": {"prompt_cache_key": "tenant-0001-of-2026", "stop_token": "<|endoftext|>", "max_tokens": 5}},
        {"query": {"api-version": "2024-10-21", "code": "de"}},
        {"key_env": "AWS_BEARER_TOKEN_BEDROCK_EU_2"},
        {"model": "accounts/fireworks/models/llama-v3p1-405b-instruct"},
    ],
)
def test_what_is_no_key_is_let_in(part: dict[str, Any], tmp_path: Path) -> None:
    target = {"name": "t", "dialect": "openai-chat", "base_url": "https://h", "model": "m"} | part
    plan = {"name": "p", "targets": [target], "workload": {}, "stages": [{"concurrency": 1, "duration_s": 1}]}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    assert read_plan(str(tmp_path / "plan.yaml")).targets[0].name == "t"


def sinks_with(key: str) -> dict[str, dict[str, Any]]:
    """A key where a sink of alerts is described."""
    return {
        "a URL that opens": {"kind": "webhook", "url": f"https://discord.com/api/webhooks/1/{key}"},
        "a query that opens": {"kind": "webhook", "url": f"https://h.example/x?token={key}"},
        "instead of a URL": {"kind": "webhook", "url": key},
        "instead of its variable": {"kind": "webhook", "url_env": key},
        "instead of the secret's": {"kind": "webhook", "url": "https://h.example", "secret_env": key},
        "a program's option": {"kind": "command", "argv": ["page", "--token", key]},
        "a program's header": {"kind": "command", "argv": ["curl", "-H", f"Authorization: Bearer {key}"]},
        "instead of words": {"kind": "command", "argv": key},
    }


@pytest.mark.parametrize("mistake", sorted(sinks_with("")))
def test_a_key_in_a_sink_is_refused_and_not_repeated(mistake: str) -> None:
    keys = planted("KEY")
    search = Search(keys)
    with pytest.raises(UsageFault) as caught:
        read_alerts({"sinks": [sinks_with(keys["KEY"])[mistake]]})
    search.look("error", f"{caught.value.message} {caught.value.hint}")
    assert not search.found, caught.value.message


@pytest.mark.parametrize("setting", ["{}", "targets.t.key_env=!{} a", "targets.t.key_env={}", "targets.{}.model=m"])
def test_a_key_in_a_setting_is_not_repeated(setting: str, tmp_path: Path) -> None:
    keys = planted("KEY")
    search = Search(keys)
    target = {"name": "t", "dialect": "openai-chat", "base_url": "https://h", "model": "m"}
    plan = {"name": "p", "targets": [target], "workload": {}, "stages": [{"concurrency": 1, "duration_s": 1}]}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    with pytest.raises(UsageFault) as caught:
        read_plan(str(tmp_path / "plan.yaml"), [setting.format(keys["KEY"])])
    search.look("error", f"{caught.value.message} {caught.value.hint}")
    assert not search.found, caught.value.message


def test_a_key_that_travels_unencrypted_to_another_machine_is_told(tmp_path: Path) -> None:
    target = {"name": "t", "dialect": "openai-chat", "base_url": "http://api.example.com/v1", "model": "m"}
    plan = {"name": "p", "targets": [target | {"key_env": "SOME_KEY"}], "workload": {},
            "stages": [{"concurrency": 1, "duration_s": 1}]}  # fmt: skip
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    done = said(Search({}), "check", command("check", "plan.yaml"), tmp_path, {"SOME_KEY": "x"})
    told = "warning: target t: http://api.example.com/v1: its key travels unencrypted to another machine"
    assert told in done.stderr


@pytest.mark.parametrize("verb", ["limits", "capacity", "monitor --target t"])
def test_what_sends_without_a_run_tells_it_too(verb: str, tmp_path: Path) -> None:
    target = {"name": "t", "dialect": "openai-chat", "base_url": "http://api.example.com/v1", "model": "m"}
    plan = {"name": "p", "targets": [target | {"key_env": "NOT_SET_ANYWHERE"}], "workload": {},
            "slo": {"e2e_s": 1}, "stages": [{"concurrency": 1, "duration_s": 1}]}  # fmt: skip
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    name, *options = verb.split()
    done = CliRunner().invoke(tokenswarm, [name, str(tmp_path / "plan.yaml"), *options])
    assert isinstance(done.exception, UsageFault), "it has no key, and sends nothing"
    assert "its key travels unencrypted to another machine" in done.stderr


@pytest.mark.parametrize(
    ("change", "clear"),
    [
        ({"base_url": "http://api.example.com/v1"}, True),
        ({"base_url": "http://127.0.0.1.example.com/v1"}, True),
        ({"base_url": "http://10.0.0.1/v1", "key_env": None, "headers": {"x-key": "${K}"}}, True),
        ({"base_url": "http://10.0.0.1/v1", "key_env": None}, False),
        ({"base_url": "https://api.example.com/v1"}, False),
        ({"base_url": "http://localhost:8000/v1"}, False),
        ({"base_url": "http://127.0.0.2/v1"}, False),
        ({"base_url": "http://[::1]:8000/v1"}, False),
    ],
)
def test_what_travels_in_clear(change: dict[str, Any], *, clear: bool) -> None:
    assert (
        travels_in_clear(Target(**{"name": "t", "dialect": "openai-chat", "model": "m", "key_env": "K"} | change))
        is clear
    )


def ask(url: str) -> tuple[Outcome, ErrorKind | None, str]:
    target = Target(name="t", dialect="openai-chat", base_url=url, model="m")
    prepared = prepare(target, Workload(output_tokens=5), prompt(1, Workload(), 0), "a-key-of-some-length")
    assert "a-key-of" not in repr(prepared)
    connection = Connection(endpoint_of(url), Timeouts(connect_s=10, read_s=10, total_s=20))
    sample = perform(connection, prepared, Origin(run="r", stage=0, repeat=1, worker="w", seq=0, anchor_ns=0))
    connection.close()
    return sample.outcome, sample.error, sample.error_detail or ""


@pytest.mark.parametrize("way", ["ok", "body", "html", "stream", "redirect"])
@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_whatever_a_provider_says_again_no_sample_holds_it(provider: Echoing, dialect: Any, way: str) -> None:
    keys = planted("KEY", "HEADER")
    search = Search(keys)
    os.environ["TOKENSWARM_TEST_HEADER"] = keys["HEADER"]
    headers = {"x-secret": "${TOKENSWARM_TEST_HEADER}"}
    target = Target(name="t", dialect=dialect, base_url=f"{provider.url}/{way}", model="m", headers=headers)
    workload = Workload(kind=target.kind, output_tokens=5, keep_text=target.kind == "chat")
    prepared = prepare(target, workload, prompt(1, workload, 0), keys["KEY"])
    connection = Connection(endpoint_of(target.base_url), Timeouts(connect_s=10, read_s=10, total_s=20))
    sample = perform(connection, prepared, Origin(run="r", stage=0, repeat=1, worker="w", seq=0, anchor_ns=0))
    connection.close()
    del os.environ["TOKENSWARM_TEST_HEADER"]
    search.look("sample", encode(sample))
    search.look("repr", repr(prepared))
    assert keys["HEADER"] in json.dumps(provider.requests)
    assert keys["KEY"] in json.dumps(provider.requests)
    assert not search.found, sample


def test_a_redirect_never_carries_the_key_to_another_host(provider: Echoing) -> None:
    first = Echoing(elsewhere=provider.url)
    try:
        outcome, error, _ = ask(f"{first.url}/redirect/v1")
    finally:
        first.close()
    assert (outcome, error) == (Outcome.FAILED, ErrorKind.REDIRECT)
    assert len(first.requests) == 1
    assert not provider.requests


def test_a_certificate_of_an_unknown_authority_is_refused_before_the_key_is_sent() -> None:
    context = tls_context()
    assert context.check_hostname and context.verify_mode.name == "CERT_REQUIRED"
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(server)
    got: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            plain, _ = listener.accept()
            with plain, suppress(OSError), server.wrap_socket(plain, server_side=True) as channel:
                got.append(channel.recv(65536))

        thread = threading.Thread(target=serve)
        thread.start()
        outcome, error, detail = ask(f"https://127.0.0.1:{listener.getsockname()[1]}/v1")
        thread.join(20)
    assert (outcome, error) == (Outcome.FAILED, ErrorKind.TLS)
    assert "certificate not accepted" in detail
    assert not any(got)
