"""The parts of one attempt, which `harness/exchange.py` puts together: what is sent, and what came back."""
