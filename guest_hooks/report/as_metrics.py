# SPDX-License-Identifier: GPL-3.0-or-later
"""A status as metrics, in the text format that Prometheus' node exporter reads from its
textfile directory.

Source: Prometheus, "Exposition formats"; a state is shown as OpenMetrics' StateSet is: one series
for each, 1 for the one it is in.
"""

from collections.abc import Iterator, Mapping

from guest_hooks.machine.service import ServiceStatus
from guest_hooks.model import Severity, Start, State
from guest_hooks.records import dataclass
from guest_hooks.survey.outlook import Outlook

PREFIX = "xen_guest_bootloader"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Metric:
    """One gauge: a value for each set of labels."""

    name: str
    help: str
    series: tuple[tuple[Mapping[str, str], int], ...]


def text(outlook: Outlook, service: ServiceStatus | None = None, held: bool | None = None) -> str:
    """The lines of one status; what was not looked at (the service, the next boot, whether
    automatic repairs are `held`) has no series.
    """
    metrics = (*_metrics(outlook, service), *_held(held))
    return "".join(f"{line}\n" for metric in metrics for line in _lines(metric))


def _held(held: bool | None) -> Iterator[_Metric]:
    if held is not None:
        yield _gauge("repair_held", "Whether automatic repairs are on hold or turned off.", held)


def _metrics(outlook: Outlook, service: ServiceStatus | None) -> Iterator[_Metric]:
    status, next_boot = outlook.status, outlook.next_boot
    yield _gauge(
        "ok",
        "Whether nothing is left to do and the next boot works as far as known: exit code 0.",
        outlook.ok,
    )
    targets = [
        (
            {
                "target": target.target,
                "required": str(target.required).lower(),
                "state": str(state),
            },
            int(target.state is state),
        )
        for target in status.targets
        for state in State
    ]
    yield _Metric(
        name="second_stage_state",
        help="The verdict on the second stage of a target.",
        series=tuple(targets),
    )
    if status.grub_cfg:
        found = status.grub_cfg.state
        menu = tuple(
            ({"state": str(state)}, int(found is state))
            for state in State
            if state is not State.FOREIGN
        )
        yield _Metric(name="grub_cfg_state", help="The verdict on grub.cfg.", series=menu)
    starts = tuple(
        ({"version": kernel.version, "mode": mode, "by": str(way)}, int(start is way))
        for kernel in status.kernels
        for mode, start in (("pv", kernel.pv), ("pvh", kernel.pvh))
        for way in Start
    )
    yield _Metric(
        name="kernel_start",
        help="How GRUB starts a kernel in a mode: the file itself, its copy for PV, or not.",
        series=starts,
    )
    everything = [*status.problems, *(status.grub_cfg.problems if status.grub_cfg else ())]
    everything += [problem for target in status.targets for problem in target.problems]
    everything += [problem for kernel in status.kernels for problem in kernel.problems]
    counts = (
        ({"severity": str(kind)}, sum(problem.severity is kind for problem in everything))
        for kind in Severity
    )
    yield _Metric(name="problems", help="How many problems status tells.", series=tuple(counts))
    via = status.last_boot.via
    yield _gauge(
        "booted_by_second_stage",
        "Whether this boot is known to have come by the guest's own second stage.",
        via == "second-stage",
    )
    if service:
        yield _gauge("service_running", "Whether the repair service runs.", service.running)
    if next_boot is not None and (next_boot.is_followed or not next_boot.ok):
        yield _gauge(
            "next_boot_ok",
            "Whether preflight found nothing in the way of the next boot.",
            next_boot.ok,
        )


def _gauge(name: str, words: str, value: bool) -> _Metric:
    return _Metric(name=name, help=words, series=(({}, int(value)),))


def _lines(metric: _Metric) -> Iterator[str]:
    if not metric.series:
        return
    yield f"# HELP {PREFIX}_{metric.name} {metric.help}"
    yield f"# TYPE {PREFIX}_{metric.name} gauge"
    for labels, value in metric.series:
        inside = ",".join(f'{name}="{text}"' for name, text in labels.items())
        yield f"{PREFIX}_{metric.name}{f'{{{inside}}}' if inside else ''} {value}"
