"""``completion``: scripts with which bash, zsh and fish complete commands, flags, choices and file names.

All three are made from the parser and hold the whole command line, so that no key press starts Python.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from shlex import quote

from gantry.client.command_tree import Argument, Command, read_english_tree

_BASH = """\
# Completion of gantry for bash, made by `gantry completion bash`
_gantry() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} path='' word skip='' i
  local subcommands flags values
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${{COMP_WORDS[i]}}
    if [[ $skip ]]; then skip=''; continue; fi
    _gantry_command "$path"
    if [[ " $values " == *" $word "* ]]; then skip=1; continue; fi
    if [[ " $subcommands " == *" $word "* ]]; then path="${{path:+$path }}$word"; fi
  done
  _gantry_command "$path"
  COMPREPLY=()
  if [[ $previous == -* && " $values " == *" $previous "* ]]; then
    _gantry_value "$path" "$previous"
  elif [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$current"))
  elif [[ $subcommands ]]; then
    COMPREPLY=($(compgen -W "$subcommands" -- "$current"))
  else
    _gantry_value "$path" ''
  fi
}}
_gantry_files() {{
  local name
  while IFS= read -r name; do COMPREPLY+=("$name"); done < <(compgen -f -- "$current")
  compopt -o filenames 2> /dev/null
}}
# What a command has: subcommands, flags, and the flags with values
_gantry_command() {{
  case $1 in
{commands}
  esac
}}
# What may stand behind a flag, or without one
_gantry_value() {{
  case "$1|$2" in
{values}
  esac
}}
complete -F _gantry gantry
"""
_ZSH_HEAD = """\
#compdef gantry
# Completion of gantry for zsh, made by `gantry completion zsh`
"""
_ZSH_TAIL = """\
if [[ ${{funcstack[1]}} == _gantry ]]; then _gantry "$@"; else compdef _gantry gantry; fi
"""
_FISH = """\
# Completion of gantry for fish, made by `gantry completion fish`
function __gantry_is_at
    set -l path ''
    set -l skip ''
    for word in (commandline -opc)[2..]
        if test -n "$skip"
            set skip ''
        else if contains -- $word {values}
            set skip 1
        else if contains -- (string trim -- "$path $word") {paths}
            set path (string trim -- "$path $word")
        end
    end
    test "$path" = "$argv[1]"
end
complete -c gantry -f"""


def show(args: Namespace) -> int:
    """Print the script for a shell."""
    write = {"bash": _write_bash, "zsh": _write_zsh, "fish": _write_fish}[args.shell]
    sys.stdout.write(write(read_english_tree()))
    return 0


def _write_bash(root: Command) -> str:
    commands, values = [], []
    for command in root.walk():
        path = " ".join(command.path)
        words = " ".join(each.path[-1] for each in command.commands)
        flags = " ".join(flag for each in command.arguments for flag in each.flags)
        taking = " ".join(flag for each in command.arguments if each.value for flag in each.flags)
        commands.append(f"    {quote(path)}) subcommands='{words}' flags='{flags}' values='{taking}' ;;")
        values += [f"    {line}" for line in _list_bash_values(path, command.arguments)]
    return _BASH.format(commands="\n".join(commands), values="\n".join(values))


def _list_bash_values(path: str, arguments: tuple[Argument, ...]) -> Iterator[str]:
    for each in arguments:
        if not each.choices and not each.is_file:
            continue
        patterns = "|".join(quote(f"{path}|{flag}") for flag in each.flags or ("",))
        words = f'compgen -W {quote(" ".join(each.choices))} -- "$current"'
        yield f"{patterns}) {f'COMPREPLY=($({words}))' if each.choices else '_gantry_files'} ;;"


def _write_zsh(root: Command) -> str:
    functions = "".join(_write_zsh_function(command) for command in root.walk())
    return _ZSH_HEAD + functions + _ZSH_TAIL.format()


def _write_zsh_function(command: Command) -> str:
    """The function of a command, which calls those of the commands below it."""
    name = "_".join(("_gantry", *command.path)).replace("-", "_")
    specs = [spec for each in command.arguments if each.flags for spec in _list_zsh_specs(each)]
    if not command.commands:
        specs += [f"*:{each.value}:{_zsh_action(each)}" for each in command.arguments if not each.flags][-1:]
        return f"{name}() {{\n  _arguments -s {' '.join(map(quote, specs))}\n}}\n"
    specs += ["1:command:->command", "*::argument:->argument"]
    listed = " ".join(quote(f"{each.path[-1]}:{each.help}") for each in command.commands)
    cases = "".join(f"    {each.path[-1]}) {name}_{each.path[-1].replace('-', '_')} ;;\n" for each in command.commands)
    return (
        f"{name}() {{\n  local state line\n  local -a commands\n  commands=({listed})\n"
        f"  _arguments -C {' '.join(map(quote, specs))}\n"
        f"  case $state in\n  command) _describe command commands ;;\n"
        f"  argument) case $line[1] in\n{cases}    esac ;;\n  esac\n}}\n"
    )


def _list_zsh_specs(argument: Argument) -> Iterator[str]:
    text = argument.help.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")
    value = f":{argument.value.replace(':', chr(92) + ':')}:{_zsh_action(argument)}" if argument.value else ""
    for flag in argument.flags:
        yield f"*{flag}[{text}]{value}"


def _zsh_action(argument: Argument) -> str:
    if argument.choices:
        return f"({' '.join(argument.choices)})"
    return "_files" if argument.is_file else " "


def _write_fish(root: Command) -> str:
    paths = " ".join(_fish(" ".join(command.path)) for command in root.walk() if command.path)
    taking = {flag for command in root.walk() for each in command.arguments if each.value for flag in each.flags}
    lines = [_FISH.format(paths=paths, values=" ".join(sorted(taking)))]
    for command in root.walk():
        condition = _fish(f'__gantry_is_at "{" ".join(command.path)}"')
        for each in command.commands:
            lines.append(f"complete -c gantry -n {condition} -a {each.path[-1]} -d {_fish(each.help)}")
        for argument in command.arguments:
            if line := _write_fish_argument(argument):
                lines.append(f"complete -c gantry -n {condition} {line}")
    return "\n".join(lines) + "\n"


def _write_fish_argument(argument: Argument) -> str:
    words = f" -a {_fish(' '.join(argument.choices))}" if argument.choices else ""
    files = " -F" if argument.is_file else ""
    if not argument.flags:
        return (words + files).strip()
    names = " ".join(f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in argument.flags)
    return f"{names} -d {_fish(argument.help)}{' -r' if argument.value else ''}{words}{files}"


def _fish(text: str) -> str:
    """In single quotes, where fish knows two escapes."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
