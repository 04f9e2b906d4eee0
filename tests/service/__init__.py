# SPDX-License-Identifier: GPL-3.0-or-later
"""The units in a booted systemd."""
