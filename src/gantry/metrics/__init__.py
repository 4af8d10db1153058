"""What ``/metrics`` tells of a server: see docs/howto/metrics.md."""
