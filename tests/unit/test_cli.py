"""What the command line promises: exit codes, clear lines, one JSON object, and that a wrong word changes nothing."""

import io
import json
import os
import pty
import re
import subprocess
from contextlib import AbstractContextManager, nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from guest_hooks import arguments, cli, progress, verbs
from guest_hooks.errors import ExitCode, GuestHooksError
from guest_hooks.machine.root import Root
from guest_hooks.prose import Style
from guest_hooks.targets import TARGETS
from tests.conftest import CHECKOUT
from tests.support import report_schema, second_stages
from tests.support.guest_tree import PYTHON, environment, snapshot

VERBS = ("detect", "status", "sync", "rollback", "inspect", "stage1")
COMPLETE = ("detect", "status", "sync", "rollback", "inspect /etc/passwd", "stage1 config")
ON_A_TREE = ("detect", "status", "sync", "rollback")


class Run:
    """One run of the program in this process, and what it left."""

    def __init__(self, *words: str) -> None:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            try:
                self.code = cli.main(list(words))
            except SystemExit as end:  # argparse's own way out of --help and --version
                self.code = int(end.code or 0)
        self.stdout, self.stderr = out.getvalue(), err.getvalue()

    @property
    def json(self) -> dict[str, Any]:
        """The one object on standard output."""
        table = json.loads(self.stdout)
        assert isinstance(table, dict)
        assert self.stdout.count("\n") == 1
        return table


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The skeleton of a guest's tree in a plain directory."""
    top = tmp_path / "guest"
    for name in ("boot/xen", "boot/grub", "dev", "proc", "sys/hypervisor", "etc/xen-guest-bootloader/conf.d", "var/lib"):
        (top / name).mkdir(parents=True)
    (top / "sys/hypervisor/type").write_text("xen\n")
    (top / "sys/hypervisor/guest_type").write_text("PV\n")
    return top


BAD_WORDS = [
    pytest.param([], "VERB", id="no-verb"),
    pytest.param(["mend"], "mend", id="unknown-verb"),
    *(pytest.param([*verb.split(), "--nonsense"], "--nonsense", id=f"{verb}-unknown-option") for verb in COMPLETE),
    *(pytest.param([verb, "--root"], "--root", id=f"{verb}-root-without-value") for verb in VERBS),
    *(pytest.param([verb, "--root", "/nonexistent"], "/nonexistent", id=f"{verb}-root-is-absent") for verb in ON_A_TREE),
    *(pytest.param([verb, "--root", "/etc/passwd"], "/etc/passwd", id=f"{verb}-root-is-a-file") for verb in ON_A_TREE),
    *(pytest.param([verb, "--root", ""], "--root", id=f"{verb}-root-is-empty") for verb in ON_A_TREE),
    *(pytest.param([verb, "--target", "arm-xen"], "arm-xen", id=f"{verb}-unknown-target") for verb in ON_A_TREE),
    *(pytest.param([verb, "--target", ""], "''", id=f"{verb}-empty-target") for verb in ON_A_TREE),
    *(pytest.param([verb, "--config", "/nonexistent"], "/nonexistent", id=f"{verb}-config-is-absent") for verb in ON_A_TREE),
    *(pytest.param([verb, "--config", "/etc"], "/etc", id=f"{verb}-config-is-a-directory") for verb in ON_A_TREE),
    *(pytest.param([verb, "surplus"], "surplus", id=f"{verb}-surplus-word") for verb in ON_A_TREE),
    *(pytest.param([verb, "--color=sometimes"], "sometimes", id=f"{verb}-color") for verb in VERBS),
    pytest.param(["status", "--dry-run"], "--dry-run", id="status-takes-no-dry-run"),
    pytest.param(["sync", "--forc"], "--forc", id="an-option-is-not-abbreviated"),
    pytest.param(["--verbos", "detect"], "--verbos", id="a-common-option-is-not-abbreviated"),
    *(
        pytest.param([verb, "--lock-timeout", text], text, id=f"{verb}-lock-timeout-{text}")
        for verb in ("sync", "rollback")
        for text in ("soon", "-1", "nan", "inf", "1e999")
    ),
    pytest.param(["inspect"], "FILE", id="inspect-nothing"),
    pytest.param(["inspect", "/nonexistent"], "/nonexistent", id="inspect-absent"),
    pytest.param(["inspect", "/etc"], "/etc", id="inspect-directory"),
    pytest.param(["inspect", "/dev/null"], "/dev/null", id="inspect-device"),
    pytest.param(["inspect", "/etc/passwd", "/nonexistent"], "/nonexistent", id="inspect-one-of-two"),
    pytest.param(["inspect", "--target=i386-xen", "/etc/passwd"], "--target", id="inspect-takes-no-target"),
    pytest.param(["stage1"], "action", id="stage1-nothing"),
    pytest.param(["stage1", "mend"], "mend", id="stage1-unknown-action"),
    pytest.param(["stage1", "build"], "--output", id="stage1-build-without-output"),
    pytest.param(["stage1", "config", "--target", "arm"], "arm", id="stage1-unknown-target"),
]


