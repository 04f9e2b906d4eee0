# SPDX-License-Identifier: GPL-3.0-or-later
"""What `status` shows: whether the next boot works first, then what is out of date, the repairs,
and the guest.
"""

from collections.abc import Iterator

from guest_hooks.model import Start, State, Status, TargetStatus
from guest_hooks.preflight.result import Preflight
from guest_hooks.program import UNHOLD
from guest_hooks.records import dataclass
from guest_hooks.repairs import Hold, ServiceStatus
from guest_hooks.report import boot_chain, guest_text, problem_lines
from guest_hooks.report.layout import NO_BREAK, Kind, Span, Style, Text, plain, row
from guest_hooks.report.next_steps import Given
from guest_hooks.report.repair_text import repair_rows

COLUMN = 13
"""Where the text of each row begins."""
GAP = f"{NO_BREAK} "
"""Two blanks."""
_STATES = {
    State.CURRENT: Kind.GOOD,
    State.STALE: Kind.LOOK,
    State.FOREIGN: Kind.LOOK,
    State.UNKNOWN: Kind.LOOK,
}
_WAYS = {
    Start.ITSELF: "by itself",
    Start.COPY: "by its copy",
    Start.NOT: "not at all",
    Start.UNKNOWN: "not known",
}
_AS_ROOT = "look as root: sudo xen-guest-bootloader status"
_BY_STAGE1 = "by the host's GRUB, not by the second stage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All that the screen shows; `next_boot` is None where it could not be followed, `service`
    where a tree has none.

    `repair` says whether the configuration allows automatic repairs, `given` what the next steps
    have to be given, too; `now` is in seconds since the epoch.
    """

    status: Status
    next_boot: Preflight | None = None
    service: ServiceStatus | None = None
    hold: Hold | None = None
    repair: bool = True
    given: Given = Given()
    now: float


def status_screen(scene: Scene, style: Style) -> list[str]:
    """The whole screen; each message and each next step is shown once, in the first row that it
    belongs to.
    """
    shown: set[str] = set()
    lines = [*_next_boot(scene, style, shown), *state_rows(scene.status, style, shown)]
    if scene.service is not None or scene.hold is not None or not scene.repair:
        lines += repair_rows(
            scene.service,
            scene.hold,
            scene.now,
            style,
            repair=scene.repair,
            unhold=scene.given.step(UNHOLD),
        )
    return [*lines, *_last_boot(scene, style), *_guest(scene.status, style)]


def state_rows(status: Status, style: Style, shown: set[str]) -> list[str]:
    """The rows of the second stages and grub.cfg, with what is wrong with them and beside them;
    what is among `shown`, which grows, is left out.
    """
    lines = []
    for number, target in enumerate(status.targets):
        text = _target(target, is_one_of_many=len(status.targets) > 1)
        lines += row("" if number else "Second stage", text, style, column=COLUMN)
        lines += problem_lines.problems(target.problems, style, shown)
        lines += _files(target, style)
    if status.grub_cfg:
        menu = status.grub_cfg
        where = "" if menu.state is State.CURRENT and not style.verbose else f"{GAP}{menu.path}"
        lines += row("grub.cfg", (_state(menu.state), (where, Kind.PLAIN)), style, column=COLUMN)
        lines += problem_lines.problems(menu.problems, style, shown)
    lines += _kernels(status, style, shown)
    others = [*problem_lines.problems(status.problems, style, shown)]
    head = row("Also", plain("found:"), style, column=COLUMN) if others else []
    return [*lines, *head, *others]


def _kernels(status: Status, style: Style, shown: set[str]) -> list[str]:
    """How each kernel starts in each mode; without --verbose, where copies for PV are kept."""
    lines: list[str] = []
    for kernel in status.kernels if style.verbose or any(k.copy for k in status.kernels) else ():
        copy = kernel.copy
        ways = f"{kernel.version}: PV {_WAYS[kernel.pv]}, PVH {_WAYS[kernel.pvh]}"
        lines += row("" if lines else "Kernels", plain(ways), style, column=COLUMN)
        if copy and (style.verbose or copy.state is not State.CURRENT):
            text = (_state(copy.state), (f"{GAP}{copy.path}", Kind.PLAIN))
            lines += problem_lines.below("copy", text, style)
        lines += problem_lines.problems(kernel.problems, style, shown)
    return lines


def _next_boot(scene: Scene, style: Style, shown: set[str]) -> Iterator[str]:
    answer = scene.next_boot
    if answer is None:
        unknown: Text = (
            ("not known", Kind.LOOK),
            (": only root can follow it", Kind.PLAIN),
        )
        yield from row("Next boot", unknown, style, column=COLUMN)
        step = scene.given.step(_AS_ROOT)
        shown.add(step)
        yield from problem_lines.step(step, style)
        return
    text = boot_chain.headline(answer, needs_action=not scene.status.ok)
    yield from row("Next boot", text, style, column=COLUMN)
    first = boot_chain.leading(answer)
    known = {problem.message for target in scene.status.targets for problem in target.problems}
    shown |= {first.message} if first else set()
    if first:
        yield from problem_lines.finding(first, style, with_message=False, steps=shown)
    for found in (each for each in answer.findings if each.message not in shown):
        if found.stops or found.message not in known:
            shown.add(found.message)
            yield from problem_lines.finding(found, style, steps=shown)
    for item in answer.unknown if style.verbose else ():
        yield from problem_lines.below("unknown", plain(item), style)


def _target(target: TargetStatus, *, is_one_of_many: bool) -> Text:
    version = f" (GRUB {target.grub_version})" if target.grub_version else ""
    # What rollback put back says so below.
    is_configured = target.is_accepted and not target.problems
    accepted = ", accepted: accept_foreign = true" if is_configured else ""
    state = (f"{target.state}", Kind.GOOD) if target.is_accepted else _state(target.state)
    optional = "" if target.required or not is_one_of_many else ", optional"
    return state, (f"{GAP}{target.path}{version}{optional}{accepted}", Kind.PLAIN)


def _state(state: State) -> Span:
    return f"{state}", _STATES.get(state, Kind.BAD)


def _files(target: TargetStatus, style: Style) -> list[str]:
    if not style.verbose:
        return []
    rows = [
        problem_lines.below(
            "target",
            plain(f"{target.target}, {target.modules} modules, prefix {target.prefix or '-'}"),
            style,
        )
    ]
    rows += [
        problem_lines.below("file", plain(f"{f.path}  {f.state}  sha256 {f.sha256 or '-'}"), style)
        for f in target.files
    ]
    return [line for each in rows for line in each]


def _last_boot(scene: Scene, style: Style) -> list[str]:
    boot = scene.status.last_boot
    prefix = f", prefix {boot.prefix}" if style.verbose and boot.prefix else ""
    match boot.via:
        case "second-stage":
            text: Text = plain(f"by the second stage{prefix}")
        case "stage-1":
            text = ((f"{_BY_STAGE1}{prefix}", Kind.LOOK),)
        case _:
            return row(
                "Last boot",
                plain("by an unknown GRUB: the kernel's command line names none"),
                style,
                column=COLUMN,
            )
    return row("Last boot", text, style, column=COLUMN)


def _guest(status: Status, style: Style) -> list[str]:
    boot = status.boot
    where = f"; /boot on {boot.device} ({boot.fs_type})" if boot else ""
    lines = row("Guest", plain(f"{guest_text.summary(status.guest)}{where}"), style, column=COLUMN)
    if style.verbose:
        lines += [
            line
            for each in status.guest.evidence
            for line in problem_lines.below("evidence", plain(each), style)
        ]
        lines += (
            problem_lines.below("uuid", plain(boot.fs_uuid), style) if boot and boot.fs_uuid else []
        )
    return lines
