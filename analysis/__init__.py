"""Everything that turns Locust CSV and samples into numbers, comparisons and pictures."""
