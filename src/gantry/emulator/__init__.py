"""``gantry emulator``: a server for tests, without patient data and without authentication."""
