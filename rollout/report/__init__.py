"""Readers of the journal and sinks of the stream: they show, and never act."""
