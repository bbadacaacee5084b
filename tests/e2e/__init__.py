"""Tests against real servers and browsers, run by `make e2e`."""
