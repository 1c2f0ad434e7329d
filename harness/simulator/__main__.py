"""`python -m harness.simulator [CONFIG] [--host H] [--port P] [--truth FILE] [--outages SECONDS]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from harness.errors import UsageFault
from harness.simulator.config import load_config
from harness.simulator.outages import outages_of
from harness.simulator.serve import DEFAULT_HOST, DEFAULT_PORT, serve


def main() -> int:
    """Run the simulator until SIGTERM or SIGINT; 2 when its configuration or its port will not do."""
    parser = argparse.ArgumentParser(prog="python -m harness.simulator", description="Simulated LLM providers.")
    parser.add_argument("config", nargs="?", type=Path, help="YAML file; without it the built-in providers")
    parser.add_argument("--host", default=DEFAULT_HOST)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 takes a free one")
    parser.add_argument("--truth", type=Path, help="JSON lines are appended here, one a request")
    parser.add_argument("--outages", type=float, metavar="SECONDS", help="print the outages of so long, and end")
    given = parser.parse_args()
    try:
        if given.outages is not None:
            for outage in outages_of(load_config(given.config), given.outages):
                print(msgspec.json.encode(outage).decode())  # noqa: T201
            return 0
        serve(given.config, given.host, given.port, given.truth)
    except UsageFault as fault:
        print(f"error: {fault.message}\nhint: {fault.hint}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
