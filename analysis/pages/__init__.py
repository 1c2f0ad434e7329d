"""Self-contained HTML pages beside `analysis/report.py`: a recommendation, a history."""
