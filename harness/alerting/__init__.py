"""What becomes of an alert of `harness/alerts.py`: its log, what people did, and whom it is told to."""
