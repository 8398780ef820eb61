"""Passwords on command lines whose option is not named so: `mysql -uroot -pX`, `['sshpass', '-p', 'X', 'ssh', 'db']`.

Options that are named for what they hold (`--password X`) need no knowledge of the program: `assignments` finds them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base.records import Record
from .names import SCRUBBED, is_secret
from .patterns import Patterns
from .quoting import with_replaced

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class _Option(Record):
    """The option that holds a password."""

    letter: str
    apart: bool  # may the password be the next argument?
    behind: str  # what parts it from the user before it


_MYSQL = (
    "mysql mysqldump mysqladmin mysqlimport mysqlshow mysqlcheck mysqlbinlog mysqlslap mysqlpump mysqlsh"
    " mariadb mariadb-dump mariadb-admin mariadb-import mariadb-check mariadb-backup mariabackup xtrabackup"
)
_OPTIONS: dict[str, _Option] = {
    program: option
    for programs, option in (
        (f"{_MYSQL} 7z 7za 7zr 7zz rar unrar", _Option("p", False, "")),
        ("sshpass mongo mongosh mongodump mongorestore mongoexport mongoimport mongostat", _Option("p", True, "")),
        ("login psexec rdesktop ncftpput ncftpget", _Option("p", True, "")),  # docker login, az login, oc login
        ("redis-cli valkey-cli keydb-cli", _Option("a", True, "")),
        ("ldapsearch ldapmodify ldapadd ldapdelete ldappasswd ldapwhoami", _Option("w", True, "")),
        ("sqlcmd bcp osql isql tsql mosquitto_pub mosquitto_sub ipmitool zip unzip", _Option("P", True, "")),
        ("curl", _Option("u", True, ":")),
        ("http https xh", _Option("a", True, ":")),
        ("smbclient rpcclient winexe mount.cifs", _Option("U", True, "%")),
        ("lftp", _Option("u", True, ",")),
        ("sqlplus sqlldr expdp impdp rman", _Option("", True, "/")),
    )
    for program in programs.split()
}  # fmt: skip

_PROGRAM = "|".join(sorted((each.replace(".", r"\.") for each in _OPTIONS), reverse=True))
_LETTERS = "".join({each.letter for each in _OPTIONS.values()})
_patterns = Patterns(
    option=rf"-(?<=[\s\"']-)[{_LETTERS}]",
    program=rf"(?:{_PROGRAM})(?:\.exe|\.EXE)?(?:(\\{{0,8}}[\"'])(?=,)|(?=[ \t]))",
    between=r",\s{0,200}[bu]?(\\{0,8}[\"'])",
    # A quote that a blank follows ends the quotes around the command.
    word=r"[ \t]{0,200}((?:[^\s\"'|;]|\"(?!\s|\Z)[^\"\n]{0,2000}\"?|'(?!\s|\Z)[^'\n]{0,2000}'?){1,2000})",
)
#: How many arguments of a command are looked at.
_MOST = 60
_LONGEST = 4_000
_LONGEST_PATH = 200
_MOST_SLASHES = 9
_AROUND = " \t\r\n\"'=([,`"


def without_passwords(text: str) -> str:
    if _patterns.option.search(text) is None and "sqlplus" not in text:
        return text
    return with_replaced(text, _passwords(text), SCRUBBED)


def _passwords(text: str) -> Iterator[tuple[int, int]]:
    done = 0
    for found in _patterns.program.finditer(text):
        start, quote = _before(text, found.start())
        if start < 0 or found.end() < done:
            continue
        listed = found.group(1) is not None and found.group(1) == quote
        words = list(_listed(text, start, quote) if listed else _line(text, start, found.end(), quote))
        for number, offset in private([text[first:last] for first, last in words]):
            first, last = words[number]
            first += offset
            if text[first : first + 1] in ("'", '"') and text[last - 1] == text[first] and last - first > 1:
                first, last = first + 1, last - 1
            if first >= done:
                yield first, last
                done = last


def _before(text: str, at: int) -> tuple[int, str]:
    """Where the path of the program that is named here begins, and the quote in front of it; -1 inside another word."""
    if at and (text[at - 1].isalnum() or text[at - 1] in "_.-"):
        return -1, ""
    start = at
    while start and at - start < _LONGEST_PATH and text[start - 1] not in _AROUND:
        start -= 1
    first = start
    if text[start - 1 : start] in ("'", '"'):
        first -= 1
        while first and start - first < _MOST_SLASHES and text[first - 1] == "\\":
            first -= 1
    return start, text[first:start]


def private(words: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The number of each argument that is private, and from which of its characters on."""
    option: _Option | None = None
    held = named = False
    for number, word in enumerate(words):
        if named and not word.startswith("-"):
            yield number, 0
        elif option is not None and held:
            offset = _behind(word, 0, option)
            if offset:
                yield number, offset - 1
        elif option is not None and option.letter and word.startswith("-" + option.letter) and len(word) > 2:
            offset = _behind(word, 2, option)
            if offset:
                yield number, offset - 1
        elif option is not None and not option.letter and not word.startswith("-"):
            offset = _behind(word, 0, option)
            if offset:
                yield number, offset - 1
                option = None
        known = _OPTIONS.get(_program(word))
        held = option is not None and option.apart and bool(option.letter) and word == "-" + option.letter
        named = len(word) > 2 and word[0] == "-" and "=" not in word and is_secret(word)
        option = known or option


def _behind(word: str, start: int, option: _Option) -> int:
    """One more than where the password begins in this argument, 0 where there is none."""
    if not option.behind:
        return start + 1
    at = word.find(option.behind, start)
    return at + 2 if at > start and at + 1 < len(word) else 0


def _program(word: str) -> str:
    name = word.replace("\\", "/").rpartition("/")[2].lower()
    return name.removesuffix(".exe")


def _listed(text: str, start: int, quote: str) -> Iterator[tuple[int, int]]:
    """The arguments of a list, as Python and JSON print one."""
    for _ in range(_MOST):
        end = text.find(quote, start, start + _LONGEST)
        while end > start and text[end - 1] == "\\" and quote[0] != "\\":
            end = text.find(quote, end + 1, start + _LONGEST)
        if end < 0:
            yield start, min(len(text), start + _LONGEST)
            return
        yield start, end
        following = _patterns.between.match(text, end + len(quote))
        if following is None:
            return
        start, quote = following.end(), following.group(1)


def _line(text: str, start: int, end: int, quote: str) -> Iterator[tuple[int, int]]:
    """The words of a command, up to the end of the line, of the quotes around it, or to the next command."""
    closing = text.find(quote, end) if quote else -1
    limit = closing if closing >= 0 else len(text)
    yield start, end
    for _ in range(_MOST):
        found = _patterns.word.match(text, end, limit)
        if found is None:
            return
        end = found.end()
        yield found.span(1)