@pytest.mark.parametrize(("words", "named"), BAD_WORDS)
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_a_wrong_word_is_named_on_one_line(tree: Path, words: list[str], named: str, as_json: bool) -> None:
    if words[:1] and words[0] in ON_A_TREE and "--root" not in words:
        words = [*words, "--root", str(tree)]
    before = snapshot(tree)
    done = Run(*words, *(["--json"] if as_json else []))
    assert done.code == ExitCode.USAGE, done.stderr
    assert snapshot(tree) == before
    first, *rest = done.stderr.splitlines()
    assert first.startswith("xen-guest-bootloader: error: ")
    assert named in first
    assert len(rest) <= 1
    assert all(line.startswith("  -> ") for line in rest)
    if as_json:
        assert report_schema.complaints(done.json, "error") == []
        assert done.json["error"]["exit_code"] == 2
    else:
        assert done.stdout == ""


def test_one_answer_has_one_form(tree: Path) -> None:
    done = Run("--root", str(tree), "status", "--metrics", "--json")
    assert (done.code, done.json["error"]["exit_code"]) == (2, 2)
    assert "--metrics and --json" in done.stderr


BAD_CONFIGURATIONS = [
    pytest.param(b"targts = ['auto']", "targts", id="unknown-key"),
    pytest.param(b"targets = 'auto'", "targets", id="text-for-list"),
    pytest.param(b"targets = ['amd64']", "amd64", id="unknown-target"),
    pytest.param(b"modules = 'all'", "modules", id="unknown-choice"),
    pytest.param(b"keep_previous = 1", "keep_previous", id="number-for-bool"),
    pytest.param(b"settle_seconds = true", "settle_seconds", id="bool-for-number"),
    pytest.param(b"settle_seconds = -1", "settle_seconds", id="negative"),
    pytest.param(b"audit_interval = nan", "audit_interval", id="nan"),
    pytest.param(b"extra_modules = ['a b']", "extra_modules", id="module-with-a-space"),
    pytest.param(b"extra_modules = ['--directory=/x']", "extra_modules", id="module-that-is-an-option"),
    pytest.param(b"targets = [", "config.toml", id="no-toml"),
    pytest.param(b"\xff\xfe", "config.toml", id="no-utf-8"),
    pytest.param(b"a = " + b"[" * 3000, "config.toml", id="deeply-nested"),
    pytest.param(b"settle_seconds = " + b"9" * 5000, "config.toml", id="huge-number"),
    pytest.param(b"# " + b"x" * 2_000_000, "config.toml", id="huge-file"),
]


