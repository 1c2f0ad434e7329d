"""Everything that makes load and records what happened. Layers: see docs/map.md."""

__version__ = "0.1.0"
