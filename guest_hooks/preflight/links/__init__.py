# SPDX-License-Identifier: GPL-3.0-or-later
"""The links of the chain that a boot goes through: a module each."""
