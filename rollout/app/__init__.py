"""The one place that wires: adapters to ports, the store to the loop, the loop to a command."""
