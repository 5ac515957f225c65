"""Playbooks: YAML with line marks, strict templates, and the play that comes of them.

``load.load`` and ``load.validate`` are the doors; nothing heavy is imported before they are used.
"""
