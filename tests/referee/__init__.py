"""The referee: a process that sees what is so while rollouts run, and rules that its log is held to afterwards.

It knows nothing of rollout but addresses: what it sees of balancers, hosts, processes and users is true whatever
rollout believes. ``python -m tests.referee LAB.json LOG`` watches, ``python -m tests.referee.check LOG`` judges.
"""
