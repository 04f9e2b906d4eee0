# SPDX-License-Identifier: GPL-3.0-or-later
"""The shell scripts between a package and the program pass on its own verdict, and nothing that
became of it by chance.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from guest_hooks.errors import ExitCode
from tests.support.checkout import CHECKOUT

PROGRAM = "/usr/bin/xen-guest-bootloader"
REAL = "/usr/sbin/grub-install.distrib"
LIBRARY = "/usr/lib/xen-guest-bootloader"
HYPERVISOR = "/sys/hypervisor"
BEFORE_THE_MENU = "kernel-postinst.d/xen-guest-bootloader"
TARGETS = ("x86_64-xen", "i386-xen", "i386-xen_pvh")

ENDS = {
    "fault": "exit 1",
    "usage": "exit 2",
    "differs": "exit 3",
    "not-repaired": "exit 4",
    "locked": "exit 6",
    "lacking": "exit 7",
    "flush": "exit 120",
    "not-executable": "exit 126",
    "not-found": "exit 127",
    "any": "exit 77",
    "killed": "kill -KILL $$",
    "crashed": "kill -SEGV $$",
    "aborted": "kill -ABRT $$",
}
PROGRAMS = {
    **{name: f"#!/bin/sh\n{end}\n" for name, end in ENDS.items()},
    "no-interpreter": "#!/nonexistent/python3 -I\n",
    "no-module": "#!/usr/bin/python3 -I\nimport no_such_module\n",
    "syntax": "#!/usr/bin/python3 -I\nthis is no Python\n",
    "empty": "",
    "binary": "\x7fELF",
}


@dataclass(frozen=True)
class Lab:
    """The scripts, with what they name moved below a directory: the program, GRUB's own
    grub-install, /sys/hypervisor.
    """

    top: Path

    def script(self, source: str, name: str) -> Path:
        """A copy of a script of the checkout."""
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = (CHECKOUT / source).read_text()
        for place in (PROGRAM, REAL, LIBRARY, HYPERVISOR, "/usr/lib/grub"):
            text = text.replace(place, f"{self.top}{place}")
        path.write_text(text)
        path.chmod(0o755)
        return path

    def program(self, text: str, place: str = PROGRAM) -> None:
        path = self.top / place.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def run(
        self, script: Path, *words: str, env: dict[str, str] | None = None, way: str = ""
    ) -> subprocess.CompletedProcess[str]:
        # Whoever runs the tests may ignore SIGINT, as a shell does for what it runs in the
        # background, or SIGHUP, as nohup does.
        command = [
            "/bin/bash",
            "-c",
            f'exec env --default-signal=INT,HUP "$0" "$@" {way}',
            str(script),
            *words,
        ]
        given = {"PATH": os.environ["PATH"], **(env or {})}
        return subprocess.run(
            command, capture_output=True, text=True, env=given, timeout=60, check=False
        )

    @property
    def log(self) -> list[str]:
        """How GRUB's own grub-install was called, once a line."""
        path = self.top / "log"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path)
    made.script("scripts/applies", LIBRARY.lstrip("/") + "/applies")
    # The tests' machine may be a container or a chroot.
    with (tmp_path / LIBRARY.lstrip("/") / "applies").open("a") as file:
        file.write("is_container() { return 1; }\nis_chroot() { return 1; }\n")
    (tmp_path / "sys/hypervisor").mkdir(parents=True)
    (tmp_path / "sys/hypervisor/type").write_text("xen\n")
    (tmp_path / "sys/hypervisor/guest_type").write_text("PV\n")
    for target in TARGETS:
        (tmp_path / "usr/lib/grub" / target).mkdir(parents=True)
        (tmp_path / "usr/lib/grub" / target / "moddep.lst").touch()
    made.program(f'#!/bin/sh\necho "$@" >>{tmp_path}/log\necho out; echo err >&2\nexit 9\n', REAL)
    return made


