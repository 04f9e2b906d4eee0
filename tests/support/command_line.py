"""The program's command line, run in this process."""

import io
import json
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
