# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest with kernels that GRUB can't unpack for PV, and their copies."""

from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from guest_hooks.config import Config
from guest_hooks.machine.boot_files import Memory
from guest_hooks.machine.root import Root
from guest_hooks.machine.settling import Settling
from guest_hooks.model import Guest, KernelStatus, Mode, Status
from guest_hooks.problems.row import State
from guest_hooks.survey import pv_kernels
from guest_hooks.survey.status import Survey
from guest_hooks.sync import kernel_copies
from guest_hooks.sync.result import Done
from tests.support import boot_tree, generated_menus, pv_menu
from tests.support.boot_tree import BootTree

PV = {"x86_64-xen": True}


@dataclass(slots=True)
class World:
    """A guest with kernels of several compressions, and its menu as update-grub makes it."""

    top: Path
    tree: BootTree = field(init=False)
    config: Config = field(default_factory=Config)

    def __post_init__(self) -> None:
        self.tree = BootTree(self.top)
        for release in boot_tree.RELEASES:
            self.install(release, "zstd")

    @property
    def root(self) -> Root:
        return Root(str(self.top))

    def install(self, release: str, compression: str) -> None:
        self.tree.write(f"boot/vmlinuz-{release}", boot_tree.kernel(release, compression))

    def copy(self, release: str) -> Path:
        return self.top / f"boot/xen/vmlinux-{release}.gz"

    def kernels(self, targets: dict[str, bool] | None = None) -> tuple[KernelStatus, ...]:
        wanted = PV if targets is None else targets
        return pv_kernels.survey(self.root, self.config, wanted, Memory(self.root))

    def survey(self, mode: Mode = Mode.PV) -> Survey:
        status = Status(
            guest=Guest(mode=mode, bits=64),
            boot=self.tree.boot,
            targets=(),
            grub_cfg=None,
            kernels=self.kernels(),
        )
        return Survey(config=self.config, targets=(), status=status)

    def renew(self) -> Done:
        settling = Settling(self.root)
        made = kernel_copies.renew(self.root, self.survey(), settling, step=nullcontext)
        settling.finish()
        return made

    def update_grub(self) -> None:
        path = self.top / "boot/grub/grub.cfg"
        text = generated_menus.text("bookworm-simple")
        path.write_bytes(pv_menu.rewritten(text, self.top / "boot", self.top / "output"))

    def default(self, number: str) -> None:
        self.tree.edit_menu('set default="0"', f'set default="{number}"')

    def states(self) -> dict[str, State | None]:
        return {
            kernel.version: kernel.copy.state if kernel.copy else None for kernel in self.kernels()
        }
