# SPDX-License-Identifier: GPL-3.0-or-later
"""What the command line promises: a wrong word or configuration is named and changes nothing,
and errors are clear lines.
"""

import os
import shutil
import tomllib
from pathlib import Path

import pytest

from guest_hooks.errors import ExitCode
from guest_hooks.hooks import Hook
from tests.support import report_schema
from tests.support.command_line import Run
from tests.support.outside_guest import snapshot

VERBS = ("detect", "status", "sync", "rollback", "inspect", "stage1")
COMPLETE = ("detect", "status", "sync", "rollback", "inspect /etc/passwd", "stage1 config")
ON_A_TREE = ("detect", "status", "sync", "rollback")


BAD_WORDS = [
    pytest.param(["mend"], "mend", id="unknown-verb"),
    pytest.param(["help", "mend"], "mend", id="help-for-an-unknown-verb"),
    *(
        pytest.param([*verb.split(), "--nonsense"], "--nonsense", id=f"{verb}-unknown-option")
        for verb in COMPLETE
    ),
    *(pytest.param([verb, "--root"], "--root", id=f"{verb}-root-without-value") for verb in VERBS),
    *(
        pytest.param([verb, "--root", "/nonexistent"], "/nonexistent", id=f"{verb}-root-is-absent")
        for verb in ON_A_TREE
    ),
    *(
        pytest.param([verb, "--root", "/etc/passwd"], "/etc/passwd", id=f"{verb}-root-is-a-file")
        for verb in ON_A_TREE
    ),
    *(
        pytest.param([verb, "--root", ""], "--root", id=f"{verb}-root-is-empty")
        for verb in ON_A_TREE
    ),
    *(
        pytest.param([verb, "--target", "arm-xen"], "arm-xen", id=f"{verb}-unknown-target")
        for verb in ON_A_TREE
    ),
    *(pytest.param([verb, "--target", ""], "''", id=f"{verb}-empty-target") for verb in ON_A_TREE),
    *(
        pytest.param(
            [verb, "--config", "/nonexistent"], "/nonexistent", id=f"{verb}-config-is-absent"
        )
        for verb in ON_A_TREE
    ),
    *(
        pytest.param([verb, "--config", "/etc"], "/etc", id=f"{verb}-config-is-a-directory")
        for verb in ON_A_TREE
    ),
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
    pytest.param(["inspect"], "FILE is missing", id="inspect-nothing"),
    pytest.param(["hold", "--until"], "--until needs a value", id="no-value"),
    pytest.param(["log", "--lines", "x"], "error: --lines: 'x'", id="no-number"),
    pytest.param(["inspect", "/nonexistent"], "/nonexistent", id="inspect-absent"),
    pytest.param(["inspect", "/etc"], "/etc", id="inspect-directory"),
    pytest.param(["inspect", "/dev/null"], "/dev/null", id="inspect-device"),
    pytest.param(
        ["inspect", "/etc/passwd", "/nonexistent"], "/nonexistent", id="inspect-one-of-two"
    ),
    pytest.param(
        ["inspect", "--target=i386-xen", "/etc/passwd"], "--target", id="inspect-takes-no-target"
    ),
    pytest.param(["stage1"], "config|build is missing", id="stage1-nothing"),
    pytest.param(["stage1", "mend"], "mend", id="stage1-unknown-action"),
    pytest.param(["preflight", "--as", "hvm"], "hvm", id="preflight-as-what"),
    pytest.param(["preflight", "--as", "pv", "-t", "i386-xen"], "--as", id="as-and-target"),
    pytest.param(["stage1", "build"], "--output", id="stage1-build-without-output"),
    pytest.param(["stage1", "config", "--target", "arm"], "arm", id="stage1-unknown-target"),
]


