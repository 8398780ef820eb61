"""`completion`: a script that completes `erp-agent` in a shell, made from the parser of the command line.

Own code, because the script must follow the commands of the installed version: argcomplete starts Python at every key,
and shtab would be one more package in other people's ERPs. Python is started for names of monitors and modules alone.
"""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Iterator, Sequence
from typing import Callable, NamedTuple

from ..base.errors import AgentError, ConfigError
from ..base.programs import COMMAND
from . import options
from .terminal import out

HELP = "print a script that completes erp-agent in bash, zsh or fish"

_DESCRIPTION = """\
Print a script that completes erp-agent in a shell.

  bash   eval "$(erp-agent completion bash)"       in ~/.bashrc
  zsh    eval "$(erp-agent completion zsh)"        in ~/.zshrc, after compinit
  fish   erp-agent completion fish | source        in ~/.config/fish/config.fish"""

FILES, FOLDERS, COMMANDS, MONITORS, MODULES = "@files", "@folders", "@commands", "@monitors", "@modules"
#: Metavar → what to complete.
_BY_METAVAR = {
    "FILE": FILES, "PATH": FILES, "DIR": FOLDERS, "FOLDER": FOLDERS, "-- COMMAND": COMMANDS,
    "MODULE": MODULES, "MONITOR": MONITORS, "NAME": MONITORS, "TARGET|NAME": MONITORS,
}  # fmt: skip


class Choice(NamedTuple):
    """Something that may be typed, with its help; `values` are what may follow an option, None for a switch."""

    word: str
    text: str
    values: list[str] | None = None


