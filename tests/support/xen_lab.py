# SPDX-License-Identifier: GPL-3.0-or-later
"""Real Xen on a machine without virtualisation: guests run one after another under QEMU's own
emulation.

`boot([GuestRun(...), ...])` starts Xen and dom0 once, runs each guest from its disk, and returns
what each console said and how each run ended. Nothing waits without a bound, and a failed
expectation shows the console.
"""

import fcntl
import io
import re
import shlex
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from tests.support.xen_dom0 import Dom0, prepare

DOM0_MIB = 512
START_SECONDS = 120
"""For QEMU, Xen and dom0 to reach the scenario: 10 s on an idle machine of two cores."""

COPY_SECONDS = 90
"""For a copy of a small disk, and the wait before it."""

WAIT_SECONDS = 3600
"""For another lab on this machine to end."""

XEN_OPTIONS = (
    f"com1=115200,8n1 console=com1 dom0_mem={DOM0_MIB}M,max:{DOM0_MIB}M dom0_max_vcpus=1 noreboot "
    "loglvl=warning guest_loglvl=warning spec-ctrl=no cpufreq=none bootscrub=0"
)
"""Without what costs much under emulation and shows nothing: QEMU's memory is clean."""
QUICKLY = "mitigations=off init_on_alloc=0 cryptomgr.notests"
"""Linux's options of the same kind."""
DOM0_OPTIONS = f"console=hvc0 loglevel=4 quiet panic=1 {QUICKLY}"
# Under this emulation PVH guests die with SMAP ("SVM Insn len emulation failed") and RDTSCP, and
# with PKU, of a kernel of trixie's, their programs do when a signal's handler returns ("bad frame
# in rt_sigreturn"). A processor that waits by MWAIT is never idle.
CPU = "max,-smap,-rdtscp,-avx,-avx2,-pku,-monitor"


class Ends(StrEnum):
    """How a guest's run ended."""

    REACHED = "reached"
    """The console said what the run waited for; the domain was then destroyed, as a power cut
    would.
    """
    GONE = "gone"
    """The domain shut itself down."""
    CRASHED = "crashed"
    STOPPED = "stopped"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    """`xl` could not start it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """Copies of a running guest's disk: the domain is paused, what it gave to the disk is
    copied, and it runs on.

    Each is what `xl destroy` at that moment would leave. Every third waits until the guest says
    `aim` (an extended regular expression) again, the others for `every` seconds.
    """

    of: Path
    to: tuple[Path, ...]
    every: float
    aim: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestRun:
    """One start of one guest.

    `disk` is a raw image, written to as the guest writes; `data` a second one, read-only (xvdb),
    `more` further ones (xvdc and on). The run ends when a line of `until` (extended regular
    expressions) is on the console and `linger` seconds have passed, when the domain ends, or after
    `timeout` seconds; `copies` are made before it ends. `memory` is in MiB; `options` are further
    ones of xl's configuration.
    """

    name: str
    disk: Path
    type: str
    kernel: Path
    data: Path | None = None
    more: tuple[Path, ...] = ()
    memory: int = 256
    vcpus: int = 1
    options: dict[str, object] = field(default_factory=dict)
    until: tuple[str, ...] = ()
    linger: float = 0
    copies: Copies | None = None
    timeout: int = 60
    ends: Ends = Ends.REACHED


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """What one guest said, and how its run ended; `lab` is Xen's and dom0's own console."""

    name: str
    text: str
    ends: Ends
    lab: str

    def expect(self, *patterns: str) -> "Console":
        """Require `patterns` (regular expressions) on the console in this order; a failure
        shows the console.
        """
        position = 0
        for pattern in patterns:
            found = re.compile(pattern).search(self.text, position)
            assert found, (
                f"guest {self.name} ({self.ends}) never said {pattern!r} after byte"
                f" {position}:\n{self._shown()}"
            )
            position = found.end()
        return self

    def never(self, *patterns: str) -> "Console":
        """Require that none of `patterns` is on the console."""
        for pattern in patterns:
            assert not re.search(pattern, self.text), (
                f"guest {self.name} said {pattern!r}:\n{self._shown()}"
            )
        return self

    def _shown(self) -> str:
        return (
            f"--- guest {self.name} ---\n{self.text[-6000:]}\n--- Xen and dom0"
            f" ---\n{self.lab[-3000:]}"
        )


def boot(
    runs: Sequence[GuestRun], *, dom0: Dom0 | None = None, memory: int | None = None
) -> dict[str, Console]:
    """Run the guests one after another in one start of Xen; every run must end as its `ends` says.

    `memory` is QEMU's in MiB; by default what dom0 and the largest guest need.
    """
    dom0 = dom0 or prepare()
    memory = memory or max(run.memory for run in runs) + DOM0_MIB + 384
    copies = [path for run in runs if run.copies for path in run.copies.to]
    disks = list(
        dict.fromkeys(
            disk for run in runs for disk in (run.disk, run.data, *run.more, *copies) if disk
        )
    )
    with _alone(), tempfile.TemporaryDirectory(prefix="xen-lab-") as directory:
        work = Path(directory)
        scenario = work / "scenario.tar"
        scenario.write_bytes(_scenario(runs, disks))
        logs = (work / "dom0.log", work / "guests.log")
        limit = (
            START_SECONDS
            + sum(run.timeout + run.linger + 10 for run in runs)
            + COPY_SECONDS * len(copies)
        )
        ended = _qemu(dom0, memory, [scenario, *disks], logs, limit)
        lab, guests = (
            log.read_bytes().decode(errors="replace") if log.exists() else "" for log in logs
        )
    consoles = _consoles(guests, lab)
    shown = f"--- guests ---\n{guests[-4000:]}\n--- Xen and dom0 ---\n{lab[-4000:]}"
    assert ended, f"the lab did not end within {limit:.0f} s:\n{shown}"
    for run in runs:
        assert run.name in consoles, f"guest {run.name} did not run:\n{shown}"
        console = consoles[run.name]
        assert console.ends is run.ends, (
            f"guest {run.name} ended as {console.ends}, not {run.ends}:\n{console._shown()}"
        )
    return consoles


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other lab runs on this machine: two on two cores starve each other past
    every bound.
    """
    with (Path(tempfile.gettempdir()) / "xen-lab.lock").open("w") as lock:
        end = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                assert time.monotonic() < end, f"another lab has been running for {WAIT_SECONDS} s"
                time.sleep(1)
        yield


