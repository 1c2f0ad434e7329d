"""The interactive page: what was measured, compared, followed and started, in a browser (docs/dashboard.md)."""
