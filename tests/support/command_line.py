# SPDX-License-Identifier: GPL-3.0-or-later
"""The program's command line: run in this process, or on a terminal."""

import io
import json
import os
import pty
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from guest_hooks import cli


class Run:
    """One run of the program in this process, and what it left."""

    def __init__(self, *words: str) -> None:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            try:
                self.code = cli.main(list(words))
            except SystemExit as end:  # argparse's own way out of --help and --version
                self.code = int(end.code or 0)
        self.stdout, self.stderr = out.getvalue(), err.getvalue()

    @property
    def json(self) -> dict[str, Any]:
        """The one object on standard output."""
        table = json.loads(self.stdout)
        assert isinstance(table, dict)
        assert self.stdout.count("\n") == 1
        return table


def on_terminal(command: Sequence[str], *, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """The exit code of `command`, and what it wrote to the terminal that it was run on."""
    primary, secondary = pty.openpty()
    try:
        with subprocess.Popen(
            command, stdin=secondary, stdout=secondary, stderr=secondary, env=env
        ) as process:
            os.close(secondary)
            text = b""
            while True:
                try:
                    data = os.read(primary, 65536)
                except OSError:  # the other end is closed
                    break
                text += data
            return process.wait(120), text.decode()
    finally:
        os.close(primary)
