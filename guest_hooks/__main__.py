# SPDX-License-Identifier: GPL-3.0-or-later
"""`python3 -m guest_hooks`: the command line."""

import sys

from guest_hooks.cli import main

sys.exit(main())
