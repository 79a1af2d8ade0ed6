"""A wheel holds one package, `narrows`: what a checkout calls `service.x` is `narrows.service.x` once it is installed.

So a project with packages of its own called `service`, `storage` or `workers` keeps them. A checkout and its editable
install see the folders as they are.
"""

import ast
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

EXAMPLES = [path.name for path in sorted(Path("examples").glob("*.yaml"))]
PARTS = ("service", "storage", "workers")


def inside_narrows(source: str, file: str) -> str:
    """The text of a module with its imports of the other three packages as imports of `narrows.…`.

    Raises SystemExit for `import service.x`, which has no such counterpart.
    """
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and _is_ours(node.module or ""):
            line = lines[node.lineno - 1]
            column = len(line.encode()[: node.col_offset].decode()) + len("from ")
            lines[node.lineno - 1] = f"{line[:column]}narrows.{line[column:]}"
        elif isinstance(node, ast.Import) and any(_is_ours(one.name) for one in node.names):
            raise SystemExit(f"{file}:{node.lineno}: write `from … import …`: a wheel has this module inside narrows")
    return "".join(lines)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in PARTS


class BuildInsideNarrows(build_py):
    """Puts the other three packages inside `narrows`, unless the install is an editable one."""

    def get_module_outfile(self, build_dir: str, package: list[str], module: str) -> str:
        if package[0] in PARTS and not self.editable_mode:
            package = ["narrows", *package]
        return super().get_module_outfile(build_dir, package, module)

    def build_module(self, module: str, module_file: str, package: str) -> tuple[str, bool]:
        outfile, copied = super().build_module(module, module_file, package)
        if not self.editable_mode:
            Path(outfile).write_text(inside_narrows(Path(module_file).read_text(), module_file))
        return outfile, copied

    def _get_data_files(self):
        for package, source, build, files in super()._get_data_files():
            if package.partition(".")[0] in PARTS and not self.editable_mode:
                build = str(Path(self.build_lib, "narrows", *package.split(".")))
            yield package, source, build, files
        if not self.editable_mode:
            yield "narrows", "examples", str(Path(self.build_lib, "narrows", "examples")), EXAMPLES


class NarrowsAlone(Distribution):
    """Names `narrows` as the only top-level package of an installation."""

    def iter_distribution_names(self):
        yield "narrows"


setup(cmdclass={"build_py": BuildInsideNarrows}, distclass=NarrowsAlone)