@pytest.mark.parametrize("hook", ["postinst.d", "postrm.d"])
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_what_becomes_of_the_program_stops_no_kernel(lab: Lab, hook: str, program: str) -> None:
    lab.program(program)
    done = lab.run(
        lab.script(
            "kernel-postinst.d/zz-xen-guest-bootloader",
            f"etc/kernel/{hook}/zz-xen-guest-bootloader",
        ),
        "6.1.0-1",
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert program == "" or "this stops no kernel" in done.stderr


@pytest.mark.parametrize("program", [*PROGRAMS.values(), "#!/bin/sh\nexit 8\n"])
def test_the_hook_before_the_menu_stops_no_kernel(lab: Lab, program: str) -> None:
    lab.program(program)
    script = lab.script(BEFORE_THE_MENU, "etc/kernel/postinst.d/xen-guest-bootloader")
    done = lab.run(script, "6.1.0-1")
    assert (done.returncode, done.stdout) == (0, "")
    assert program == "" or "this stops no kernel" in done.stderr


@pytest.mark.parametrize(
    ("parameters", "acts"),
    [("configure 6.1", True), ("'configure' '6.1'", True), ("", True), ("remove", False)],
)
def test_the_hook_before_the_menu_acts_on_new_kernels(
    lab: Lab, parameters: str, acts: bool
) -> None:
    lab.program(f'#!/bin/sh\necho "$@" >>{lab.top}/log\n')
    script = lab.script(BEFORE_THE_MENU, "etc/kernel/postinst.d/xen-guest-bootloader")
    assert script.name < "zz-update-grub"
    assert script.name > "initramfs-tools"
    lab.run(script, "6.1.0-1", env={"DEB_MAINT_PARAMS": parameters})
    assert lab.log == (["hook pv-kernels 6.1.0-1"] if acts else [])


@pytest.mark.parametrize(("hook", "code"), [("postinst.d", 1), ("postrm.d", 0)])
def test_a_guest_that_would_not_boot_stops_a_new_kernel_alone(
    lab: Lab, hook: str, code: int
) -> None:
    lab.program(f"#!/bin/sh\nexit {int(ExitCode.WOULD_NOT_BOOT)}\n")
    script = lab.script(
        "kernel-postinst.d/zz-xen-guest-bootloader", f"etc/kernel/{hook}/zz-xen-guest-bootloader"
    )
    assert lab.run(script, "6.1.0-1").returncode == code


@pytest.mark.parametrize(
    "way", ["0<&- 1>&- 2>&-", "1>&-", "2>&-", "2>/dev/full", "2> >(exec true)"]
)
@pytest.mark.parametrize(
    "program", [ENDS["fault"], "exit 0", f"exit {int(ExitCode.WOULD_NOT_BOOT)}"]
)
def test_no_descriptor_changes_that(lab: Lab, way: str, program: str) -> None:
    lab.program(f"#!/bin/sh\ntrap '' PIPE\necho words >&2\n{program}\n")
    script = lab.script(
        "kernel-postinst.d/zz-xen-guest-bootloader", "etc/kernel/postinst.d/zz-xen-guest-bootloader"
    )
    assert lab.run(script, "6.1.0-1", way=way).returncode == int(program.endswith("8"))


@pytest.mark.parametrize(
    "arguments", [(), ("--target=x86_64-xen",), ("--target=i386-xen", "--force")]
)
@pytest.mark.parametrize(
    "program",
    [text for text in PROGRAMS.values() if text],
    ids=[name for name, text in PROGRAMS.items() if text],
)
def test_grub_s_own_runs_where_the_program_can_t(
    lab: Lab, program: str, arguments: tuple[str, ...]
) -> None:
    lab.program(program)
    done = lab.run(lab.script("scripts/grub-install", "usr/sbin/grub-install"), *arguments)
    expected = " ".join(arguments) if arguments else "--target=x86_64-xen"
    assert (done.returncode, done.stdout, lab.log) == (9, "out\n", [expected])
    assert "GRUB's own runs without it" in done.stderr


@pytest.mark.parametrize("gone", [PROGRAM, f"{LIBRARY}/applies"])
def test_grub_s_own_runs_where_a_part_of_the_package_is_gone(lab: Lab, gone: str) -> None:
    lab.program("#!/bin/sh\nexit 1\n")
    script = lab.script("scripts/grub-install", "usr/sbin/grub-install")
    (lab.top / gone.lstrip("/")).unlink()
    assert lab.run(script, "--target=x86_64-xen").returncode == 9
    assert lab.run(script).returncode == 9
    assert lab.log == ["--target=x86_64-xen", "--target=x86_64-xen" if gone == PROGRAM else ""]


@pytest.mark.parametrize(
    ("answer", "code", "log"),
    [
        pytest.param("done 0", 0, [], id="done"),
        pytest.param("done 1", 1, [], id="its-own-failure"),
        pytest.param("done 64", 64, [], id="wrong-usage"),
        pytest.param("pass", 9, ["--verbose"], id="pass"),
        pytest.param(
            "pass --target=i386-xen", 9, ["--target=i386-xen --verbose"], id="pass-with-target"
        ),
    ],
)
@pytest.mark.parametrize("end", ["exit 0", "exit 1", "kill -SEGV $$"])
def test_once_it_is_done_nothing_runs_twice(
    lab: Lab, answer: str, code: int, log: list[str], end: str
) -> None:
    lab.program(
        f'#!/bin/sh\necho "$@"\necho words >&2\necho {answer}'
        f" >&$XEN_GUEST_BOOTLOADER_ANSWER\n{end}\n"
    )
    done = lab.run(lab.script("scripts/grub-install", "usr/sbin/grub-install"), "--verbose")
    assert (done.returncode, lab.log) == (code, log)
    assert done.stdout.startswith("hook grub-install --verbose\n")
    assert "words\n" in done.stderr


@pytest.mark.parametrize("name", ["HUP", "INT", "TERM"])
def test_what_somebody_stopped_is_not_begun_again(lab: Lab, name: str) -> None:
    lab.program(f"#!/bin/sh\nkill -{name} $$\n")
    done = lab.run(lab.script("scripts/grub-install", "usr/sbin/grub-install"))
    assert done.returncode not in (0, 9)
    assert lab.log == []


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("PV", "--target=x86_64-xen"), ("PVH", "--target=i386-xen_pvh"), ("HVM", ""), ("", "")],
)
def test_the_target_that_a_shell_can_tell(lab: Lab, kind: str, expected: str) -> None:
    (lab.top / "sys/hypervisor/guest_type").write_text(f"{kind}\n")
    lab.program("#!/nonexistent\n")
    assert lab.run(lab.script("scripts/grub-install", "usr/sbin/grub-install")).returncode == 9
    assert lab.log == [expected]