@pytest.mark.parametrize(("text", "named"), BAD_CONFIGURATIONS)
@pytest.mark.parametrize("verb", ON_A_TREE)
def test_a_wrong_configuration_is_named_and_changes_nothing(tree: Path, verb: str, text: bytes, named: str) -> None:
    (tree / "etc/xen-guest-bootloader/config.toml").write_bytes(text)
    before = snapshot(tree)
    done = Run(verb, "--root", str(tree), "--json")
    assert done.code == ExitCode.USAGE, done.stderr
    assert snapshot(tree) == before
    assert "/etc/xen-guest-bootloader/config.toml" in done.stderr.splitlines()[0]
    assert named in done.stderr.splitlines()[0]
    assert report_schema.complaints(done.json, "error") == []


@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_a_configuration_that_is_no_file(tree: Path, kind: str) -> None:
    path = tree / "etc/xen-guest-bootloader/config.toml"
    path.mkdir() if kind == "directory" else os.mkfifo(path)
    done = Run("detect", "--root", str(tree))
    assert done.code == ExitCode.USAGE
    assert "config.toml" in done.stderr.splitlines()[0]


def test_configurations_lie_over_each_other_and_one_named_stands_alone(tree: Path, tmp_path: Path) -> None:
    etc, vendor = tree / "etc/xen-guest-bootloader", tree / "usr/lib/xen-guest-bootloader/conf.d"
    vendor.mkdir(parents=True)
    layers = [(vendor / "10.toml", "x86_64-xen"), (etc / "config.toml", "i386-xen"), (etc / "conf.d/90.toml", "i386-xen_pvh")]
    for path, target in layers:
        path.write_text(f"targets = ['{target}']\n")
        assert Run("detect", "--root", str(tree), "--json").json["targets"] == [target]
    (etc / "conf.d/95.toml.dpkg-old").write_text("nonsense")
    own = tmp_path / "own.toml"
    own.write_text("targets = ['x86_64-xen']\n")
    assert Run("detect", "--root", str(tree), "--json", "--config", str(own)).json["targets"] == ["x86_64-xen"]


@pytest.mark.parametrize("verb", ON_A_TREE)
def test_common_options_stand_before_or_after_the_verb(tree: Path, verb: str) -> None:
    common = ["--root", str(tree), "--json", "-q", "-v", "--color=never"]
    before, after = Run(*common, verb), Run(verb, *common)
    assert (before.code, before.stdout, before.stderr) == (after.code, after.stdout, after.stderr)
    assert before.json["schema"] == 1


def test_the_later_of_two_common_options_counts(tree: Path) -> None:
    done = Run("--root", "/nonexistent", "detect", "--root", str(tree), "--json")
    assert done.json["guest"]["mode"] == "pv"


@pytest.mark.parametrize("verb", ["status", "sync", "rollback"])
def test_a_plain_directory_is_no_guest(tree: Path, verb: str) -> None:
    before = snapshot(tree)
    done = Run(verb, "--root", str(tree), "--target=x86_64-xen", "--json")
    assert done.code == ExitCode.LACKING
    if os.geteuid() == 0 or verb == "status":
        assert "is not the top of a mounted file system" in done.stderr
    after = {path: facts for path, facts in snapshot(tree).items() if "/var/lib" not in path}
    assert after == {path: facts for path, facts in before.items() if "/var/lib" not in path}
    assert report_schema.complaints(done.json, "error") == []


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        pytest.param(kind, word, id=kind)
        for kind, word in {"HVM": "HVM guest", "none": "does not run under Xen", "Xen": "ARM"}.items()
    ],
)
@pytest.mark.parametrize("verb", ON_A_TREE)
def test_where_there_is_nothing_to_do_is_said_on_one_line(tree: Path, verb: str, kind: str, words: str) -> None:
    if kind == "none":
        (tree / "sys/hypervisor/type").unlink()
    (tree / "sys/hypervisor/guest_type").write_text(f"{kind}\n")
    done = Run(verb, "--root", str(tree), "--json")
    assert done.code == ExitCode.NOT_APPLICABLE
    assert report_schema.complaints(done.json) == []
    if verb != "detect":
        assert words in done.stderr.splitlines()[0]
        assert done.json["error"]["exit_code"] == 5


