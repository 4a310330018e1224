"""``python -m benchmarks [--list] [name ...]``: run the named benchmarks, or all."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
from types import ModuleType

import benchmarks


def main() -> None:
    found = find_benchmarks()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*found, []], metavar="name", help=", ".join(found))
    parser.add_argument("--list", action="store_true", help="say what each compares, and run none")
    arguments = parser.parse_args()
    for name in arguments.names or found:
        print(f"{name}: {(found[name].__doc__ or '').splitlines()[0]}", flush=True)
        if not arguments.list:
            found[name].run()
            print(flush=True)


def find_benchmarks() -> dict[str, ModuleType]:
    """Return every module here that can be run, by name."""
    names = [module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name != "__main__"]
    modules = {name: importlib.import_module(f"benchmarks.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "run")}


if __name__ == "__main__":
    main()