@pytest.mark.parametrize(
    "script", ["usr/sbin/grub-install", "etc/kernel/postinst.d/zz-xen-guest-bootloader"]
)
def test_the_caller_s_environment_decides_nothing(lab: Lab, script: str) -> None:
    """Its PATH, what bash reads before a script, and functions in the place of commands."""
    evil = lab.top / "evil"
    evil.mkdir()
    for name in (
        "grep",
        "uname",
        "cat",
        "printf",
        "true",
        "read",
        "exec",
        "sh",
        "python3",
        "systemd-detect-virt",
    ):
        (evil / name).write_text(f"#!/bin/bash -p\necho {name} >>{lab.top}/evil.log\n")
        (evil / name).chmod(0o755)
    (evil / "env").write_text(f"echo env >>{lab.top}/evil.log\n")
    source = (
        "scripts/grub-install"
        if script.endswith("grub-install")
        else "kernel-postinst.d/zz-xen-guest-bootloader"
    )
    lab.program("#!/bin/sh\nexit 1\n")
    functions = {
        f"BASH_FUNC_{name}%%": f"() {{ echo {name} >>{lab.top}/evil.log; }}"
        for name in ("grep", "exec", "read", "[", "echo")
    }
    given = {
        "PATH": f"{evil}:/usr/bin:/bin",
        "BASH_ENV": str(evil / "env"),
        "ENV": str(evil / "env"),
        **functions,
    }
    copy = lab.script(source, script)
    done = subprocess.run(
        [str(copy), "6.1.0-1"], capture_output=True, text=True, env=given, timeout=60, check=False
    )
    assert not (lab.top / "evil.log").exists()
    assert done.returncode == (9 if script.endswith("grub-install") else 0)


