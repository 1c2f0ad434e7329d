"""Live statistics: windows, baselines, degradation and service levels while samples come in."""
