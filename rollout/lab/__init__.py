"""Local fleets to try things on: real sshd processes and a real HAProxy on loopback, a demo app, a load."""
