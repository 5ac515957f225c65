"""Secrets: from a reference to a value that is nowhere but where it is sent."""
