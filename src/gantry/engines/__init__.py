"""Batches of operations on a distributed engine: its workers run calls as those of the process pool do."""