def test_grub_s_own_finds_its_helpers_as_before(lab: Lab) -> None:
    lab.program('#!/bin/bash\necho "$PATH" >&2\n', REAL)
    lab.program("#!/bin/sh\nexit 1\n")
    done = subprocess.run(
        [str(lab.script("scripts/grub-install", "usr/sbin/grub-install"))],
        capture_output=True,
        text=True,
        env={"PATH": "/opt/mine:/usr/bin:/bin"},
        timeout=60,
        check=False,
    )
    assert done.stderr.splitlines()[-1] == "/opt/mine:/usr/bin:/bin"


@pytest.mark.parametrize("name", ["PYTHONPATH", "PYTHONHOME", "HOME", "PYTHONSTARTUP"])
def test_python_is_isolated(tmp_path: Path, name: str) -> None:
    """Neither a module of another place nor a user's own start-up file decides what root runs."""
    entry = CHECKOUT / "scripts/xen-guest-bootloader"
    assert entry.read_text().splitlines()[0] == "#!/usr/bin/python3 -IS"
    own = tmp_path / ".local/lib"
    version = subprocess.run(
        [
            "/usr/bin/python3",
            "-c",
            "import sys; print(f'python{sys.version_info.major}.{sys.version_info.minor}')",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    for place in (tmp_path, own / version / "site-packages"):
        place.mkdir(parents=True, exist_ok=True)
        for module in ("usercustomize", "sitecustomize", "json", "guest_hooks"):
            (place / f"{module}.py").write_text(
                f"open({str(tmp_path / 'evil.log')!r}, 'a').write('run')\n"
            )
    shutil.copy(entry, tmp_path / "entry")
    given = {"PATH": "/usr/bin:/bin", name: str(tmp_path)}
    subprocess.run(
        [tmp_path / "entry", "--version"],
        env=given,
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert not (tmp_path / "evil.log").exists()


@pytest.mark.parametrize("environ", [b"container=lxc\0", b"PATH=/bin\0container=lxc\0"])
def test_a_container_is_known_without_systemd(tmp_path: Path, environ: bytes) -> None:
    """LXC tells the first process what it is (systemd: CONTAINER_INTERFACE)."""
    (tmp_path / "environ").write_bytes(environ)
    assert answers("is_container", {"/proc/1/environ": f"{tmp_path}/environ"})


@pytest.mark.parametrize(
    ("seen", "expected"),
    [pytest.param("/", False, id="the-same"), pytest.param("/usr", True, id="another")],
)
def test_a_chroot_is_known_by_init_s_root(tmp_path: Path, seen: str, expected: bool) -> None:
    """And not by mounts, of which a service may have its own: with these it is not asked."""
    (tmp_path / "root").symlink_to(seen)
    places = {"/proc/1/root": f"{tmp_path}/root", "ischroot --default-true": "exit 9"}
    assert answers("is_chroot", places) is expected


def answers(function: str, places: dict[str, str]) -> bool:
    """Whether a function of scripts/applies says yes, with these paths in the place of others."""
    text = (CHECKOUT / "scripts/applies").read_text()
    for place, other in places.items():
        text = text.replace(place, other)
    # The machine of the tests may be a container.
    text = text.replace("/.dockerenv", "/nowhere").replace(
        "command -v systemd-detect-virt", "false"
    )
    done = subprocess.run(
        ["/bin/sh"], input=f"{text}\n{function}\n", text=True, timeout=60, check=False
    )
    return done.returncode == 0
