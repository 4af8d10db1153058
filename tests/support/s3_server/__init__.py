"""A small, fast server that speaks S3, keeps everything in memory, and fails as it is told to.

``moto`` knows more of the protocol, but not every key (a line break has no route there), and it does not fail. Tests
that need one of both, and benchmarks, use this one; it runs in a process of its own (``python -m
tests.support.s3_server``). Requests are not authenticated.
"""
