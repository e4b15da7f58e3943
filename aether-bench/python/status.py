"""Says what an interpreter is, whether its GIL is in force, and what is installed. Standard library only, Python >= 3.8.

`aether-bench` carries this file and runs it in the interpreter it asks about:

    status.py facts      one JSON object: the interpreter, and every distribution that matters here
    status.py imports    a JSON array of modules on standard input; each is imported, and what came of it is said as
                         one JSON object a line, right away: the next import may be the end of this process

Nothing is judged here. The Python package imports this file too, and calls `facts()` on the running interpreter.
"""

import importlib
import json
import os
import platform
import sys
import sysconfig
import warnings

LOOKED_AT = 4 << 20  # bytes at either end of a shared library in which its exported names are searched
FREE_THREADING = "Programming Language :: Python :: Free Threading"


def facts():
    return {
        "executable": sys.executable or "",
        "prefix": sys.prefix,
        "virtual_environment": sys.prefix != sys.base_prefix,
        "implementation": platform.python_implementation(),
        "version": platform.python_version(),
        "build": sys.version,
        "abi": sysconfig.get_config_var("SOABI") or sys.implementation.cache_tag or "",
        "platform": sysconfig.get_platform(),
        "configured": sysconfig.get_config_var("CONFIG_ARGS"),
        "debug_build": hasattr(sys, "gettotalrefcount"),
        "free_threaded_build": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "gil_enabled": gil_enabled(),
        "gil_option": gil_option(),
        "gil_variable": None if sys.flags.ignore_environment else os.environ.get("PYTHON_GIL"),
        "switch_interval": getattr(sys, "getswitchinterval", lambda: None)(),
        "thread_inherit_context": flag("thread_inherit_context"),
        "context_aware_warnings": flag("context_aware_warnings"),
        "extension_suffixes": extension_suffixes(),
        "loaded_extensions": loaded_extensions(),
        "distributions": list(distributions()),
    }


def gil_enabled():
    return getattr(sys, "_is_gil_enabled", lambda: True)()


def gil_option():
    value = getattr(sys, "_xoptions", {}).get("gil")
    return None if value is None else str(value)


def flag(name):
    value = getattr(sys.flags, name, None)
    return None if value is None else bool(value)


def extension_suffixes():
    from importlib.machinery import EXTENSION_SUFFIXES

    return list(EXTENSION_SUFFIXES)


def loaded_extensions():
    """Extension modules in memory that are not the standard library's: one of them may have enabled the GIL."""
    ours = os.path.join(sysconfig.get_path("platstdlib"), "lib-dynload")
    return sorted(
        name
        for name, module in list(sys.modules.items())
        for file in [getattr(module, "__file__", None)]
        if file and is_library(file) and not file.startswith(ours)
    )


def distributions():
    """What is installed, with what each installation says about itself."""
    from importlib.metadata import distributions as installed

    seen = set()
    for distribution in installed():
        try:
            described = describe(distribution)
        except Exception as error:  # One broken installation must not hide the others.
            described = {"name": None, "version": "", "problem": "%s: %s" % (type(error).__name__, error)}
        name = normalized(described["name"] or str(getattr(distribution, "_path", "?")))
        if name not in seen:  # The first on sys.path is the one that is imported.
            seen.add(name)
            described["name"] = name
            yield described


def describe(distribution):
    metadata = distribution.metadata
    classifiers = metadata.get_all("Classifier") or []
    files, listed = listed_files(distribution)
    return {
        "name": metadata["Name"],
        "version": metadata["Version"] or "",
        "classifiers": [line for line in classifiers if line.startswith(FREE_THREADING)],
        "tags": wheel_tags(distribution),
        "extensions": [found for found in map(extension, files) if found is not None],
        "files_listed": listed,
    }


def normalized(name):
    return "-".join(part for part in name.lower().replace("_", "-").replace(".", "-").split("-") if part)


def wheel_tags(distribution):
    text = distribution.read_text("WHEEL") or ""
    return [line[4:].strip() for line in text.splitlines() if line.startswith("Tag:")]


def listed_files(distribution):
    """Pairs of (path as listed, path on disk), and whether there was a list."""
    files = distribution.files
    if files is not None:
        return [(str(file), str(file.locate())) for file in files], True
    root = str(distribution.locate_file(""))
    found = []
    for top in (distribution.read_text("top_level.txt") or "").split():
        for folder, _, names in os.walk(os.path.join(root, top)):
            found += [os.path.join(folder, name) for name in names]
        found += [os.path.join(root, name) for name in beside(root, top)]
    return [(os.path.relpath(path, root), path) for path in found], False


def beside(root, top):
    """Single-file extension modules: `_yaml.cpython-*.so` next to the packages."""
    return [name for name in os.listdir(root) if name.startswith(top + ".") and is_library(name)]


def is_library(name):
    return name.endswith((".so", ".pyd"))


def extension(pair):
    """The module a listed file holds, or None if it is no extension module."""
    listed, path = pair
    listed = listed.replace(os.sep, "/")
    if not is_library(listed):
        return None
    folders, _, file = listed.rpartition("/")
    name, _, tag = file.partition(".")
    parts = [part for part in folders.split("/") if part] + [name]
    if not all(part.replace("_", "").isalnum() for part in parts):
        return None  # `numpy.libs/*` and `../lib/*` cannot be imported.
    if tag == "so" and not exports_module(path, name):
        return None
    return {"module": ".".join(parts), "tag": tag.rpartition(".")[0]}


def exports_module(path, name):
    """Whether a library without a tag in its name has the function every extension module has."""
    wanted = [(prefix + name).encode() for prefix in ("PyInit_", "PyModExport_")]
    try:
        with open(path, "rb") as file:
            content = file.read(LOOKED_AT)
            file.seek(0, os.SEEK_END)
            file.seek(max(LOOKED_AT, file.tell() - LOOKED_AT))
            content += file.read(LOOKED_AT)
    except OSError:
        return False
    return any(symbol in content for symbol in wanted)


def imports():
    """Imports one module after the other until one of them enables the GIL: from then on nothing more can be seen."""
    names = json.loads(sys.stdin.readline())
    say = private_output()
    warnings.simplefilter("always")
    for name in names:
        say({"module": name, "outcome": "started"})
        with warnings.catch_warnings(record=True) as caught:
            try:
                importlib.import_module(name)
                problem = None
            except BaseException as error:  # SystemExit too: some modules are scripts.
                problem = "%s: %s" % (type(error).__name__, error)
        enabled = gil_enabled()
        said = [str(warning.message) for warning in caught if issubclass(warning.category, RuntimeWarning)]
        outcome = "enabled-gil" if enabled else "imported" if problem is None else "failed"
        culprit = next(filter(None, map(named_module, said)), name) if enabled else None
        say({"module": name, "outcome": outcome, "culprit": culprit, "problem": problem})
        if enabled:
            break
    os._exit(0)  # What was imported may have left threads that wait for ever.


def named_module(text):
    """The module in CPython's warning that the GIL has been enabled."""
    _, found, rest = text.partition("has been enabled to load module '")
    return rest.partition("'")[0] if found else None


def private_output():
    """Modules print; the answers go where only we write."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def say(message):
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    return say


def main():
    if sys.version_info < (3, 8):
        sys.exit("Python 3.8 or later is needed; this is %s" % platform.python_version())
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != here]
    if sys.argv[1] == "imports":
        imports()
    print(json.dumps(facts()))


if __name__ == "__main__":
    main()
