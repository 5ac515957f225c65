"""Signatures of releases: what is signed, by whom it may be, and why one is refused."""
