"""Other people's benchmark tools, each in a virtual environment of its own under `benchmarks/.venvs`.

All are told to use one worker process, since each client has one core, and to leave out what has nothing to do with
measuring (screens, GPU telemetry). They get prompts of 32 words and a tokenizer written here: no network is needed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.clients import HERE, Client, Job
from benchmarks.timing import Dist, Said, dist
from benchmarks.word_tokenizer import write_tokenizer
from benchmarks.workloads import PROMPT_TOKENS, TOKENS

VENVS = HERE / ".venvs"
_INSTALL_LIMIT_S = 900
_MINUTES = 2
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


@dataclass(frozen=True)
class Rival:
    """A tool from the package index. `least_python` is what its newest version needs (major, minor)."""

    package: str
    least_python: tuple[int, int]
    command: Callable[[Job], list[str]]
    said: Callable[[Job], Said]
    variables: Callable[[Job], dict[str, str]]

    @property
    def client(self) -> Client:
        """The tool as a client of the benchmark."""
        return Client(self.package, f"{self.package} {self.version()}", self.command, self.variables, said=self.said)

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        return VENVS / self.package / "bin" / "python"

    def version(self) -> str:
        """The installed version; empty: it is not."""
        if not self.python.exists():
            return ""
        code = f"from importlib.metadata import version; print(version({self.package!r}))"
        done = subprocess.run([self.python, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
        return done.stdout.strip()


def install(rival: Rival) -> str | None:
    """Install the tool where it is not yet; None, or the reason why it could not be."""
    if rival.version():
        return None
    base = _interpreter(rival.least_python)
    if base is None:
        return f"needs Python >= {'.'.join(map(str, rival.least_python))}, which this machine has not"
    uv = Path(sys.executable).parent / "uv"
    tool = [str(uv) if uv.exists() else "uv"]
    steps = (
        [*tool, "venv", "--quiet", "--clear", "--no-python-downloads", "--python", base, str(VENVS / rival.package)],
        [*tool, "pip", "install", "--quiet", "--python", str(rival.python), rival.package],
    )
    for step in steps:
        try:
            done = subprocess.run(  # noqa: S603
                step, capture_output=True, text=True, check=False, timeout=_INSTALL_LIMIT_S
            )
        except (OSError, subprocess.TimeoutExpired) as fault:
            return f"not installed: {type(fault).__name__}"
        if done.returncode:
            return f"not installed: {' '.join(done.stderr.split())[:200]}"
    return None


def _interpreter(least: tuple[int, int]) -> str | None:
    """A Python at least as new: this one, else one on the PATH or among pyenv's."""
    if sys.version_info[:2] >= least:
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    for minor in range(least[1], least[1] + 3):
        name = f"python{least[0]}.{minor}"
        for found in filter(None, (shutil.which(name), *map(str, sorted(pyenv.glob(f"*/bin/{name}"))))):
            done = subprocess.run([found, "--version"], capture_output=True, check=False)  # noqa: S603
            if done.returncode == 0:  # pyenv puts names on the PATH that only say that they are not chosen
                return found
    return None


def _tool(job: Job, package: str) -> str:
    write_tokenizer(job.folder / "tokenizer")
    return str(VENVS / package / "bin" / package)


def _aiperf(job: Job) -> list[str]:
    load = job.load
    command = [_tool(job, "aiperf"), "profile", "--model", "bench", "--url", job.url, "--endpoint-type", "chat"]
    command += ["--streaming", "--tokenizer", str(job.folder / "tokenizer"), "--use-server-token-count"]
    command += ["--isl", str(PROMPT_TOKENS), "--osl", str(TOKENS), "--concurrency", str(load.streams)]
    command += ["--request-count", str(load.requests), "--workers-max", "1", "--record-processors", "1"]
    command += ["--no-gpu-telemetry", "--no-server-metrics", "--ui", "none", "--export-level", "records"]
    return [*command, "--artifact-dir", str(job.folder / "aiperf")]


def _aiperf_said(job: Job) -> Said:
    with (job.folder / "aiperf" / "profile_export.jsonl").open(encoding="utf-8") as lines:
        metrics = [json.loads(line)["metrics"] for line in lines]
    ttft = [float(one["time_to_first_token"]["value"]) for one in metrics]
    gaps = [gap for one in metrics for gap in one["inter_chunk_latency"]["value"]]
    return Said(ttft=dist(ttft), itl=dist(gaps))


