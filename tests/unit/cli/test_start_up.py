# SPDX-License-Identifier: GPL-3.0-or-later
"""What a verb imports: Python takes longer to load the whole program than most verbs to run."""

import subprocess
import sys

import pytest

from guest_hooks import cli
from guest_hooks.machine import fingerprint
from tests.support.checkout import CHECKOUT

LOADED = """
import contextlib, io, sys
from guest_hooks.cli import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main(sys.argv[1:])
print(*sorted(sys.modules))
"""
INTERRUPTED_WHILE_LOADING = """
import runpy, sys
_, script, module = sys.argv
class CtrlC:
    def find_spec(self, name, *_):
        if name == module:
            raise KeyboardInterrupt
sys.meta_path.insert(0, CtrlC())
sys.argv = [script, "status"]
runpy.run_path(script, run_name="__main__")
"""
USE_CASES = ("preflight.follow", "sync", "daemon", "hooks")
GRUB_CFG = ("formats.grub_script", "formats.grub_follow", "survey.menu_verdict")
SLOW = ("dataclasses", "elftools", "inspect", "logging", "shutil", "tomllib")
"""What Python takes milliseconds to load."""
BY_ARGPARSE = {"dataclasses", "inspect"} if sys.version_info >= (3, 14) else set()
"""What argparse loads for its colours, in whichever program."""
IMAGES = ("formats.bzimage", "formats.second_stage", "machine.service")


def loaded(*words: str) -> set[str]:
    """The modules that are there when a verb has run."""
    done = subprocess.run(
        # As scripts/xen-guest-bootloader is started, but for where the program is.
        [sys.executable, "-S", "-c", LOADED, *words],
        cwd=CHECKOUT,
        env={"PYTHONPATH": "/usr/lib/python3/dist-packages"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(done.stdout.split())


def test_the_version_needs_no_verb() -> None:
    assert "guest_hooks.cli.verbs" not in loaded("--version")


@pytest.mark.parametrize(
    "module",
    ["guest_hooks.cli", "guest_hooks.cli.verbs", "guest_hooks.report", "guest_hooks.survey.status"],
)
def test_ctrl_c_while_the_program_loads_shows_no_traceback(module: str) -> None:
    script = CHECKOUT / "scripts/xen-guest-bootloader"
    done = subprocess.run(
        [sys.executable, "-S", "-c", INTERRUPTED_WHILE_LOADING, script, module],
        env={"PYTHONPATH": f"{CHECKOUT}:/usr/lib/python3/dist-packages"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (cli.INTERRUPTED, "", "")


@pytest.mark.parametrize(
    ("words", "unneeded"),
    [
        pytest.param(["detect"], {*GRUB_CFG, *IMAGES, *USE_CASES}, id="detect"),
        pytest.param(["inspect", "/etc/hostname"], {*GRUB_CFG, *USE_CASES}, id="inspect"),
        pytest.param(["config"], {*GRUB_CFG, *IMAGES, *USE_CASES}, id="config"),
    ],
)
def test_a_verb_loads_no_use_case_but_its_own(words: list[str], unneeded: set[str]) -> None:
    found = {
        name
        for name in loaded(*words)
        for prefix in unneeded
        if name == f"guest_hooks.{prefix}" or name.startswith(f"guest_hooks.{prefix}.")
    }
    assert found == set()


@pytest.mark.parametrize(
    "words", [["--version"], ["detect"], ["config"], ["inspect", "/etc/hostname"]]
)
def test_what_is_slow_to_load_is_not(words: list[str]) -> None:
    assert loaded(*words) & ({*SLOW} - BY_ARGPARSE) == set()


@pytest.mark.parametrize(
    ("words", "path"),
    [
        pytest.param("sync", fingerprint.FINGERPRINT, id="configured"),
        pytest.param("sync --target a -q", f"{fingerprint.FINGERPRINT}.a", id="named"),
        pytest.param(
            "sync --target=b --target a --target=b", f"{fingerprint.FINGERPRINT}.a.b", id="two"
        ),
        pytest.param("sync --automatic", fingerprint.FINGERPRINT, id="automatic"),
        pytest.param("sync --target a --force", "", id="more-is-asked"),
        pytest.param("status --target a", "", id="another-verb"),
        pytest.param("sync --target ../a", "", id="a-path"),
        pytest.param("sync --target", "", id="no-name"),
        pytest.param("--target sync", "", id="sync-is-the-name"),
    ],
)
def test_a_command_line_is_answered_by_the_fingerprint_of_its_targets(
    words: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each set of targets was judged by itself."""
    asked: list[str] = []

    def differing(path: str) -> tuple[str, ...]:
        asked.append(path)
        return ()

    monkeypatch.setattr(fingerprint, "differing", differing)
    assert cli.main([*words.split(), "-q"]) == 0
    assert asked == [path]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param("sync --quiet --automatic --lock-timeout 300", id="the-service"),
        pytest.param("sync --lock-timeout=5", id="one-word"),
    ],
)
def test_an_audit_reads_what_the_fingerprint_says_is_unchanged(
    words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprint, "differing", lambda _path: ())
    monkeypatch.setattr("guest_hooks.cli.verbs.run", len)
    assert cli.main(words.split()) == len(words.split())


def test_an_interrupt_has_no_traceback_however_early(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_path: str) -> tuple[str, ...]:
        raise KeyboardInterrupt

    monkeypatch.setattr(fingerprint, "differing", interrupted)
    assert cli.main(["sync"]) == cli.INTERRUPTED
