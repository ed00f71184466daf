"""What passes between rooms: record types, their Arrow schemas, drop reasons and dataset specs.

Imports neither torch nor Prefect, so a notebook can read a build with pandas alone.
"""
