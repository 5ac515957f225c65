"""Ansible inventories: files, group_vars and host_vars, patterns, and how a host is reached."""

from __future__ import annotations

from rollout.inventory.fleet import Inventory, InventoryHost, Place
from rollout.inventory.load import load_inventory
from rollout.inventory.patterns import PatternError

__all__ = ["Inventory", "InventoryHost", "PatternError", "Place", "load_inventory"]
