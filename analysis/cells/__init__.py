"""What else is told of a cell: tokens, lengths, turns, the making of its load, and how it came back from faults."""
