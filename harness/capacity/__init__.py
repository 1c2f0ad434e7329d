"""How much: what this machine can measure, what a plan will use, what a target allows, what it can bear."""
