"""Transports: how scripts reach hosts. Loaded by name; importing this package costs nothing."""
