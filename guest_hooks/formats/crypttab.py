# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of crypttab(5)."""

from guest_hooks.records import dataclass

_ELSEWHERE = ("tpm2-", "fido2-", "pkcs11-", "keyscript", "plain", "swap", "tmp", "try-empty")
"""Options by which a key comes from elsewhere, or is made for one boot."""
_LATER = frozenset(("noauto", "nofail"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Crypt:
    """One line: `name` below /dev/mapper, the encrypted `device`, the file of its `key` (empty for
    none) and `options`.
    """

    name: str
    device: str
    key: str
    options: tuple[str, ...]

    @property
    def asks_for_a_passphrase(self) -> bool:
        """Whether the boot waits until somebody types one."""
        return (
            not self.key
            and _LATER.isdisjoint(self.options)
            and not any(option.startswith(_ELSEWHERE) for option in self.options)
        )


def parse(text: str) -> tuple[Crypt, ...]:
    """The lines of a crypttab, in their order."""
    rows = (line.split() for line in text.splitlines() if not line.lstrip().startswith("#"))
    return tuple(_crypt(*fields[:4]) for fields in rows if len(fields) > 1)


def _crypt(name: str, device: str, key: str = "", options: str = "") -> Crypt:
    none = key in ("none", "-")
    given = tuple(options.split(",")) if options else ()
    return Crypt(name=name, device=device, key="" if none else key, options=given)
