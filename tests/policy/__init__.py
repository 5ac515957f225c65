"""Tests of what a pull request can do, and what it cannot."""
