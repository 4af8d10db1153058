"""The parts of the small S3 server of the tests; ``tests/support/s3_server.py`` starts it."""
