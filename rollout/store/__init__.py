"""The journal, the leases and the history: SQLite, durable before anything is done.

``store.open_store`` opens it, ``place.state_url`` says where it is.
"""
