"""What is measured, against whom; each module is the command that repeats it: ``python -m benchmarks.<name>``."""
