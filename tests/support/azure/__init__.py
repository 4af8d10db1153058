"""Blob Storage on the server of ``tests.support.s3``: its store, faults and connections with other requests."""
