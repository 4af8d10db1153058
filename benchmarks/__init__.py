"""Benchmarks of Gantry against the machine it runs on: ``python -m benchmarks import|export|growth``.

Ratios are taken within a round, where the copy and the operation are measured one after the other. On virtual disks
the same copy can take several times as long a second later; ``base_spread`` (fastest copy over slowest) shows whether
a run can be believed.
"""
