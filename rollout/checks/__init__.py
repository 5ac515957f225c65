"""Checks: probes of one host over HTTP and TCP. Loaded by name; importing this package costs nothing."""
