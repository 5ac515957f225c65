"""Values on the ground floor: frozen, plain, and knowing nobody."""
