# SPDX-License-Identifier: GPL-3.0-or-later
"""What was built against what the survey found: every file and directory that a run replaces or
removes, computed once. Pure.
"""

from collections.abc import Iterator, Mapping, Sequence

from guest_hooks.formats import pvh_bridge
from guest_hooks.formats.digests import sha256
from guest_hooks.model import Change, Reason, TargetStatus, Why
from guest_hooks.problems.second_stage import SecondStageProblem
from guest_hooks.records import dataclass, field
from guest_hooks.survey.evidence import is_from_package
from guest_hooks.survey.plan import FileKind
from guest_hooks.sync.build import Built

UNWANTED = SecondStageProblem.BRIDGE_UNWANTED
NOT_READ = frozenset({"core.elf", "load.cfg"})
"""What grub-install leaves in /boot/grub/<target> and GRUB never reads there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """`files` are to be put in place, by path; `directories` are those whose module directory is
    to be exchanged; `not_read` are files of other module directories, which GRUB does not read;
    `unwanted` are files to be removed. `changes` says all of it, and why.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    not_read: Mapping[str, bytes] = field(default_factory=dict)
    directories: tuple[Built, ...] = ()
    unwanted: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()


def of(built: Sequence[Built]) -> Delta:
    """How all of `built` differs from what the survey found in its places."""
    files = {path: data for each in built for path, data in _differing(each)}
    differing = [(each, names) for each in built if (names := _differing_names(each))]
    directories = tuple(each for each, names in differing if not names <= NOT_READ)
    unwanted = {path: before for each in built for path, before in _unwanted(each)}
    return Delta(
        files=files,
        not_read={
            f"{each.plan.target.grub_dir}/{name}": (each.module_files or {})[name]
            for each, names in differing
            for name in names
            if names <= NOT_READ
        },
        directories=directories,
        unwanted=tuple(unwanted),
        changes=(
            *(change for each in built for change in _file_changes(each)),
            *(_directory_change(each) for each, _ in differing),
            *(
                Change(path=path, before=before, after="", why=(UNWANTED,))
                for path, before in unwanted.items()
            ),
        ),
    )


def reasons(status: TargetStatus) -> tuple[Why, ...]:
    """Why a target is written: the codes of its problems, each once."""
    codes = dict.fromkeys(problem.code for problem in status.problems)
    codes.pop(SecondStageProblem.KEPT, None)
    return tuple(codes) or (Reason.FORCED,)


def _differing_names(built: Built) -> set[str]:
    """The files of /boot/grub/<target> that are not as they were built, or lacking, or too many."""
    made = built.module_files
    if made is None:
        return set()
    standing = built.there.evidence.standing.files
    there = {name for name in standing if is_from_package(name)}
    return {name for name in there | made.keys() if standing.get(name) != made.get(name)}


def _differing(built: Built) -> Iterator[tuple[str, bytes]]:
    found = built.there.evidence.found
    return ((path, data) for path, data in built.files.items() if found[path].data != data)


def _file_changes(built: Built) -> Iterator[Change]:
    """What replacing the files of `built` changes, with the problems that led to it."""
    for path, data in _differing(built):
        before = built.there.evidence.found[path].sha256
        why = reasons(built.there.status)
        yield Change(path=path, before=before, after=sha256(data), why=why)


def _directory_change(built: Built) -> Change:
    """The change of a module directory, which its core image stands for."""
    return Change(
        path=f"{built.there.plan.target.grub_dir}/core.elf",
        before=built.there.evidence.module_dir.core_sha256,
        after=sha256(built.core),
        why=reasons(built.there.status),
    )


def _unwanted(built: Built) -> Iterator[tuple[str, str]]:
    """The bridges that stand where the configuration wants none, and their hashes."""
    if built.module_files is None:
        return
    for file in built.there.plan.files:
        found = built.there.evidence.found[file.path]
        if (
            file.kind is FileKind.UNWANTED
            and found.data is not None
            and pvh_bridge.is_bridge(found.data)
        ):
            yield file.path, found.sha256
