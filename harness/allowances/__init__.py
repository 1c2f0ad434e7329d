"""Leave to send: pace, limits that all workers share, and budgets."""