def test_detect_prints_what_the_schema_says(tree: Path) -> None:
    assert report_schema.complaints(Run("detect", "--root", str(tree), "--json").json, "detect") == []


@pytest.mark.parametrize("target", TARGETS)
def test_inspect_prints_what_the_schema_says(tmp_path: Path, target: str) -> None:
    file = tmp_path / "core.elf"
    file.write_bytes(second_stages.core_image(target))
    table = Run("inspect", str(file), "--json").json
    assert report_schema.complaints(table, "inspect") == []
    assert (table["format"], table["fits"], table["fs_uuid"]) == ("second-stage", [target], second_stages.UUID)
    file.write_bytes(file.read_bytes()[:10_000])
    table = Run("inspect", str(file), "--json").json
    assert report_schema.complaints(table, "inspect") == []
    assert table["fits"] == []
    assert table["problems"] != []


def test_inspect_prints_one_object_a_file(tmp_path: Path) -> None:
    names = [tmp_path / "a", tmp_path / "b"]
    for name in names:
        name.write_bytes(b"x")
    lines = Run("inspect", *map(str, names), "--json").stdout.splitlines()
    assert [json.loads(line)["path"] for line in lines] == [str(name) for name in names]
    assert all(report_schema.complaints(json.loads(line), "inspect") == [] for line in lines)


def test_inspect_of_a_large_file_reads_none_of_it(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(10 << 30)
    done = Run("inspect", str(tmp_path / "large"))
    assert done.code == ExitCode.USAGE
    assert "more than" in done.stderr


def test_inspect_of_a_name_with_a_line_break(tmp_path: Path) -> None:
    (tmp_path / "a\nb").write_bytes(b"x")
    done = Run("inspect", str(tmp_path / "a\nb"))
    assert done.code == 0
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("target", TARGETS)
def test_stage1_config_prints_what_the_schema_says(target: str) -> None:
    assert report_schema.complaints(Run("stage1", "config", "--target", target, "--json").json, "stage1Config") == []


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(report_schema.schema())


@pytest.mark.parametrize(
    "table",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"schema": 2, "ok": False, "error": {"exit_code": 2, "message": "x", "hint": ""}}, id="another-schema"),
        pytest.param({"schema": 1, "ok": False, "error": {"exit_code": 0, "message": "x", "hint": ""}}, id="success-as-error"),
        pytest.param(
            {"schema": 1, "ok": False, "error": {"exit_code": 2, "message": "x", "hint": ""}, "more": 1}, id="unknown-key"
        ),
        pytest.param({"schema": 1, "guest": {}, "targets": []}, id="empty-guest"),
    ],
)
def test_the_schema_refuses(table: dict[str, Any]) -> None:
    assert report_schema.complaints(table) != []


def test_the_schema_ships() -> None:
    assert "guest_hooks = schema/*.json" in (CHECKOUT / "setup.cfg").read_text()


def test_a_fault_of_the_program_is_one_line_and_code_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_session: object) -> ExitCode:
        raise RuntimeError("out of cheese")

    journal: list[str] = []
    monkeypatch.setitem(verbs._VERBS, "detect", fail)
    monkeypatch.setattr(verbs, "_to_journal", journal.append)
    assert verbs.run(["detect", "--json"]) == ExitCode.FAULT
    out, err = capsys.readouterr()
    assert report_schema.complaints(json.loads(out), "error") == []
    assert len(err.splitlines()) == 1
    assert "out of cheese" in err
    assert "Traceback" in journal[0]


