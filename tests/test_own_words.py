"""What a library or the system says of an error is for the log: no message is made of it.

Read in the source: a name that holds a foreign exception may be logged, and asked what it is; its text may be searched
for a place by a pattern. It may not become text.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

import pytest

from tests.test_architecture import MODULES

TEXTS = ("args", "strerror", "orig", "msg", "reason", "message", "doc", "detail", "reason_phrase", "title", "text")
CONVERSIONS = ("str", "repr", "format", "ascii")
READERS = ("search", "match", "fullmatch")  # of a pattern: what it finds is checked by whoever wrote the pattern
LOGGING = ("debug", "info", "warning", "error", "exception", "critical")


ALLOWED = {
    "json_text": ["str(error)"],
    "index.refusals": ["error.orig"],
    "connections": ["upgrade.args"],
    "engines.ray_client": ["str(error)"],  # looks for one word in it, and tells none
    "engines.ray_worker": ["str(error)"],  # of our own ``Away``
    "storage.sql.running": ["f'{error}'"],  # finds names of the query in it
}
"""Of a class of ours, after isinstance; for its result code; a position in a head."""


def own_classes() -> set[str]:
    """Exceptions whose text is ours: classes of Gantry without a foreign base that brings a text."""
    bases = {
        node.name: {ast.unparse(base).rpartition(".")[2] for base in node.bases}
        for tree in MODULES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    plain = {"Exception", "ValueError", "RuntimeError", "KeyError"}
    own: set[str] = set()
    while found := {name for name, of in bases.items() if name not in own and of and of <= plain | own}:
        own |= found
    return own - set(dir(builtins))


OWN = own_classes()


def names(kind: ast.expr | None) -> set[str]:
    """The classes of a handler, or of an annotation."""
    if kind is None:
        return {"BaseException"}
    if isinstance(kind, ast.Tuple):
        return set().union(*map(names, kind.elts))
    if isinstance(kind, ast.BinOp):
        return names(kind.left) | names(kind.right)
    return {ast.unparse(kind).rpartition(".")[2]}


def is_exception(name: str) -> bool:
    found = getattr(builtins, name, None)
    return isinstance(found, type) and issubclass(found, BaseException)


def foreign(tree: ast.AST) -> Iterator[tuple[str, list[ast.stmt]]]:
    """Names that hold a foreign exception, with the statements in which they do."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.name and names(node.type) - OWN:
            yield node.name, node.body
        if isinstance(node, ast.FunctionDef):
            for argument in (*node.args.args, *node.args.kwonlyargs):
                kinds = names(argument.annotation) if argument.annotation is not None else set()
                if any(is_exception(kind) or kind.endswith(("Error", "Exception")) for kind in kinds - OWN):
                    yield argument.arg, node.body


def texts(name: str, node: ast.AST) -> Iterator[str]:
    """Where a name becomes text, in no call of a logger or of a pattern."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        logs = node.func.attr in LOGGING and ast.unparse(node.func.value) == "logger"
        if logs or node.func.attr in READERS:
            return
    if isinstance(node, ast.Attribute) and node.attr in TEXTS and ast.unparse(node.value) == name:
        yield ast.unparse(node)
    elif isinstance(node, ast.FormattedValue) and ast.unparse(node.value) == name:
        yield ast.unparse(ast.JoinedStr([node]))
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and name in ast.unparse(node.right):
        yield ast.unparse(node)
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in CONVERSIONS:
        yield from (ast.unparse(node) for each in node.args if ast.unparse(each) == name)
    for child in ast.iter_child_nodes(node):
        yield from texts(name, child)


def found_in(tree: ast.AST) -> list[str]:
    return sorted({text for name, body in foreign(tree) for part in body for text in texts(name, part)})


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_message_is_made_of_what_a_library_says(module: str) -> None:
    assert found_in(MODULES[module]) == ALLOWED.get(module, [])


@pytest.mark.parametrize(
    "text",
    [
        "raise Unavailable(f'no: {error}')",
        "raise Unavailable(f'no: {error.strerror}')",
        "raise Unavailable('no: ' + str(error))",
        "raise Unavailable('no: %s' % error)",
        "said = error.args[0]",
        "return Failure(repr(error))",
    ],
)
def test_the_rule_sees_each_way_to_write_it(text: str) -> None:
    assert found_in(ast.parse(f"try:\n    work()\nexcept OSError as error:\n    {text}\n"))
    assert found_in(ast.parse(f"def describe(error: OSError):\n    {text}\n"))


@pytest.mark.parametrize("text", ["logger.warning('no: %s', error)", "raise Unavailable('no') from error"])
def test_the_log_may_have_it(text: str) -> None:
    assert found_in(ast.parse(f"try:\n    work()\nexcept OSError as error:\n    {text}\n")) == []
