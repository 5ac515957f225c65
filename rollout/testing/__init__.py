"""Public: what tests rollout without the outside, and the suites that both must pass."""
