"""Fuzzes one surface, guided by what of the code it reaches: `python -m fuzz.one NAME [options of libFuzzer]`.

Needs atheris (`pip install tokenswarm[fuzz]`).
"""

from __future__ import annotations

import sys
import warnings

import atheris


def main() -> None:
    """Until its time is over, or something fails: then libFuzzer prints the input and its file."""
    name, *options = sys.argv[1:]
    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=["harness", "analysis", "yaml", "fuzz"], enable_loader_override=False):
        from fuzz.surfaces import SURFACES  # noqa: PLC0415
    command = f"{sys.executable} -m fuzz.one {name}"  # by which libFuzzer starts itself again where it merges
    atheris.Setup([command, *options], SURFACES[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
