"""Find the sentences that people read: in comments, docstrings, strings, SQL, pages and the dashboard."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# Fewer words are a name, a label or a key.
FEWEST_WORDS = 3

SENTENCE_ENDS = re.compile(r"(?<=[.!?:;])\s+(?=[A-Z`\"'])|\n\s*\n")
SCRIPT_TEXT = re.compile(r"`([^`]*)`|\"([^\"\n]*)\"|'([^'\n]*)'|^\s*//(.*)$|^\s*\*(.*)$|>([^<>{}]+)<", re.MULTILINE)
TEMPLATE_TEXT = re.compile(r"^\s*(?:#|\w*Description:|- Fn::Sub:)(.*)$", re.MULTILINE)


def sentences(texts: Iterator[str]) -> Iterator[str]:
    for text in texts:
        for sentence in SENTENCE_ENDS.split(text):
            if sentence.strip():
                yield " ".join(sentence.split())


def of_code(path: Path) -> Iterator[str]:
    """Docstrings, the docstrings of fields, and comments; lines of comment that follow each other are one."""
    yield from _docstrings(ast.parse(path.read_text()))
    lines = {}
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.COMMENT:
            lines[token.start[0]] = token.string.lstrip("#").strip()
    yield from _blocks(lines)


def of_strings(path: Path) -> Iterator[str]:
    """What code says: its string literals, with X where a value is put in."""
    tree = ast.parse(path.read_text())
    docstrings = set(_docstrings(tree))
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)):
                pass
            case ast.JoinedStr(values=values):
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in values)
            case _:
                continue
        if text not in docstrings and _is_prose(text):
            yield text


def of_sql(path: Path) -> Iterator[str]:
    lines = enumerate(path.read_text().splitlines())
    yield from _blocks({number: line.split("--", 1)[1].strip() for number, line in lines if "--" in line})


def of_page(path: Path) -> Iterator[str]:
    """Paragraphs, items, headings and cells of tables; blocks of code are left out."""
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for part in re.split(r"\n\s*\n|\n(?=\s*(?:[-|#>]|\d+\.))", text):
        for cell in part.split("|") if part.lstrip().startswith("|") else [part]:
            yield re.sub(r"^\s*(?:#+|[->]|\d+\.)\s*", "", cell)


def of_script(path: Path) -> Iterator[str]:
    """Comments, strings and the text between tags; of a page of HTML as well."""
    for match in SCRIPT_TEXT.finditer(path.read_text()):
        text = next((group for group in match.groups() if group), "")
        if _is_prose(text):
            yield text


def of_template(path: Path) -> Iterator[str]:
    """Descriptions and comments."""
    for match in TEMPLATE_TEXT.finditer(path.read_text()):
        yield match.group(1)


def _docstrings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node, clean=False)):
            yield text
        if isinstance(node, ast.ClassDef | ast.Module):
            for before, after in pairwise(node.body):
                match before, after:
                    case (ast.Assign() | ast.AnnAssign(), ast.Expr(value=ast.Constant(value=str(text)))):
                        yield text


def _blocks(lines: dict[int, str]) -> Iterator[str]:
    block: list[str] = []
    for number, line in lines.items():
        if number - 1 not in lines and block:
            yield " ".join(block)
            block = []
        block.append(line)
    yield " ".join(block)


def _is_prose(text: str) -> bool:
    return " " in text.strip() and len(re.findall(r"[A-Za-z]{2,}", text)) >= FEWEST_WORDS
