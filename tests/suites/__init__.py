"""The frameworks' own test suites, with every application wrapped; see `python -m tests.suites`."""