def test_the_table_of_exit_codes_is_the_manual_s() -> None:
    manual = (CHECKOUT / "man/xen-guest-bootloader.8").read_text()
    section = manual.partition(".SH EXIT STATUS")[2].partition(".SH ")[0]
    plain = section.replace("\\-", "-").replace("\\", "")
    rows = re.findall(r"^\.TP\n\.B (\d)\n(.*)$", plain, re.MULTILINE)
    assert {int(code): text for code, text in rows} == {int(code): code.meaning for code in ExitCode}


def test_the_help_tells_every_exit_code() -> None:
    text = arguments.parser().format_help()
    assert all(f"  {code.value}  {code.meaning}" in text for code in ExitCode)


def test_every_expected_failure_has_a_documented_code() -> None:
    def family(kind: type[GuestHooksError]) -> list[type[GuestHooksError]]:
        return [kind, *(below for child in kind.__subclasses__() for below in family(child))]

    assert {kind.exit_code for kind in family(GuestHooksError)} <= set(ExitCode) - {ExitCode.OK, ExitCode.FAULT}


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["sync", "--help"]])
def test_version_and_help(words: list[str]) -> None:
    done = Run(*words)
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout.startswith(("xen-guest-bootloader ", "usage: xen-guest-bootloader"))


def on_terminal(*words: str, env: dict[str, str] | None = None) -> str:
    """What the program writes to a terminal."""
    primary, secondary = pty.openpty()
    try:
        with subprocess.Popen(
            [PYTHON, "-m", "guest_hooks", *words], stdout=secondary, stderr=secondary, env=environment() | (env or {})
        ) as process:
            os.close(secondary)
            text = b""
            while True:
                try:
                    data = os.read(primary, 65536)
                except OSError:  # the other end is closed
                    break
                if not data:
                    break
                text += data
            process.wait(60)
    finally:
        os.close(primary)
    return text.decode()


def test_colour_is_for_terminals(tree: Path) -> None:
    words = ["detect", "--root", str(tree)]
    assert "\033[" in on_terminal(*words)
    assert "\033[" not in on_terminal(*words, env={"NO_COLOR": "1"})
    assert "\033[" not in on_terminal(*words, "--color=never")
    assert "\033[" not in Run(*words).stdout
    assert "\033[" in Run(*words, "--color=always").stdout


def test_an_error_in_a_pipe_has_no_colour(tree: Path) -> None:
    words = ["status", "--root", str(tree)]
    assert "\033[" in on_terminal(*words)
    assert "\033[" not in on_terminal(*words, "--color=never")
    assert "\033[" not in Run(*words).stderr


def test_a_closed_pipe_is_no_fault(tree: Path) -> None:
    done = subprocess.run(
        ["/bin/bash", "-c", f"{PYTHON} -m guest_hooks detect --root {tree} | true; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment(),
    )
    assert (done.returncode in (0, 5), done.stderr) == (True, "")


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        pytest.param((), ["Waiting"], id="for-a-person"),
        pytest.param(("--json",), [], id="one-terminal-gets-the-object-too"),
        pytest.param(("--quiet",), [], id="quiet"),
    ],
)
def test_steps_are_shown_to_a_person_alone(
    words: tuple[str, ...], shown: list[str], tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    def note(what: str, _stream: object) -> AbstractContextManager[None]:
        steps.append(what)
        return nullcontext()

    monkeypatch.setattr(progress, "shown", note)
    options = arguments.parser().parse_args(["status", *words])
    with verbs.Session(options=options, root=Root(str(tree)), style=Style()).step("Waiting"):
        pass
    assert steps == shown


@pytest.mark.parametrize("words", ["detect", "detect --json"])
def test_no_room_for_what_is_said_is_no_fault(tree: Path, words: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [PYTHON, "-m", "guest_hooks", "--root", str(tree), *words.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            timeout=60,
            check=False,
        )
    assert done.returncode == ExitCode.LACKING
    assert done.stderr.startswith("xen-guest-bootloader: error: standard output could not be written: No space left on device\n")
