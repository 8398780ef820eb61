"""Passwords on command lines go, however the command is written, and everything else on them stays."""

import pytest

from agent.privacy import redact
from agent.privacy.scrub import scrub_json

VALUE = "planted7x"
COMMANDS = [
    ["mysql", "-uroot", "-pplanted7x", "erp"],
    ["mysqldump", "-u", "root", "-pplanted7x", "erp"],
    ["mariadb-dump", "-pplanted7x", "erp"],
    ["/usr/bin/mysql.exe", "-uroot", "-pplanted7x"],
    ["sudo", "mysql", "-pplanted7x"],
    ["sshpass", "-p", "planted7x", "ssh", "root@db", "ls"],
    ["sshpass", "-pplanted7x", "scp", "a", "b"],
    ["redis-cli", "-h", "db", "-a", "planted7x", "ping"],
    ["ldapsearch", "-x", "-w", "planted7x", "-b", "dc=x"],
    ["docker", "login", "-u", "ci", "-p", "planted7x", "registry"],
    ["sqlcmd", "-S", "db", "-U", "sa", "-P", "planted7x"],
    ["mongodump", "-u", "erp", "-p", "planted7x", "--db", "erp"],
    ["curl", "-u", "anna:planted7x", "db"],
    ["http", "-a", "anna:planted7x", "db"],
    ["smbclient", "-U", "anna%planted7x", "-c", "ls"],
    ["lftp", "-u", "anna,planted7x", "db"],
    ["sqlplus", "scott/planted7x@orcl", "@run.sql"],
    ["7z", "x", "-pplanted7x", "a.7z"],
    ["zip", "-P", "planted7x", "a.zip", "b"],
    ["backup", "--password", "planted7x", "db"],
    ["keytool", "-storepass", "planted7x", "-list"],
]
WAYS = {
    "line": " ".join,
    "list": str,
    "json": lambda command: __import__("json").dumps(command, indent=1),
    "json in a list": lambda command: str([__import__("json").dumps(command) + "'"]),
    "error": lambda command: f"Command '{command}' returned non-zero exit status 1.",
    "error of a shell": lambda command: f"Command '{' '.join(command)}' returned 'x' after 5 seconds",
    "pipe": lambda command: f"cat a | {' '.join(command)} | tee 'b'; echo",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_password_of_a_command_goes_and_the_command_stays(command, way):
    clean = redact.text(WAYS[way](command))
    assert VALUE not in clean
    assert command[0].rpartition("/")[2] in clean
    assert redact.text(clean) == clean


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_password_goes_out_of_a_list_of_arguments(command):
    clean = scrub_json({"command": command})["command"]
    assert len(clean) == len(command)
    assert [each for each, was in zip(clean, command) if VALUE not in was] == [
        each for each in command if VALUE not in each
    ]
    assert VALUE not in str(clean)


def test_quotes_of_a_shell_are_part_of_the_password():
    assert redact.text("mysql -p'planted 7x' erp") == "mysql -p'[Filtered]' erp"
    assert redact.text('mysql -p"planted 7x" erp') == 'mysql -p"[Filtered]" erp'
    assert redact.text("mysql -pplanted'7 x'y erp") == "mysql -p[Filtered] erp"


@pytest.mark.parametrize(
    "text",
    [
        "ssh -p 22 db",
        "mysql -h db -P 3306 -u root -p erp",
        "docker run -p 80:80 x",
        "mkdir -p /var/x",
        "login - please",
        "no mysql - port 3306",
        "python -m http.server -p 80",
        "zip -r a.zip b",
        "xmysql -pa",
        "['ssh', '-p', '22']",
    ],
)
def test_other_options_stay(text):
    assert redact.text(text) == text
