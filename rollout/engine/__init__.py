"""The engine: pure functions over an immutable state. No clock, thread, socket, file or random."""
