"""Gates: has a metric become worse than it may, beyond noise? As rules, verdicts and files for CI."""