def _guidellm(job: Job) -> list[str]:
    load = job.load
    tool = _tool(job, "guidellm")
    prompts = job.folder / "prompts.txt"
    lines = ("the " * (PROMPT_TOKENS - 1) + f"w{index % 1000}\n" for index in range(load.requests + load.streams))
    prompts.write_text("".join(lines), encoding="utf-8")
    backend = f"kind=openai_http,target={job.url},model=bench,validate_backend=false,max_tokens={TOKENS}"
    command = [tool, "run", "--backend", backend, "--profile", f"kind=concurrent,streams={load.streams}"]
    command += ["--constraint", f"kind=max_requests,count={load.requests}", "--disable-console"]
    command += ["--tokenizer", f"kind=huggingface_auto,model={job.folder / 'tokenizer'}"]
    return [*command, "--data", f"kind=text_file,path={prompts}", "--output", "kind=json,path=guidellm.json"]


def _guidellm_said(job: Job) -> Said:
    document: dict[str, Any] = json.loads((job.folder / "guidellm.json").read_bytes())
    requests = document["benchmarks"][0]["requests"]["successful"]
    ttft = [float(one["time_to_first_token_ms"]) for one in requests]
    itl = [float(one["inter_token_latency_ms"]) for one in requests]
    return Said(ttft=dist(ttft), itl=dist(itl), itl_of="means of requests")


def _inference_perf(job: Job) -> list[str]:
    load = job.load
    tool = _tool(job, "inference-perf")
    no_images = {"image": {"count": {"min": 0, "max": 0, "mean": 0}, "resolutions": {"width": 8, "height": 8}}}
    prompts = {  # its other sources of chat prompts cap replies at 30 tokens
        "num_groups": 1,
        "num_prompts_per_group": 32,
        "system_prompt_len": 8,
        "question_len": PROMPT_TOKENS - 8,
        "output_len": TOKENS,
        "multimodal": no_images,
    }
    config = {
        "api": {"type": "chat", "streaming": True},
        "data": {"type": "shared_prefix", "shared_prefix": prompts},
        "load": {
            "type": "concurrent",
            "num_workers": 1,
            "worker_max_concurrency": 10_000,
            "interval": 0,
            "base_seed": 7,
            "stages": [{"num_requests": load.requests, "concurrency_level": load.streams}],
        },
        "server": {"type": "vllm", "model_name": "bench", "base_url": job.url, "ignore_eos": True},
        "tokenizer": {"pretrained_model_name_or_path": str(job.folder / "tokenizer")},
        "storage": {"local_storage": {"path": str(job.folder / "report")}},
        "report": {"request_lifecycle": {"summary": True, "per_stage": False, "per_request": False}},
    }
    path = job.folder / "config.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    return [tool, "--config_file", str(path)]


def _inference_perf_said(job: Job) -> Said:
    document = json.loads((job.folder / "report" / "summary_lifecycle_metrics.json").read_bytes())
    count, latency = document["successes"]["count"], document["successes"]["latency"]
    return Said(
        ttft=_summary(latency["time_to_first_token"], count), itl=_summary(latency["inter_token_latency"], count)
    )


def _summary(given: dict[str, float] | None, count: int) -> Dist | None:
    if given is None:
        return None
    return Dist(n=count, mean_ms=given["mean"] * 1e3, p50_ms=given["median"] * 1e3, p99_ms=given["p99"] * 1e3)


def _genai_bench(job: Job) -> list[str]:
    load = job.load
    tool = _tool(job, "genai-bench")
    command = [tool, "benchmark", "--api-backend", "openai", "--api-base", job.url, "--api-key", "sim-key"]
    command += ["--task", "text-to-text", "--api-model-name", "bench", "--model", "bench"]
    command += ["--model-tokenizer", str(job.folder / "tokenizer"), "--num-concurrency", str(load.streams)]
    command += ["--traffic-scenario", f"D({PROMPT_TOKENS},{TOKENS})", "--max-time-per-run", str(_MINUTES)]
    command += ["--max-requests-per-run", str(load.requests), "--experiment-base-dir", str(job.folder)]
    return [*command, "--experiment-folder-name", "genai", "--log-dir", str(job.folder)]


def _genai_bench_said(job: Job) -> Said:
    (path,) = (job.folder / "genai").glob("D*.json")
    requests = json.loads(path.read_bytes())["individual_request_metrics"]
    ttft = [float(one["ttft"]) * 1e3 for one in requests if one["ttft"] is not None]
    itl = [float(one["tpot"]) * 1e3 for one in requests if one["tpot"] is not None]
    return Said(ttft=dist(ttft), itl=dist(itl), itl_of="means of requests")


RIVALS = (
    Rival("aiperf", (3, 10), _aiperf, _aiperf_said, lambda _job: {}),  # offline, it takes a folder for a name
    Rival(
        "guidellm", (3, 10), _guidellm, _guidellm_said, lambda _job: {**_OFFLINE, "GUIDELLM__MAX_WORKER_PROCESSES": "1"}
    ),
    Rival("inference-perf", (3, 12), _inference_perf, _inference_perf_said, lambda _job: _OFFLINE),
    Rival("genai-bench", (3, 10), _genai_bench, _genai_bench_said, lambda _job: _OFFLINE),
)
