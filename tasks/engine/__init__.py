"""How a stage runs: partitions, parts, journals, pools and the streaming schedule.

A stage is a function of its input rows and its settings. Its result for one partition is a *part*,
a Parquet table named by a hash of both; what exists is not done again.
"""
