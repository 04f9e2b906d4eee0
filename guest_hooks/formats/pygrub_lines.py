# SPDX-License-Identifier: GPL-3.0-or-later
"""How pygrub cuts a line of a menu into words, and what of them it can't read.

Source: xen tools/pygrub/src/GrubConf.py, 4.17.
"""

from guest_hooks.errors import FormatError


def command_of(line: str) -> tuple[str, str]:
    """The first word of a line and the rest."""
    first, *rest = words_of(line, 1)
    return first, rest[0].strip() if rest else ""


def words_of(text: str, most: int) -> list[str]:
    """Words, cut `most` times: at `=` where one comes before the first blank, else at blanks."""
    blanks = [at for at in (text.find(" "), text.find("\t")) if at >= 0]
    equals = text.find("=")
    if equals >= 0 and (not blanks or equals < min(blanks)):
        return text.split("=", most)
    return text.split(None, most)


def default_number(value: str) -> int:
    """A default as pygrub takes it: what is no number is the first entry."""
    try:
        return int(value)
    except ValueError:
        return 0


def timeout(value: str, line: int) -> int:
    """Seconds; what is no number ends pygrub where a person could choose, which is how a host
    starts it.
    """
    try:
        return int(value)
    except ValueError:
        raise refused(line, f"the timeout {value!r} is no number") from None


def require_device(value: str, line: int) -> None:
    """Raise for a root that is not (hdN), (hdN,M), (hdN,msdosM), (hdN,gptM) or of /dev/xvdX:
    GRUB's names of Xen's disks, too.
    """
    disk, _, part = value.partition(",")
    disk, part = (word.replace("(", "").replace(")", "") for word in (disk, part))
    number = "0" if disk.startswith("/dev/xvd") and len(disk) > len("/dev/xvd") else disk[2:]
    kinds = ("msdos", "gpt")
    part = (
        next((part.removeprefix(kind) for kind in kinds if part.startswith(kind)), part)
        if "," in value
        else "0"
    )
    if value.count(",") > 1 or not _is_number(number) or not _is_number(part):
        raise refused(line, f"root is {value!r}")


def _is_number(value: str) -> bool:
    try:
        int(value)
    except ValueError:
        return False
    return True


def set_path(entry: dict[str, str], name: str, value: str, line: int) -> None:
    """Keep a kernel with its arguments, or an initrd, unless it is on a device that can't be
    read.
    """
    require_path(kernel_of(value)[0] if name == "kernel" else value, line)
    entry[name] = value


def require_path(value: str, line: int) -> None:
    """Raise for a path on a device that it can't read."""
    if value.startswith("("):
        if ")" not in value:
            raise refused(line, f"{value!r} has no closing parenthesis")
        require_device(value[: value.find(")")], line)


def kernel_of(value: str) -> tuple[str, str]:
    """The path of a kernel and its arguments; a tab alone does not part the two."""
    if " " not in value:
        return value, ""
    path, *arguments = value.split(None, 1)
    return path, "".join(arguments)


def without_device(value: str) -> str:
    """A path without the device before it, which pygrub drops."""
    return value[value.find(")") + 1 :] if value.startswith("(") else value


def refused(line: int, what: str) -> FormatError:
    """Why pygrub gives up at a line."""
    return FormatError("pygrub-syntax", f"pygrub gives up at line {line}: {what}")
