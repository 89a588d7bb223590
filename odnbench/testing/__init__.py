"""Contracts: what an entry of each family of the registry must do, tried out on tiny inputs.

    from odnbench.testing import check_entry

    def test_the_gate_fits_its_slot():
        check_entry(Registry.load(), "modules", "channel-gate")

Nothing here needs a test framework. `odnbench registry check` runs the same contracts.
"""

from odnbench.testing.contracts import Finding, check_added, check_entry, check_registry

__all__ = ["Finding", "check_added", "check_entry", "check_registry"]
