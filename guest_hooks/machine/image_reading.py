# SPDX-License-Identifier: GPL-3.0-or-later
"""What a kernel or an initrd on this machine is, read from the file now."""

import hashlib
import os
from typing import Any

from guest_hooks.boot_images import IRREGULAR, InitrdFacts, KernelFacts
from guest_hooks.errors import FormatError
from guest_hooks.formats import bzimage, initrd, kernel_config, pv_kernel
from guest_hooks.machine.dpkg import kernel_packages
from guest_hooks.machine.root import NotRegularError, Root
from guest_hooks.problems.images import FileProblem, ImageProblem
from guest_hooks.sizes import MAX_IMAGE

MAX_SUMS = 4 << 20
MAX_CONFIG = 2 << 20
DPKG_INFO = "/var/lib/dpkg/info"
NOTE_OPTIONS = frozenset({"XEN", "XEN_PV", "PVH"})
"""These decide which notes a kernel has: arch/x86/{xen/xen-head.S,platform/pvh/head.S}."""


def read_kernel(root: Root, path: str) -> KernelFacts:
    """The facts of the kernel file `path`, read now; a file that is no whole kernel is a fact
    too.
    """
    data = b""
    try:
        data = root.read(path, limit=MAX_IMAGE)
        image = bzimage.parse(data)
    except FormatError as error:
        return KernelFacts(
            fault=str(error.code),
            cause=error.message,
            is_empty=not data,
            source=pv_kernel.source(data),
        )
    except (OSError, NotRegularError) as error:
        return KernelFacts(**_not_read(path, error))
    facts: dict[str, Any] = {
        "is_bzimage": image.format is bzimage.ImageFormat.BZIMAGE,
        "loads_high": image.loads_high,
        "protocol": image.protocol,
        "bits": image.bits,
        "compression": str(image.compression),
        "release": image.release,
        "sha256": hashlib.sha256(data).hexdigest() if pv_kernel.is_needed(image) else "",
        "source": pv_kernel.source(data),
    }
    if image.is_truncated:
        cause = f"the file has {image.size} bytes and must have {image.needed_size}"
        facts |= {"fault": str(ImageProblem.TRUNCATED), "cause": cause}
    else:
        facts |= _inside(root, path, data, image)
    return KernelFacts(**facts)


def _inside(root: Root, path: str, data: bytes, image: bzimage.Image) -> dict[str, Any]:
    """What is in the kernel: by the package's word where these are its bytes, else by unpacking
    it.
    """
    is_verified = _is_packaged(root, path, image.release, data)
    told = _notes_by_config(root, path, image.release) if is_verified else None
    if told is not None:
        return told | {"is_verified": True}
    try:
        notes = bzimage.notes(data, image, to_the_end=not is_verified)
    except FormatError as error:
        words = {"unread": error.message, "hint": error.hint}
        faults = {"fault": str(error.code), "cause": error.message}
        more = (
            words
            if error.code
            in (
                FileProblem.CANNOT_LOOK_INSIDE,
                FileProblem.NO_PAYLOAD,
                FileProblem.UNKNOWN_COMPRESSION,
            )
            else faults
        )
        return more | {"is_verified": is_verified}
    loader = notes.value("LOADER")
    return {
        "is_verified": is_verified,
        "bits": notes.bits,
        "release": image.release or notes.release,
        "has_notes": bool(notes.xen),
        "has_entry": notes.value("ENTRY") is not None,
        "has_phys32_entry": notes.value("PHYS32_ENTRY") is not None,
        "loader": (loader or b"").rstrip(b"\0").decode(errors="replace"),
    }


def read_initrd(root: Root, path: str) -> InitrdFacts:
    """The facts of the initrd file `path`, read from it now."""
    try:
        data = root.read(path, limit=MAX_IMAGE)
        found = initrd.read(data)
    except FormatError as error:
        if error.code == FileProblem.CANNOT_LOOK_INSIDE:
            return InitrdFacts(unread=error.message, hint=error.hint)
        return InitrdFacts(fault=str(error.code), cause=error.message)
    except (OSError, NotRegularError) as error:
        return InitrdFacts(**_not_read(path, error))
    return InitrdFacts(
        fault="" if found.is_complete else "truncated",
        cause="" if found.is_complete else "its last archive has no end",
        compression=str(found.compressions[-1]),
        kernels=found.kernels,
        modules=tuple(sorted(found.modules)),
        programs=tuple(sorted(found.programs)),
        size=len(data),
        unpacked=found.unpacked,
        is_by_dracut=found.is_by_dracut,
        names_root=found.names_root,
    )


def _not_read(path: str, error: OSError | NotRegularError) -> dict[str, Any]:
    """What is known of a file that could not be read, as fields of its facts."""
    if isinstance(error, PermissionError):
        return {"unread": f"no permission to read {path}", "hint": "run as root"}
    fault = IRREGULAR if isinstance(error, NotRegularError) else "unreadable"
    return {"fault": fault, "cause": str(error)}


def _notes_by_config(root: Root, path: str, release: str) -> dict[str, Any] | None:
    """The notes of a kernel whose bytes are the package's, told by the package's configuration;
    None where that is not there.
    """
    name = f"{os.path.dirname(root.resolve(path))}/config-{release}"
    data = root.content(name, limit=MAX_CONFIG)
    if data is None or not _is_packaged(root, name, release, data):
        return None
    options = kernel_config.parse(data.decode(errors="replace"), NOTE_OPTIONS)
    has_notes = options.get("XEN") == "y"
    return {
        "has_notes": has_notes,
        "has_entry": options.get("XEN_PV") == "y",
        "has_phys32_entry": options.get("PVH") == "y",
        "loader": "generic" if has_notes else "",
    }


def _is_packaged(root: Root, path: str, release: str, data: bytes) -> bool:
    """Whether dpkg has these bytes on record: in the kernel's package, or, since forky, in those
    from which that copies them to /boot.
    """
    if not release or "/" in release:
        return False
    name = os.path.basename(root.resolve(path))
    places = (f"boot/{name}", f"usr/lib/modules/{release}/{name.removesuffix(f'-{release}')}")
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    lists = (f"{DPKG_INFO}/{package}.md5sums" for package in kernel_packages(root, release))
    found = (root.read_text(path, limit=MAX_SUMS) or "" for path in lists)
    return any(f"{digest}  {place}\n" in sums for sums in found for place in places)
