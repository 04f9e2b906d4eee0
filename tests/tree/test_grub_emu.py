# SPDX-License-Identifier: GPL-3.0-or-later
"""Our reader of grub.cfg beside GRUB's own interpreter: the same entry with the same command
line, or "not known".
"""

import itertools
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from guest_hooks.errors import FormatError
from guest_hooks.formats import grub_cfg, grub_menu
from guest_hooks.problems.menus import MenuProblem
from tests.support import generated_menus, grub_emu

LINUX = "@LINUX@"
"""Stands for the command that loads; an entry of the emulator prints instead."""
FIRST = "set timeout=0\n"
CUSTOM = 'set sourced="from custom"\nexport sourced\n'
SAVED = {"saved_entry": "i2", "word": "a b"}
GRUBENV = "# GRUB Environment Block\n" + "".join(
    f"{name}={value}\n" for name, value in SAVED.items()
)

NAMES = st.sampled_from(["a", "b", "c"])
LITERALS = st.sampled_from(["x", "1", "", "'x y'", '"x y"', "\\ ", "k=v"])
USES = NAMES.flatmap(
    lambda n: st.sampled_from([f"${n}", f"${{{n}}}", f'"${n}"', f'"<${n}>"'])
) | st.sampled_from(["$1", "$2", '"$1"', "$#", "$@", '"$@"', "$*", '"$*"'])
WORDS = st.lists(LITERALS | USES, min_size=1, max_size=3).map(lambda parts: "".join(parts) or "''")
VALUES = st.lists(WORDS, max_size=3).map(" ".join)
TESTS = st.one_of(
    st.tuples(WORDS, st.sampled_from(["=", "!=", "==", "<", ">", "-eq", "-gt"]), WORDS).map(
        lambda t: f"[ {' '.join(t)} ]"
    ),
    st.tuples(st.sampled_from(["-n", "-z", "!", ""]), WORDS).map(lambda t: f"[ {' '.join(t)} ]"),
    st.tuples(WORDS, st.sampled_from(["-a", "-o"]), WORDS).map(lambda t: f"[ {' '.join(t)} ]"),
    st.sampled_from(
        [
            "true",
            "false",
            "f x",
            "[ -e $prefix/custom.cfg ]",
            "[ -s $prefix/grubenv ]",
            "[ -f $prefix/none ]",
        ]
    ),
)
SIMPLE = st.one_of(
    st.tuples(NAMES, WORDS).map(lambda t: f"set {t[0]}={t[1]}"),
    st.tuples(NAMES, WORDS).map(lambda t: f"{t[0]}={t[1]}"),
    NAMES.map(lambda name: f"unset {name}"),
    NAMES.map(lambda name: f"export {name}"),
    VALUES.map(lambda values: f"f {values}"),
    st.sampled_from(
        [
            "true",
            "false",
            "load_env",
            "source $prefix/custom.cfg",
            "insmod none",
            "set a=b c=d",
            "c=$?",
        ]
    ),
)


def _block(statements: list[str]) -> str:
    return "\n".join(statements) or "true"


def _compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    blocks = st.lists(inner, min_size=1, max_size=3).map(_block)
    return st.one_of(
        st.tuples(TESTS, blocks).map(lambda t: f"if {t[0]}; then\n{t[1]}\nfi"),
        st.tuples(TESTS, blocks, blocks).map(
            lambda t: f"if {t[0]}; then\n{t[1]}\nelse\n{t[2]}\nfi"
        ),
        st.tuples(TESTS, blocks, TESTS, blocks).map(
            lambda t: f"if {t[0]}; then {t[1]}\nelif {t[2]}; then {t[3]}; fi"
        ),
        st.tuples(NAMES, VALUES, blocks).map(lambda t: f"for {t[0]} in {t[1]}; do\n{t[2]}\ndone"),
        st.tuples(NAMES, VALUES).map(
            lambda t: (
                f"for {t[0]} in {t[1]}; do\nif [ ${t[0]} = x ]; then break; fi\nb=$b${t[0]}\ndone"
            )
        ),
    )


