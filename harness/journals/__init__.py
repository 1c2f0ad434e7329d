"""What was recorded, on its way: shipped by a relay, collected, followed while it grows, merged."""
