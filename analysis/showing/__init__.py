"""How figures are worded, tabulated and drawn, in the terminal and on pages alike."""
