"""The table of faults: what can befall a rollout, how it must end, and which tests do it for real."""
