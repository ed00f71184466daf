"""Which model of a workspace is in use: put there by a rule or by hand, taken back, and why."""