def _scenario(runs: Sequence[GuestRun], disks: Sequence[Path]) -> bytes:
    files = {"order": "".join(f"{run.name}\n" for run in runs)}
    kernels = {
        kernel: f"kernel-{number}"
        for number, kernel in enumerate(dict.fromkeys(run.kernel for run in runs))
    }
    for run in runs:
        attached = [f"phy:{_device(disks.index(run.disk))},xvda,w"]
        if run.data:
            attached.append(f"phy:{_device(disks.index(run.data))},xvdb,r")
        attached += [
            f"phy:{_device(disks.index(disk))},xvd{letter},w"
            for letter, disk in zip("cdef", run.more, strict=False)
        ]
        settings = {
            "name": run.name,
            "type": run.type,
            "kernel": f"/scenario/{kernels[run.kernel]}",
            "memory": run.memory,
            "vcpus": run.vcpus,
            "disk": attached,
            "on_crash": "preserve",
            "on_reboot": "destroy",
            "on_poweroff": "destroy",
        } | run.options
        files[f"{run.name}/cfg"] = "".join(f"{key}={value!r}\n" for key, value in settings.items())
        files[f"{run.name}/settings"] = (
            f"timeout={run.timeout}\nlinger={shlex.quote(str(run.linger))}\n"
        )
        if run.copies:
            targets = " ".join(_device(disks.index(path)) for path in run.copies.to)
            source = _device(disks.index(run.copies.of))
            files[f"{run.name}/settings"] += (
                f"copied={source}\ncopies='{targets}'\nevery={run.copies.every}\n"
            )
            files[f"{run.name}/settings"] += f"aim={shlex.quote(run.copies.aim)}\n"
        files[f"{run.name}/until"] = "".join(f"{pattern}\n" for pattern in run.until)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            _add(tar, name, text.encode())
        for kernel, name in kernels.items():
            _add(tar, name, kernel.read_bytes())
    return buffer.getvalue().ljust(-(-len(buffer.getvalue()) // 4096) * 4096, b"\0")


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def _device(number: int) -> str:
    return f"/dev/vd{chr(ord('b') + number)}"


def _qemu(
    dom0: Dom0, memory: int, disks: Sequence[Path], logs: tuple[Path, Path], limit: float
) -> bool:
    """Run the lab's machine to its end; False where it took longer than `limit` seconds."""
    command = [
        "qemu-system-x86_64",
        "-accel",
        "tcg",
        "-machine",
        "q35",
        "-cpu",
        CPU,
        "-smp",
        "2",
        "-m",
        str(memory),
    ]
    command += ["-net", "none", "-display", "none", "-no-reboot", "-nodefaults"]
    command += ["-kernel", str(dom0.hypervisor), "-append", XEN_OPTIONS]
    command += ["-initrd", f"{dom0.kernel} {DOM0_OPTIONS},{dom0.initramfs}"]
    for log in logs:
        command += ["-serial", f"file:{log}"]
    for disk in disks:
        command += ["-drive", f"file={disk},format=raw,if=virtio,cache=unsafe"]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as machine:
        end = time.monotonic() + limit
        try:
            while machine.poll() is None and time.monotonic() < end:
                time.sleep(0.1)
        finally:
            in_time = machine.poll() is not None
            machine.kill()
        said = machine.stdout.read().decode(errors="replace") if machine.stdout else ""
    assert not said.strip() or not in_time or machine.returncode == 0, f"QEMU: {said}"
    return in_time


def _consoles(guests: str, lab: str) -> dict[str, Console]:
    blocks = re.finditer(r"LAB-BEGIN (\S+)\n(.*?)(?:\nLAB-END \1 (\S+)\n|\Z)", guests, re.DOTALL)
    return {
        name: Console(name=name, text=text.replace("\r", ""), ends=Ends(ends or "timeout"), lab=lab)
        for name, text, ends in (block.groups() for block in blocks)
    }