@pytest.mark.parametrize(("words", "named"), BAD_WORDS)
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_a_wrong_word_is_named_on_one_line(
    tree: Path, words: list[str], named: str, as_json: bool
) -> None:
    if words[:1] and words[0] in (*ON_A_TREE, "preflight") and "--root" not in words:
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
    pytest.param(
        b"extra_modules = ['--directory=/x']", "extra_modules", id="module-that-is-an-option"
    ),
    pytest.param(b"targets = [", "config.toml", id="no-toml"),
    pytest.param(b"\xff\xfe", "config.toml", id="no-utf-8"),
    pytest.param(b"a = " + b"[" * 3000, "config.toml", id="deeply-nested"),
    pytest.param(b"settle_seconds = " + b"9" * 5000, "config.toml", id="huge-number"),
    pytest.param(b"settle_seconds = 1" + b"0" * 400, "settle_seconds", id="beyond-all-floats"),
    pytest.param(
        b"audit_interval = 0x" + b"f" * 5000, "audit_interval", id="huge-hexadecimal-number"
    ),
    pytest.param(b"targets = [0x" + b"f" * 5000 + b"]", "targets", id="huge-number-in-a-list"),
    pytest.param(b"# " + b"x" * 2_000_000, "config.toml", id="huge-file"),
]


@pytest.mark.parametrize(("text", "named"), BAD_CONFIGURATIONS)
@pytest.mark.parametrize("verb", ON_A_TREE)
def test_a_wrong_configuration_is_named_and_changes_nothing(
    tree: Path, verb: str, text: bytes, named: str
) -> None:
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


def test_configurations_lie_over_each_other_and_one_named_stands_alone(
    tree: Path, tmp_path: Path
) -> None:
    etc, vendor = tree / "etc/xen-guest-bootloader", tree / "usr/lib/xen-guest-bootloader/conf.d"
    vendor.mkdir(parents=True)
    layers = [
        (vendor / "10.toml", "x86_64-xen"),
        (etc / "config.toml", "i386-xen"),
        (etc / "conf.d/90.toml", "i386-xen_pvh"),
    ]
    for path, target in layers:
        path.write_text(f"targets = ['{target}']\n")
        assert Run("detect", "--root", str(tree), "--json").json["targets"] == [target]
    (etc / "conf.d/95.toml.dpkg-old").write_text("nonsense")
    own = tmp_path / "own.toml"
    own.write_text("targets = ['x86_64-xen']\n")
    assert Run("detect", "--root", str(tree), "--json", "--config", str(own)).json["targets"] == [
        "x86_64-xen"
    ]


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
    assert snapshot(tree) == before
    assert report_schema.complaints(done.json, "error") == []


@pytest.mark.parametrize("verb", ["status", "sync", "rollback"])
def test_a_tree_without_boot_is_no_guest(tree: Path, verb: str) -> None:
    shutil.rmtree(tree / "boot")
    before = snapshot(tree)
    done = Run(verb, "--root", str(tree), "--target=x86_64-xen", "--json")
    assert done.code == ExitCode.LACKING
    assert snapshot(tree) == before


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        pytest.param(kind, word, id=kind)
        for kind, word in {
            "HVM": "HVM guest",
            "none": "does not run under Xen",
            "Xen": "ARM",
        }.items()
    ],
)
@pytest.mark.parametrize("verb", ON_A_TREE)
def test_where_there_is_nothing_to_do_is_said_on_one_line(
    tree: Path, verb: str, kind: str, words: str
) -> None:
    if kind == "none":
        (tree / "sys/hypervisor/type").unlink()
    (tree / "sys/hypervisor/guest_type").write_text(f"{kind}\n")
    before = snapshot(tree)
    done = Run(verb, "--root", str(tree), "--json")
    assert done.code == ExitCode.NOT_APPLICABLE
    assert snapshot(tree) == before
    assert report_schema.complaints(done.json) == []
    if verb != "detect":
        assert words in done.stderr.splitlines()[0]
        assert f" sync --root {tree} " in done.json["error"]["hint"]
        assert done.json["error"]["exit_code"] == 5


@pytest.mark.parametrize(
    "words", [["--version"], ["sync", "--version"], ["--help"], ["sync", "--help"]]
)
def test_version_and_help(words: list[str]) -> None:
    done = Run(*words)
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout.startswith(("xen-guest-bootloader ", "usage: xen-guest-bootloader"))


