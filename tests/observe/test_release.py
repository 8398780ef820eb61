import sys

import pytest

from agent.observe.around import release

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    git = tmp_path / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    inside = tmp_path / "erp" / "app"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    monkeypatch.setattr(sys, "argv", [str(inside / "manage.py")])
    return tmp_path


def test_a_branch(checkout):
    (checkout / ".git/refs/heads/main").write_text(COMMIT + "\n")
    assert release.of_checkout() == COMMIT


def test_a_packed_branch(checkout):
    (checkout / ".git/packed-refs").write_text(
        f"# pack-refs with: peeled\n{'f' * 40} refs/heads/other\n{COMMIT} refs/heads/main\n"
    )
    assert release.of_checkout() == COMMIT


def test_a_detached_head(checkout):
    (checkout / ".git/HEAD").write_text(COMMIT)
    assert release.of_checkout() == COMMIT


def test_a_worktree(checkout, tmp_path, monkeypatch):
    (checkout / ".git/refs/heads/side").write_text(COMMIT)
    private = checkout / ".git/worktrees/side"
    private.mkdir(parents=True)
    (private / "HEAD").write_text("ref: refs/heads/side\n")
    (private / "commondir").write_text("../..\n")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / ".git").write_text(f"gitdir: {private}\n")
    monkeypatch.chdir(tree)
    monkeypatch.setattr(sys, "argv", [""])
    assert release.of_checkout() == COMMIT


@pytest.mark.parametrize("head", ["", "nonsense", "ref: refs/heads/none", "ref: ../../etc/passwd"])
def test_what_is_no_commit_is_none(checkout, head):
    (checkout / ".git/HEAD").write_text(head)
    assert release.of_checkout() is None
