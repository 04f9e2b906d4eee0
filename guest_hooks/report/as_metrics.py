# SPDX-License-Identifier: GPL-3.0-or-later
"""A status as metrics, in the text format that Prometheus' node exporter reads from its
textfile directory.

Source: Prometheus, "Exposition formats"; a state is shown as OpenMetrics' StateSet is: one series
for each, 1 for the one it is in.
"""

from collections import Counter
from collections.abc import Iterator, Mapping

from guest_hooks.model import Severity, Start, State, Status
from guest_hooks.records import dataclass
from guest_hooks.repairs import ServiceStatus
from guest_hooks.survey.outlook import Outlook

PREFIX = "xen_guest_bootloader"
_Series = tuple[Mapping[str, str], int]
"""Labels and the value for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Metric:
    """One gauge: a value for each set of labels."""

    name: str
    help: str
    series: tuple[_Series, ...]


def text(outlook: Outlook, service: ServiceStatus | None = None, held: bool | None = None) -> str:
    """The lines of one status; what was not looked at (the service, the next boot, whether
    automatic repairs are `held`) has no series.
    """
    next_boot = outlook.next_boot
    metrics = (
        *_gauge(
            "ok",
            "Whether nothing is left to do and the next boot works as far as known: exit code 0.",
            outlook.ok,
        ),
        *_verdicts(outlook.status),
        *_gauge(
            "booted_by_second_stage",
            "Whether this boot is known to have come by the guest's own second stage.",
            outlook.status.last_boot.via == "second-stage",
        ),
        *_gauge(
            "service_running",
            "Whether the repair service runs.",
            service.running if service else None,
        ),
        *_gauge(
            "next_boot_ok",
            "Whether preflight found nothing in the way of the next boot.",
            next_boot.ok if next_boot and (next_boot.is_followed or not next_boot.ok) else None,
        ),
        *_gauge("repair_held", "Whether automatic repairs are on hold or turned off.", held),
    )
    return "".join(f"{line}\n" for metric in metrics for line in _lines(metric))


def _verdicts(status: Status) -> Iterator[_Metric]:
    """What was found of each file: a series for each state that it can have."""
    yield _Metric(
        name="second_stage_state",
        help="The verdict on the second stage of a target.",
        series=tuple(_second_stages(status)),
    )
    yield _Metric(
        name="grub_cfg_state", help="The verdict on grub.cfg.", series=tuple(_menu(status))
    )
    yield _Metric(
        name="kernel_start",
        help="How GRUB starts a kernel in a mode: the file itself, its copy for PV, or not.",
        series=tuple(_kernels(status)),
    )
    menus = (status.grub_cfg,) if status.grub_cfg else ()
    judged = (status, *status.targets, *menus, *status.kernels)
    found = Counter(problem.severity for each in judged for problem in each.problems)
    yield _Metric(
        name="problems",
        help="How many problems status tells.",
        series=tuple(({"severity": str(kind)}, found[kind]) for kind in Severity),
    )


def _second_stages(status: Status) -> Iterator[_Series]:
    for target in status.targets:
        of = {"target": target.target, "required": str(target.required).lower()}
        for state in State:
            yield {**of, "state": str(state)}, int(target.state is state)


def _menu(status: Status) -> Iterator[_Series]:
    for state in State:
        if status.grub_cfg and state is not State.FOREIGN:
            yield {"state": str(state)}, int(status.grub_cfg.state is state)


def _kernels(status: Status) -> Iterator[_Series]:
    for kernel in status.kernels:
        for mode, start in (("pv", kernel.pv), ("pvh", kernel.pvh)):
            for way in Start:
                of = {"version": kernel.version, "mode": mode, "by": str(way)}
                yield of, int(start is way)


def _gauge(name: str, words: str, value: bool | None) -> tuple[_Metric, ...]:
    """What is so or not; nothing where it was not looked at."""
    return () if value is None else (_Metric(name=name, help=words, series=(({}, int(value)),)),)


def _lines(metric: _Metric) -> Iterator[str]:
    if not metric.series:
        return
    yield f"# HELP {PREFIX}_{metric.name} {metric.help}"
    yield f"# TYPE {PREFIX}_{metric.name} gauge"
    for labels, value in metric.series:
        inside = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
        yield f"{PREFIX}_{metric.name}{f'{{{inside}}}' if inside else ''} {value}"


def _escaped(text: str) -> str:
    """A label's value: a kernel's version is a file's name, which may hold anything."""
    return text.translate({ord("\\"): "\\\\", ord('"'): '\\"', ord("\n"): "\\n"})
