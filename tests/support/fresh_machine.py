# SPDX-License-Identifier: GPL-3.0-or-later
"""A Debian machine on which nothing was installed yet, with the checkout cloned by its one
user, who may use sudo.
"""

import ast
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import apt_proxy, sources
from tests.support.checkout import CACHE, CHECKOUT
from tests.support.debian_tree import Kind, Suite, tarball, unpack

ENTER = Path(__file__).with_name("enter-machine")
USER, UID = "somebody", 1000
HOME = f"/home/{USER}"
CLONE = f"{HOME}/my projects/xen-guest-bootloader"
CERTIFICATES = "/etc/registry.crt"
DOWNLOADS = "/var/cache/downloads"
REACHING = (
    "index-url",
    "extra-index-url",
    "trusted-host",
    "cert",
    "proxy",
    "timeout",
    "default-timeout",
    "retries",
)
"""pip's settings that say how its registry is reached, and nothing of what is taken from it."""
TIMEOUT = 1800
# Nothing there starts a service: it would act on this machine's devices. What is installed need not
# outlive a power cut.
FILES = {
    "etc/sudoers.d/user": f"{USER} ALL=(ALL) NOPASSWD: ALL\n",
    "etc/hosts": "127.0.0.1 localhost fresh\n",
    "etc/hostname": "fresh\n",
    "etc/dpkg/dpkg.cfg.d/quick": "force-unsafe-io\n",
    "usr/sbin/policy-rc.d": "#!/bin/sh\nexit 101\n",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshMachine:
    """The machine whose root is `tree`; `downloads` is what it keeps for the next one, `tmp` its
    /tmp.
    """

    tree: Path
    downloads: Path
    tmp: Path

    def run(self, script: str, *, arguments: str = "") -> str:
        """What a shell script of the user's prints in the clone, both outputs together;
        AssertionError with it where it fails.

        `arguments` is what he passes to make's tests.
        """
        command = ["runuser", "--user", USER, "--", "/bin/sh", "-ec", f"cd '{CLONE}'\n{script}"]
        done = subprocess.run(
            [ENTER, self.tree, self.downloads, self.tmp, *command],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
            env={
                "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": HOME,
                "LANG": "C.UTF-8",
                "ARGS": arguments,
            },
        )
        assert done.returncode == 0, f"{script}\nexit code {done.returncode}\n{done.stdout[-8000:]}"
        return done.stdout


@contextmanager
def fresh_machine(suite: Suite, work: Path, packages: tuple[str, ...]) -> Iterator[FreshMachine]:
    """A machine of this release with minbase and `packages`; it is gone at the end, what it
    downloaded is kept in .cache.
    """
    # On the disk: with all that the tests need it takes gigabytes, of a tmpfs that all tests share.
    # Not so its /tmp: the unit tests wait for what they write there to reach the disk, and with it
    # for all that others write to the same one.
    tmp = work / "tmp"
    tmp.mkdir()
    tmp.chmod(0o1777)
    tree = Path(tempfile.mkdtemp(prefix="machine.", dir="/var/tmp"))
    tree.chmod(0o755)
    downloads = CACHE / "downloads"
    (downloads / "pip").mkdir(parents=True, exist_ok=True)
    os.chown(downloads / "pip", UID, UID)
    try:
        unpack(tarball(suite, Kind.BARE, extra=packages), tree)
        with apt_proxy.caching(downloads / "apt") as proxy:
            _prepare(tree, proxy)
            _clone(tree, work)
            yield FreshMachine(tree=tree, downloads=downloads, tmp=tmp)
    finally:
        shutil.rmtree(tree)


def _prepare(tree: Path, proxy: str) -> None:
    files = FILES | {
        "etc/passwd": (
            (tree / "etc/passwd").read_text() + f"{USER}:x:{UID}:{UID}::{HOME}:/bin/bash\n"
        ),
        "etc/shadow": (tree / "etc/shadow").read_text() + f"{USER}:*:20000:0:99999:7:::\n",
        "etc/group": (tree / "etc/group").read_text() + f"{USER}:x:{UID}:\n",
        "etc/apt/apt.conf.d/proxy": (
            f'Acquire::http::Proxy "{proxy}";\nAPT::Get::Assume-Yes "true";\n'
        ),
        "etc/pip.conf": _pip_configuration(tree),
    }
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    (tree / "usr/sbin/policy-rc.d").chmod(0o755)


def _pip_configuration(tree: Path) -> str:
    """How pip reaches its registry here, as a configuration for the tree."""
    said = subprocess.run(
        [CHECKOUT / ".venv/bin/pip", "config", "list"], check=True, capture_output=True, text=True
    ).stdout
    rows = [line.partition("=") for line in said.splitlines()]
    # The environment's come first, and count.
    settings = {
        key.rpartition(".")[2]: str(ast.literal_eval(value)) for key, _, value in reversed(rows)
    }
    if "cert" in settings:
        shutil.copyfile(settings["cert"], tree / CERTIFICATES.lstrip("/"))
        settings["cert"] = CERTIFICATES
    if "extra-index-url" in settings:
        settings["extra-index-url"] = " ".join(
            url for url in settings["extra-index-url"].split() if not url.startswith("file:")
        )
    lines = [f"{key} = {settings[key]}" for key in REACHING if settings.get(key)]
    return "\n".join(["[global]", f"cache-dir = {DOWNLOADS}/pip", *lines, ""])


def _clone(tree: Path, work: Path) -> None:
    """Clone the checkout as it is, with what is not committed yet."""
    directory = tree / CLONE[1:]
    (work / ".gitconfig").write_text("[safe]\n\tdirectory = *\n")
    subprocess.run(
        ["git", "clone", "--quiet", "--depth=1", f"file://{CHECKOUT}", directory],
        check=True,
        capture_output=True,
        env={"PATH": os.environ["PATH"], "HOME": str(work)},
    )
    for name in [
        path for path in directory.rglob("*") if path.is_file() and ".git" not in path.parts
    ]:
        name.unlink()
    sources.copy(directory)
    subprocess.run(["chown", "--recursive", f"{UID}:{UID}", tree / HOME[1:]], check=True)
