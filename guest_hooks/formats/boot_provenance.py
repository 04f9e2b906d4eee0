"""TEMPORARY."""

from guest_hooks.model import LastBoot


def read(cmdline: str) -> LastBoot:
    """X."""
    return LastBoot()
