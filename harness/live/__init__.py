"""Figures of a run under way, as pages, tables and Prometheus show them."""