STATEMENTS = st.recursive(SIMPLE, _compound, max_leaves=6)
TITLES = st.sampled_from(["one", "two", "t three", "1", "a>b"])
IDS = st.sampled_from(
    ["", "--id i1", "--id i2", "--id=i3", "$menuentry_id_option i4", "--unrestricted", "--class x"]
)


@st.composite
def entries(draw: st.DrawFn, depth: int = 0) -> str:
    title, option = draw(TITLES), draw(IDS)
    before = draw(st.lists(SIMPLE, max_size=2))
    if depth < 2 and draw(st.integers(0, 3)) == 0:
        below = draw(st.lists(entries(depth=depth + 1), min_size=1, max_size=3))
        default = draw(st.sampled_from(["", "", "set default=1\n"]))
        return f"submenu '{title}' {option} {{\n{default}{_block(before)}\n{_block(below)}\n}}"
    return (
        f"menuentry '{title}' {option} {draw(VALUES)} {{\n{_block(before)}\n{LINUX} /k"
        f" {draw(VALUES)}\n}}"
    )


DEFAULTS = st.sampled_from(
    [
        "",
        "0",
        "1",
        "2",
        "9",
        "-1",
        "one",
        "two",
        "i1",
        "i2",
        "i4",
        "one>1",
        "i1>two",
        "1>0",
        "2>1>0",
        "a>>b",
        "$saved_entry",
        "$a",
        "gone",
    ]
)


@st.composite
def scripts(draw: st.DrawFn) -> str:
    last = draw(st.sampled_from(["true", "false", "return", "shift"]))
    function = f"function f {{\n{_block(draw(st.lists(SIMPLE, max_size=2)))}\n{last}\n}}"
    first = draw(st.sampled_from(['menuentry_id_option="--id"', "true"]))
    parts = [function, first, *draw(st.lists(STATEMENTS, max_size=4))]
    menu = draw(st.lists(entries(), min_size=1, max_size=4))
    for item in menu:
        parts.insert(draw(st.integers(2, len(parts))), item)
    parts.append(f'set default="{draw(DEFAULTS)}"')
    return "\n".join([*parts, *draw(st.lists(STATEMENTS, max_size=2))]) + "\n"


def ours(text: str, files: Mapping[str, str], *, saved: Mapping[str, str] | None) -> str | None:
    """The command line that we say is started, `""` for none, None where we say that it is not
    known.
    """
    variables = {
        "prefix": "(host)/menu",
        "root": "host",
        "grub_platform": "emu",
        "grub_cpu": "x86_64",
    }

    def look(path: str) -> str | None:
        return files.get(path.removeprefix("(host)/menu/"))

    try:
        menu = grub_cfg.read(
            text.replace(LINUX, "linux"), variables=variables, grubenv=saved, look=look
        )
    except FormatError:
        return None
    choice = grub_menu.default(menu)
    if (
        not menu.entries
        or not choice.is_sure
        or choice.entry is None
        or choice.entry.not_understood
        or menu.not_understood
    ):
        return None
    boot = choice.entry.boot
    words = [boot.kernel, *boot.arguments] if boot else []
    return None if any("\ufffe" in word for word in words) else " ".join(words)


def grubs(directory: Path, text: str, files: Mapping[str, str]) -> str | None:
    """The command line that GRUB starts; None where it complained of something, which it passes
    over and goes on.
    """
    emulated = re.sub(rf"{LINUX} (.*)", rf"echo {grub_emu.MARK} \1 {grub_emu.END}\nexit", text)
    found, has_complained = grub_emu.started(
        directory, FIRST + emulated, {**files, "grubenv": GRUBENV}
    )
    return None if has_complained else found or ""