SUGGESTIONS = [
    pytest.param(["stattus"], "did you mean status?", id="verb"),
    pytest.param(["stattus", "hold"], "did you mean status?", id="verb-before-another"),
    pytest.param(["sync", "--targt=x86_64-xen"], "did you mean --target?", id="option"),
    pytest.param(["status", "-t", "x86_64xen"], "did you mean x86_64-xen?", id="target"),
    pytest.param(["status", "-t", "pvh"], "did you mean i386-xen_pvh?", id="target-by-mode"),
    pytest.param(["status", "-t", "PV"], "did you mean x86_64-xen or i386-xen?", id="by-mode"),
    pytest.param(["stage1", "bluid"], "did you mean build?", id="word"),
    pytest.param(["hook", "triggr"], "did you mean trigger?", id="hook"),
    pytest.param(["sync", "--dry"], "did you mean --dry-run?", id="beginning"),
    pytest.param(["sync", "--dry_run"], "did you mean --dry-run?", id="underscore"),
    pytest.param(["--verison"], "did you mean --version?", id="version"),
    pytest.param(["hold", "3 days"], "did you mean --until '3 days'?", id="a-time-to-hold"),
    pytest.param(["sync", "i386-xen"], "did you mean --target i386-xen?", id="a-target"),
    pytest.param(["status", "/mnt"], "did you mean --root /mnt?", id="a-directory"),
    pytest.param(["log", "5"], "did you mean --lines 5?", id="a-number-of-lines"),
    pytest.param(["rollabck"], "did you mean rollback?", id="exchanged-letters"),
    *(
        pytest.param(words, f"see: xen-guest-bootloader {words[0]} --help", id=" ".join(words))
        for words in (
            ["log", "--since=today"],
            ["config", "--frob"],
            ["status", "--dry-run"],
            ["sync", "--update-grub"],
            ["status", "-x"],
        )
    ),
    pytest.param(["mend"], "see: xen-guest-bootloader --help", id="no-verb-is-near"),
]


@pytest.mark.parametrize(("words", "hint"), SUGGESTIONS)
def test_the_name_that_was_meant_is_suggested(words: list[str], hint: str) -> None:
    done = Run(*words)
    assert done.code == ExitCode.USAGE
    assert done.stderr.splitlines()[1:] == [f"  -> {hint}"]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        pytest.param("targts = ['auto']", "did you mean targets?", id="key"),
        pytest.param("targets = ['pvh']", "did you mean i386-xen_pvh?", id="target"),
        pytest.param("modules = 'minmal'", "did you mean minimal?", id="choice"),
    ],
)
def test_the_key_that_was_meant_is_suggested(tree: Path, text: str, hint: str) -> None:
    (tree / "etc/xen-guest-bootloader/config.toml").write_text(text)
    assert f"  -> {hint}\n" in Run("detect", "--root", str(tree)).stderr


def test_without_a_verb_it_is_status(tree: Path) -> None:
    (tree / "sys/hypervisor/guest_type").write_text("HVM\n")
    bare, status = (Run(*verb, "--root", str(tree), "--json") for verb in ([], ["status"]))
    assert (bare.code, bare.stdout) == (status.code, status.stdout)
    assert bare.json["guest"]["mode"] == "hvm"


def test_the_help_fits_on_a_screen() -> None:
    lines = Run("--help").stdout.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert Run("help").stdout.splitlines() == Run("-h").stdout.splitlines() == lines


def test_help_of_a_verb() -> None:
    assert Run("help", "sync").stdout == Run("sync", "--help").stdout
    assert "--dry-run" in Run("help", "sync").stdout


def test_help_of_the_hooks() -> None:
    done = Run("hook", "--help")
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout == Run("help", "hook").stdout
    assert [hook for hook in Hook if f"  {hook} " not in done.stdout] == []
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_config_names_the_file_of_each_value(tree: Path) -> None:
    main = "/etc/xen-guest-bootloader/config.toml"
    (tree / main[1:]).write_text("targets = ['i386-xen']\nupdate_grub = false\n")
    last = "/etc/xen-guest-bootloader/conf.d/90.toml"
    (tree / last[1:]).write_text("targets = ['x86_64-xen', 'i386-xen_pvh']\nsettle_seconds = 2\n")
    table = Run("config", "--root", str(tree), "--json").json
    assert report_schema.complaints(table, "config") == []
    assert table["config"]["targets"] == {"value": ["x86_64-xen", "i386-xen_pvh"], "file": last}
    assert table["config"]["update_grub"] == {"value": False, "file": main}
    assert table["config"]["stage1"] == {"value": "auto", "file": None}
    shown = Run("config", "--root", str(tree)).stdout
    assert {key: row["value"] for key, row in table["config"].items()} == tomllib.loads(shown)
    assert [line.partition("  # ")[2] for line in shown.splitlines() if "settle" in line] == [last]