class Place(NamedTuple):
    """A command, as "spool status", and what may follow it. "" is the program itself."""

    chain: str
    commands: list[Choice]
    options: list[Choice]
    arguments: list[str]  # what its positional arguments are


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("shell", nargs="?", choices=tuple(_SCRIPTS), metavar="SHELL", help=", ".join(_SCRIPTS))
    parser.add_argument("--names", choices=("monitors", "modules"), help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    if arguments.names:
        for name in _names(arguments.names):
            out(name)
        return 0
    if arguments.shell is None:
        raise ConfigError(f"which shell? {COMMAND} completion {'|'.join(_SCRIPTS)}")
    from .main import build_parser

    out(_SCRIPTS[arguments.shell](list(places(build_parser()))), end="")
    return 0


def _names(kind: str) -> list[str]:
    """Of the configuration in force; none where there is none: a shell cannot show an error here."""
    from ..config.load import load

    try:
        plan = load(options.config_path(None), os.environ).plan
    except AgentError:
        return []
    key = "name" if kind == "monitors" else "module"
    found = (monitor["name"] if key == "name" else monitor["module"] for monitor in plan["monitors"]) if plan else ()
    return sorted({name for name in found if name})


# -------------------------------------------------------------------------------------------------------- the parser


def places(parser: argparse.ArgumentParser, chain: tuple[str, ...] = ()) -> Iterator[Place]:
    commands: list[Choice] = []
    found: list[Choice] = []
    arguments: list[str] = []
    below: list[tuple[str, argparse.ArgumentParser]] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            commands += [Choice(each.dest, each.help or "") for each in action._choices_actions]
            below += [(each.word, action.choices[each.word]) for each in commands]
        elif action.help == argparse.SUPPRESS:
            continue
        elif action.option_strings:
            values = _values(action) if action.nargs is None else None
            found += [Choice(option, action.help or "", values) for option in action.option_strings]
        else:
            arguments += _values(action)
    yield Place(" ".join(chain), commands, found, arguments)
    for word, inner in below:
        yield from places(inner, (*chain, word))


def _values(action: argparse.Action) -> list[str]:
    if action.choices is not None:
        return [str(each) for each in action.choices]
    kind = _BY_METAVAR.get(action.metavar if isinstance(action.metavar, str) else "")
    return [kind] if kind else []


# ---------------------------------------------------------------------------------------------------------- the shells

_BASH = """\
# bash completion for {command}: eval "$({command} completion bash)"
_erp_agent() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} chain="" wanted="" index
    # bash splits --format=json into three words
    if [[ $current == "=" ]]; then current=""; elif [[ $before == "=" ]]; then before=${{COMP_WORDS[COMP_CWORD-2]}}; fi
    for ((index = 1; index < COMP_CWORD; index++)); do
        case "$chain ${{COMP_WORDS[index]}}" in
            {chains}) chain="${{chain:+$chain }}${{COMP_WORDS[index]}}" ;;
        esac
    done
    case "$chain:$before" in
{values}
        *)
            if [[ $current == -* ]]; then
                case "$chain" in
{options}
                esac
            else
                case "$chain" in
{words}
                esac
            fi ;;
    esac
    COMPREPLY=()
    local each
    for each in $wanted; do
        case "$each" in
            @files) compopt -o filenames 2>/dev/null
                    while IFS= read -r index; do COMPREPLY+=("$index"); done < <(compgen -f -- "$current") ;;
            @folders) compopt -o filenames 2>/dev/null
                    while IFS= read -r index; do COMPREPLY+=("$index"); done < <(compgen -d -- "$current") ;;
            @commands) COMPREPLY+=($(compgen -c -- "$current")) ;;
            @*) COMPREPLY+=($(compgen -W "$({command} completion --names "${{each#@}}" 2>/dev/null)" -- "$current")) ;;
            *) COMPREPLY+=($(compgen -W "$each" -- "$current")) ;;
        esac
    done
}}
complete -F _erp_agent {command}
"""


def _bash(found: Sequence[Place]) -> str:
    return _BASH.format(
        command=COMMAND,
        chains="|".join(f'"{_before(place.chain)}"' for place in found if place.chain),
        values=_cases(
            (f"{place.chain}:{option.word}", option.values)
            for place in found for option in place.options if option.values is not None
        ),
        options=_cases((place.chain, [option.word for option in place.options]) for place in found),
        words=_cases((place.chain, [each.word for each in place.commands] + place.arguments) for place in found),
    )  # fmt: skip


def _before(chain: str) -> str:
    """How `"$chain $word"` reads once the last word of this chain is read: " spool", "spool status"."""
    return chain if " " in chain else f" {chain}"


def _cases(rows: Iterator[tuple[str, list[str]]]) -> str:
    return "\n".join(f"{' ' * 16}{shlex.quote(key)}) wanted={shlex.quote(' '.join(words))} ;;" for key, words in rows)


_ZSH = """\
#compdef {command}
# zsh completion for {command}: eval "$({command} completion zsh)"
_erp_agent() {{
    local chain="" before=${{words[CURRENT-1]}} each index
    local -a wanted
    for ((index = 2; index < CURRENT; index++)); do
        case "$chain ${{words[index]}}" in
            ({chains}) chain="${{chain:+$chain }}${{words[index]}}" ;;
        esac
    done
    if [[ $PREFIX == --*=* ]]; then
        before=${{PREFIX%%=*}}
        compset -P '*='
    fi
    case "$chain:$before" in
{values}
        (*)
            if [[ $PREFIX == -* ]]; then
                case "$chain" in
{options}
                esac
            else
                case "$chain" in
{words}
                esac
            fi ;;
    esac
    local -a plain
    for each in $wanted; do
        case "$each" in
            (@files) _files ;;
            (@folders) _files -/ ;;
            (@commands) _command_names ;;
            (@*) compadd -- ${{(f)"$({command} completion --names ${{each#@}} 2>/dev/null)"}} ;;
            (*) plain+=("$each") ;;
        esac
    done
    (( $#plain )) && _describe '{command}' plain
}}
compdef _erp_agent {command}
"""


def _zsh(found: Sequence[Place]) -> str:
    def cases(rows: Iterator[tuple[str, list[Choice]]]) -> str:
        return "\n".join(
            f"{' ' * 16}({shlex.quote(key)}) wanted=({' '.join(shlex.quote(_described(each)) for each in choices)}) ;;"
            for key, choices in rows
        )

    return _ZSH.format(
        command=COMMAND,
        chains="|".join(f'"{_before(place.chain)}"' for place in found if place.chain),
        values=cases(
            (f"{place.chain}:{option.word}", [Choice(value, "") for value in option.values])
            for place in found for option in place.options if option.values is not None
        ),
        options=cases((place.chain, place.options) for place in found),
        words=cases((place.chain, place.commands + [Choice(each, "") for each in place.arguments]) for place in found),
    )  # fmt: skip


def _described(choice: Choice) -> str:
    word = choice.word.replace(":", "\\:")
    return f"{word}:{_shown(choice.text)}" if choice.text else word


def _shown(text: str) -> str:
    """A help text as argparse prints it, on one line."""
    return " ".join(text.replace("%%", "%").split())


_FISH = """\
# fish completion for {command}: {command} completion fish | source
function __erp_agent_chain
    set -l chain
    for word in (commandline -opc)[2..-1]
        switch "$chain $word"
            case {chains}
                set chain (string trim "$chain $word")
        end
    end
    echo "$chain"
end
function __erp_agent_names
    {command} completion --names $argv[1] 2>/dev/null
end
complete -c {command} -e
complete -c {command} -f
"""

_IN_FISH = {
    FILES: "(__fish_complete_path (commandline -ct))",
    FOLDERS: "(__fish_complete_directories (commandline -ct))",
    COMMANDS: "(__fish_complete_command)",
    MONITORS: "(__erp_agent_names monitors)",
    MODULES: "(__erp_agent_names modules)",
}


def _fish(found: Sequence[Place]) -> str:
    made = [
        _FISH.format(
            command=COMMAND, chains=" ".join(f"'{_before(place.chain)}'" for place in found if place.chain)
        )
    ]  # fmt: skip
    for place in found:
        begin = f"complete -c {COMMAND} -n 'test (__erp_agent_chain) = \"{place.chain}\"'"
        made += [f"{begin} -a {command.word} -d {_fished(command.text)}\n" for command in place.commands]
        for option in place.options:
            name = f"-l {option.word[2:]}" if option.word.startswith("--") else f"-s {option.word[1:]}"
            values = f" -x -a {_fished(_in_fish(option.values))}" if option.values is not None else ""
            made.append(f"{begin} {name}{values} -d {_fished(option.text)}\n")
        if place.arguments:
            made.append(f"{begin} -a {_fished(_in_fish(place.arguments))}\n")
    return "".join(made)


def _in_fish(values: list[str]) -> str:
    return " ".join(_IN_FISH.get(value, value) for value in values)


def _fished(text: str) -> str:
    return "'" + _shown(text).replace("\\", "\\\\").replace("'", "\\'") + "'"


_SCRIPTS: dict[str, Callable[[Sequence[Place]], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
