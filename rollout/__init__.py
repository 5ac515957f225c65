"""Roll out releases to fleets of VMs over SSH, without users noticing."""

__version__ = "0.1.0"
