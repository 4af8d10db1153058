"""The small Cloud Storage of the tests: the JSON API on top of the parts of ``tests/support/s3``."""
