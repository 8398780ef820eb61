"""The commands of the tutorial print what its page shows."""

import re
import subprocess
from pathlib import Path

from acceptance.host import ROOT

TUTORIAL = Path(ROOT) / "docs" / "tutorial.md"


def _commands(text):
    """(command, lines that the page shows of its output) of each line with a prompt."""
    shown = re.findall(r"^    \$ (.*)\n((?:    [^$\n].*\n)*)", text, re.MULTILINE)
    return [(command, [line.strip() for line in lines.splitlines()]) for command, lines in shown]


def test_its_commands_print_what_it_shows(host):
    text = TUTORIAL.read_text(encoding="utf-8")
    services, orders = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    host.write(sales___services__py=services, orders__py=orders)
    host.config.write_text(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1], encoding="utf-8")
    host.folder.joinpath("sales", "__init__.py").touch()
    printed = {}
    for command, wanted in _commands(text):
        if " watch " in command or command.startswith("export"):
            continue  # one needs a process that goes on, and the other is the environment of this test
        done = subprocess.run(
            ["sh", "-c", command.replace("python ", f"{host.python} ")],
            cwd=host.folder,
            env={**host.environment(agent=False), "PYTHONPATH": f"{ROOT}:{host.folder}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode in (0, 1), done.stderr) == (True, ""), (command, done)
        assert done.stdout.splitlines()[: len(wanted)] == wanted, (command, done.stdout)
        printed[command.split()[3]] = done.stdout
    assert list(printed) == ["validate", "run", "events", "status"]
    assert len(re.findall(r"^(?:error|warning) ", printed["events"], re.MULTILINE)) == 2
    (row,) = re.findall(r"^sales +create_order.*", printed["status"], re.MULTILINE)
    assert " 25 % " in row