@given(scripts())
@settings(max_examples=120, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
def test_grub_itself_starts_the_same(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    directory = tmp_path_factory.mktemp("menu", numbered=True)
    files = {"custom.cfg": CUSTOM}
    real = grubs(directory, text.replace("$prefix", str("(host)" + str(directory))), files)
    found = ours(text, files, saved=SAVED)
    if real is not None and found is not None:
        assert found.split() == real.split()


@pytest.mark.parametrize("path", generated_menus.PATHS, ids=lambda path: path.stem)
def test_debians_menus(tmp_path: Path, path: Path) -> None:
    text = path.read_text()
    prepared = re.sub(r"^\s*linux\s", f"{LINUX} ", text, flags=re.MULTILINE)
    numbers = ["0", "1>0", "1>2", "1>5"]
    for number, (file, default) in enumerate(itertools.product([prepared], numbers)):
        menu = f"{file}\nset default='{default}'\nset timeout=0\n"
        directory = tmp_path / str(number)
        emulated = re.sub(rf"{LINUX}(.*)", rf"echo {grub_emu.MARK}\1 {grub_emu.END}\nexit", menu)
        emulated = re.sub(
            r"^\s*(search|initrd|terminal_output|loadfont|load_video|gfxmode) ?.*",
            "true",
            emulated,
            flags=re.MULTILINE,
        )
        real, _ = grub_emu.started(directory, FIRST + emulated, {"grubenv": GRUBENV})
        assert real is not None
        assert ours(menu, {}, saved={}) is not None
        assert (ours(menu, {}, saved={}) or "").split() == real.split()


USER = "set superusers=root\npassword root secret\n"
ONE = f"menuentry one {{\n{LINUX} /k\n}}\n"
FREE = ONE.replace("one {", "one --unrestricted {")
SUB = f"submenu s {{\n{ONE}}}\n"


@pytest.mark.parametrize(
    ("menu", "happens"),
    [
        pytest.param(f"set timeout=0\n{ONE}", "starts", id="no-timeout"),
        pytest.param(f"set timeout=0x0\n{ONE}", "starts", id="hexadecimal"),
        pytest.param(ONE, "waits", id="timeout-not-set"),
        pytest.param(f"set timeout=-1\n{ONE}", "waits", id="timeout-below-nothing"),
        pytest.param(f"set timeout=\n{ONE}", "waits", id="empty-timeout"),
        pytest.param(f"set timeout=never\n{ONE}", "waits", id="timeout-of-words"),
        pytest.param(f"set timeout=4294967295\n{ONE}", "waits", id="timeout-beyond-an-int"),
        pytest.param(f"set timeout=0 \nunset timeout\n{ONE}", "waits", id="timeout-unset"),
        pytest.param(f"set timeout=0\n{USER}{ONE}", "asks", id="password"),
        pytest.param(f"set timeout=0\nset superusers=\n{ONE}", "asks", id="nobody-is-superuser"),
        pytest.param(f"set timeout=0\n{USER}{FREE}", "starts", id="unrestricted"),
        pytest.param(f"set timeout=0\npassword root secret\n{ONE}", "starts", id="no-superuser"),
        pytest.param(
            f"set timeout=0\n{USER}{FREE.replace('--un', '--users x --un')}", "asks", id="users"
        ),
        pytest.param(f"set timeout=0\n{USER}{SUB}", "asks", id="password-for-a-submenu"),
        pytest.param(
            f"set timeout=0\n{USER}{SUB.replace('s {', 's --unrestricted {')}",
            "starts",
            id="a-submenu-knows-no-superusers",
        ),
        pytest.param(
            f"set timeout=0\n{USER}export superusers\n{SUB.replace('s {', 's --unrestricted {')}",
            "asks",
            id="unless-it-is-told",
        ),
        pytest.param(
            f"set timeout=0\n{SUB.replace('s {', 's {{set timeout=-1')}".replace("{{", "{\n"),
            "waits",
            id="submenu-with-a-timeout-of-its-own",
        ),
        pytest.param("set timeout=0\nmenuentry x {\ntrue\n}\n", "nothing", id="no-kernel"),
        pytest.param(
            "set timeout=0\nmenuentry x {\nxen_hypervisor /xen\nxen_module /k\n}\n",
            "nothing",
            id="commands-of-another-platform",
        ),
    ],
)
def test_whether_it_goes_on_alone(tmp_path: Path, menu: str, happens: str) -> None:
    emulated = re.sub(rf"{LINUX} (.*)", rf"echo {grub_emu.MARK} \1 {grub_emu.END}\nexit", menu)
    assert seen(grub_emu.screen(tmp_path, emulated, {})) == happens
    assert foretold(menu.replace(LINUX, "linux")) == happens


A, B = (f"menuentry {name} {{\n{LINUX} /{name}\n}}\n" for name in "ab")


@pytest.mark.parametrize(
    ("menu", "started"),
    [
        pytest.param(f"}}\n{A}", "/a", id="a-brace-before"),
        pytest.param(f"{A}}}\n{B}", "/a", id="a-brace-between"),
        pytest.param(f"fi\n{A}", "/a", id="a-word-that-closes-nothing"),
        pytest.param(f"echo a | true\n{A}", "/a", id="a-pipe"),
        pytest.param(f"{A}{B}set default=1; }}\n", "/a", id="the-whole-line-is-refused"),
        pytest.param(f"{A}{B}set default=1\n}}\n", "/b", id="the-line-before-is-not"),
        pytest.param(f"{A}menuentry b {{\n", "/a", id="the-last-is-cut-off"),
        pytest.param(f"{A}echo 'b\n", "/a", id="a-quote-at-the-end"),
        pytest.param(f"echo 'b\n{A}", "", id="a-quote-at-the-top"),
        pytest.param(f"if true; then\n{A}", "", id="a-condition-that-is-not-closed"),
        pytest.param(f"menuentry b {{\necho a | true\n}}\n{A}", "/a", id="a-fault-in-an-entry"),
        pytest.param(
            f"menuentry c {{\necho a | true\nset default=1\n}}\n{A}{B}",
            "/b",
            id="the-rest-of-that-entry-is-run",
        ),
        pytest.param(
            f"submenu s {{\nmenuentry c {{\necho a | true\n}}\n{A}}}\n{B}",
            "/a",
            id="a-fault-in-a-submenu",
        ),
        pytest.param(f"}} menuentry c {{\n{A}", "/a", id="the-rest-of-the-line-opens-nothing"),
        pytest.param(f"if true\nset default=1\nfi\n{A}{B}", "/a", id="a-word-that-is-missing"),
        pytest.param(f"for x\n{A}", "/a", id="a-loop-without-words"),
        pytest.param(f"menuentry c\n{{\ntrue\n}}\n{A}", "/a", id="a-block-on-the-next-line"),
        pytest.param(f"function f {{\n}}\n{A}", "/a", id="an-empty-function"),
        pytest.param(f"{B}menuentry c {{\necho a | true\n}}\n{A}", "/b", id="the-one-before-it"),
        pytest.param(f"menuentry b {{\n}}\n{A}", "/a", id="an-empty-entry"),
        pytest.param(f"menuentry b {{\n{LINUX}\u00a0/b\n}}\n{A}", None, id="a-blank"),
    ],
)
def test_grub_goes_on_behind_what_it_refuses(
    tmp_path: Path, menu: str, started: str | None
) -> None:
    emulated = re.sub(rf"{LINUX} (.*)", rf"echo {grub_emu.MARK} \1 {grub_emu.END}\nexit", menu)
    real = grub_emu.started(tmp_path, FIRST + emulated, {}, is_long=True)[0] or ""
    text = menu.replace(LINUX, "linux")
    found = grub_cfg.read(text, variables={"root": "host"}, grubenv={}, is_strict=False)
    choice = grub_menu.default(found)
    ours = choice.entry.boot.kernel if choice.entry and choice.entry.boot else ""
    assert (ours, real) == ((real if started is None else started),) * 2
    assert bool(found.refused) is (started is not None)


@pytest.mark.parametrize("number", range(12))
def test_debians_menu_cut_off(tmp_path: Path, number: int) -> None:
    text = generated_menus.PATHS[1].read_text()
    first = text.index("menuentry 'Debian")
    cut = text[: first + 400 * number].replace("set timeout=5", "set timeout=0")
    quiet = re.sub(
        r"^\s*(search|initrd|terminal_output|loadfont|load_video|gfxmode)\b.*",
        "true",
        cut,
        flags=re.MULTILINE,
    )
    emulated = re.sub(
        r"^\s*linux(.*)", rf"echo {grub_emu.MARK}\1 {grub_emu.END}\nexit", quiet, flags=re.MULTILINE
    )
    real = grub_emu.started(tmp_path, FIRST + emulated + "\n", {"grubenv": GRUBENV}, is_long=True)
    found = grub_cfg.read(cut, variables={"root": "host"}, grubenv={}, is_strict=False)
    choice = grub_menu.default(found)
    boot = choice.entry.boot if choice.entry else None
    words = [boot.kernel, *boot.arguments] if boot else []
    assert (real[0] or "").split() == words


def test_a_search_that_finds_nothing_leaves_root_as_it_was(tmp_path: Path) -> None:
    """A menu that was made on a PC, on a clone whose UUID is another."""
    search = "set root=(hd5,msdos1)\nsearch --no-floppy --fs-uuid --set=root 1111-2222"
    shown = grub_emu.screen(
        tmp_path, f"{FIRST}menuentry a {{\n{search}\ncat /k\n}}\n", {}, is_long=True
    )
    assert MenuProblem.FILE_SYSTEM_MISSING.row.console.format(uuid="1111-2222") in shown
    assert MenuProblem.DISK_MISSING.row.console.format(disk="hd5,msdos1") in shown


def titled(*titles: str, bad: str = "") -> str:
    """Entries that start, and those in `bad`, by their first letter, that come back to GRUB."""
    return "".join(
        f"menuentry '{title}' --id i{title} {{\n"
        + ("linux /gone\n" if title[0] in bad else f"{LINUX} /{title}\n")
        + "}\n"
        for title in titles
    )


@pytest.mark.parametrize(
    ("value", "bad", "started"),
    [
        pytest.param("1", "", "/a", id="not-needed"),
        pytest.param("1", "a", "/b", id="number"),
        pytest.param("1 2", "ab", "/c", id="the-next-number"),
        pytest.param(" 0x2", "a", "/c", id="hexadecimal"),
        pytest.param("none", "a", "", id="no-entry"),
        pytest.param("", "a", "", id="empty"),
        pytest.param("1", "ab", "", id="none-starts"),
    ],
)
def test_what_is_started_where_the_default_fails(
    tmp_path: Path, value: str, bad: str, started: str
) -> None:
    menu = f"set timeout=0\nset fallback='{value}'\n{titled('a', 'b', 'c', bad=bad)}"
    emulated = re.sub(rf"{LINUX} (.*)", rf"echo {grub_emu.MARK} \1 {grub_emu.END}\nexit", menu)
    assert (grub_emu.started(tmp_path, emulated, {}, is_long=True)[0] or "") == started
    found = grub_cfg.read(menu.replace(LINUX, "linux"), variables={"root": "host"}, grubenv={})
    choice = grub_menu.default(found)
    more, are_all = grub_menu.fallbacks(found, choice)
    tries = [each.entry.boot.kernel for each in (choice, *more) if each.entry and each.entry.boot]
    assert are_all
    assert next((kernel for kernel in tries if kernel != "/gone"), "") == started


def seen(screen: str) -> str:
    """What happened, by what GRUB showed."""
    if grub_emu.END in screen:
        return "starts"
    if "Enter username" in screen:
        return "asks"
    return "nothing" if "Press any key" in screen else "waits"


def foretold(text: str) -> str:
    """What we say that happens."""
    commands = frozenset({"linux", "initrd"})
    found = grub_cfg.read(text, variables={"root": "host"}, grubenv={}, commands=commands)
    choice = grub_menu.default(found)
    assert choice.is_sure
    assert choice.entry is not None
    assert found.waits is not None
    if any(entry.asks for entry in choice.way[:1]):
        return "waits" if found.waits else "asks"
    if found.waits or any(entry.waits for entry in choice.way):
        return "waits"
    if any(entry.asks for entry in choice.way):
        return "asks"
    return "starts" if choice.entry.boot is not None else "nothing"
