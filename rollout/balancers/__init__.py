"""Adapters for load balancers, loaded when a play names them."""
