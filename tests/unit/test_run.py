"""What a program that is started finds around it."""

import pytest

from guest_hooks.machine.run import PATH, environment, run


@pytest.mark.parametrize(
    ("given", "found"),
    [
        pytest.param(None, PATH, id="none"),
        pytest.param("", PATH, id="empty"),
        pytest.param(PATH, PATH, id="ours"),
        pytest.param("/usr/bin:/bin", "/usr/bin:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin", id="cron-s"),
        pytest.param("/opt:/usr/sbin", "/opt:/usr/sbin:/usr/local/sbin:/usr/local/bin:/usr/bin:/sbin:/bin", id="mine-first"),
        pytest.param(":/usr/bin::", "/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/bin", id="no-working-directory"),
    ],
)
def test_a_caller_s_path_comes_first_and_ours_is_never_lost(monkeypatch: pytest.MonkeyPatch, given: str | None, found: str) -> None:
    if given is None:
        monkeypatch.delenv("PATH")
    else:
        monkeypatch.setenv("PATH", given)
    assert environment()["PATH"] == found
    assert run(["sh", "-c", 'echo "$PATH"']).text == found
