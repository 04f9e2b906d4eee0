"""The units in a booted systemd."""
