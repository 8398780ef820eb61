"""The checks of this folder as tests: AGENT_COMPAT=1 pytest tests/compat. They need the network, node and time."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))

pytestmark = pytest.mark.skipif(not os.environ.get("AGENT_COMPAT"), reason="set AGENT_COMPAT=1: it needs the network")


def load(name):
    specification = importlib.util.spec_from_file_location(name, os.path.join(HERE, name + ".py"))
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_schema_in_the_real_language_server(tmp_path):
    language_server = load("language_server")
    try:
        assert len(language_server.run(os.environ.get("AGENT_LANGUAGE_SERVER") or str(tmp_path))) == 6
    except language_server.Unavailable as reason:
        pytest.skip(str(reason))


def test_the_targets_of_packs_in_all_releases():
    done = subprocess.run([sys.executable, os.path.join(HERE, "packs.py")], capture_output=True, text=True, check=False)
    if "could not be downloaded" in done.stdout:
        pytest.skip(done.stdout)
    assert done.returncode == 0, done.stdout
