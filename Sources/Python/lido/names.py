"""Functions by name: `module:qualname`, and `__main__:qualname` with the path of the script."""

import collections
import importlib
import importlib.util
import os
import sys
import types
from typing import Any, Callable, Dict, Iterable, Optional, Tuple

from lido import codec, tasks
from lido.errors import TaskNotFound

__all__ = ["Functions", "main_script", "name_of", "name_within_module"]

WAYS_OUT = (
    "two ways out: move it to a module that the workers can import (a file in their working "
    "folder or on their PYTHONPATH), or set `allow_main: true` for the pool in lido.yaml, which "
    "loads the script as __mp_main__ in workers that see the same file system")

NO_SCRIPT = (
    "of python -c, standard input or an interactive session there is no script that a worker could "
    "load; write it to a file, or put what is called, and classes of values, in a module that the "
    "workers can import")


def name_of(function: Callable[..., Any]) -> Optional[str]:
    """The name by which a worker finds this very function, or None when it has none: a lambda, a
    function within another, a method of an object."""
    module = getattr(function, "__module__", None)
    qualname = getattr(function, "__qualname__", None)
    owner = getattr(function, "__self__", None)
    if isinstance(owner, type):  # A class method: of the class that it was taken from.
        module = owner.__module__
        qualname = f"{owner.__qualname__}.{getattr(function, '__name__', '')}"
    if not isinstance(module, str) or not isinstance(qualname, str):
        return None
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if found is not function and (not isinstance(owner, type) or found != function):
        return None
    return f"{'__main__' if module == '__mp_main__' else module}:{qualname}"


def own_module() -> Optional[str]:
    """The name of the module that this program is (`python -m package.module`), or None."""
    name = getattr(getattr(sys.modules.get("__main__"), "__spec__", None), "name", None)
    return None if name == "__main__" else name  # Which a folder and an archive are run as.


def name_within_module(name: str) -> Optional[str]:
    """A name of the program itself, for workers that do not load it: under `python -m` it is a
    module that they may be able to import. None where it is not. Values of its classes would come
    back as another module's, and are refused from now on."""
    module = own_module()
    if module is None:
        return None
    codec.not_imported[module] = (
        f"as this program is {module} itself (python -m), that would be another class than its "
        f"own; {WAYS_OUT}")
    return f"{module}:{name.partition(':')[2]}"


#: Stands in the path of a script before the part that is the name of its module: a worker is told
#: `/srv/./package/module.py`, which is still the path of that file.
_MARK = "/./"


def main_script() -> Optional[str]:
    """The path of the script that this program is, with a mark before its package if it is a module
    (`python -m`). None where there is none that a worker could load: an interactive session, `-c`,
    a module that does not lie where its name says."""
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    if not isinstance(path, str) or not os.path.isfile(path):
        return None
    path = os.path.abspath(path)
    name = own_module()
    if name is None:
        return path
    end = "/" + name.replace(".", "/") + ".py"
    return path[:-len(end)] + _MARK + end[1:] if path.endswith(end) else None


def _folder_and_module(script: str) -> Tuple[str, Optional[str]]:
    """Of a path that `main_script` made: what belongs on `sys.path`, and the name of the module."""
    root, mark, rest = script.partition(_MARK)
    if not mark or not rest.endswith(".py"):
        return os.path.dirname(script), None
    return root or "/", rest[:-len(".py")].replace("/", ".")


def _make_importable(folder: str) -> None:
    if folder in sys.path:
        return
    # The worker's own packages stay before those of an environment that the submitter runs in.
    is_last = os.path.basename(folder) in ("site-packages", "dist-packages")
    sys.path.insert(len(sys.path) if is_last else 0, folder)


class Script:
    """A submitter's script that was loaded, and what was found in it."""

    def __init__(self, module: types.ModuleType) -> None:
        self.module = module
        self.found: Dict[str, Callable[..., Any]] = {}

    def become_main(self) -> None:
        """Makes it what pickles name `__main__`."""
        sys.modules["__main__"] = sys.modules["__mp_main__"] = self.module


#: A script's path, and when it was changed and how long it is.
Version = Tuple[str, int, int]

#: So many scripts are kept: submitters that take turns do not have theirs loaded for each call.
_SCRIPTS_MAX = 8


class Functions:
    """Finds functions for a worker. Only for its main thread."""

    def __init__(self, is_open: bool = False, allow_main: bool = False) -> None:
        """`is_open`: functions of any module may be called, not only of those loaded here."""
        self.is_open = is_open
        self.allow_main = allow_main
        self._modules: Dict[str, types.ModuleType] = {}
        self._found: Dict[str, Callable[..., Any]] = {}
        # The scripts that were used last, the last one at the end.
        self._scripts: "collections.OrderedDict[Version, Script]" = collections.OrderedDict()

    def load(self, places: Iterable[str]) -> None:
        """Imports modules, by name or by the path of a file. Raises what importing raises."""
        for place in places:
            module = _load(place)
            self._modules[module.__name__] = module

    def use_script(self, path: Optional[str], is_needed: bool) -> None:
        """Makes the modules beside the submitter's script importable, and when `is_needed` the
        script itself `__main__`. It is loaded again when it has changed."""
        if path is None or not self.allow_main:
            if is_needed and self.allow_main:
                raise TaskNotFound(f"the submission names no script (main): {NO_SCRIPT}")
            if is_needed:
                raise TaskNotFound(f"this pool does not load the submitter's script; {WAYS_OUT}")
            return
        _make_importable(_folder_and_module(path)[0])
        if not is_needed:
            return
        try:
            status = os.stat(path)
        except OSError as error:
            raise TaskNotFound(
                f"the worker cannot read the script {path}: {error.strerror}; it must see the "
                "same file system as the submitter") from error
        version = (path, status.st_mtime_ns, status.st_size)
        if version in self._scripts:
            self._scripts.move_to_end(version)
            self._scripts[version].become_main()
            return
        self._scripts[version] = Script(_run_script(path))
        # What was of this path is old, and of others only some are kept.
        for other in [other for other in self._scripts if other[0] == path and other != version]:
            del self._scripts[other]
        if len(self._scripts) > _SCRIPTS_MAX:
            self._scripts.popitem(last=False)

    def find(self, name: str, script: Optional[str] = None) -> Callable[..., Any]:
        """The function of that name. Raises `TaskNotFound`, and what importing raises."""
        function = tasks.registered.get(name)
        if function is not None:
            return function
        module, colon, qualname = name.partition(":")
        if not colon or not module or not qualname:
            known = ", ".join(sorted(tasks.registered)) or "none"
            raise TaskNotFound(
                f"no task is registered as {name!r} (registered: {known}); a function that is not "
                "is called by module:name")
        is_main = module in ("__main__", "__mp_main__")
        self.use_script(script, is_needed=is_main)
        found = self._script.found if is_main else self._found
        function = found.get(name)
        if function is None:
            function = found[name] = self._look_up(name, module, qualname, is_main)
        return function

    @property
    def _script(self) -> "Script":
        """The one that is used."""
        return next(reversed(self._scripts.values()))

    def _look_up(
        self, name: str, module_name: str, qualname: str, is_main: bool
    ) -> Callable[..., Any]:
        module: Any = self._script.module if is_main else self._module(name, module_name)
        found: Any = module
        for part in qualname.split("."):
            # Through classes only: a module that a module has imported is not a part of it.
            if found is not module and not isinstance(found, type):
                raise TaskNotFound(f"{name!r} leads through what is no class")
            try:
                found = getattr(found, part)
            except AttributeError:
                raise TaskNotFound(f"{module_name} has no {qualname!r}") from None
        if not callable(found):
            raise TaskNotFound(f"{name!r} is not a function")
        if not is_main and not self._may_run(module, qualname, found):
            raise TaskNotFound(self._not_of_its_module(name, module_name, found))
        function: Callable[..., Any] = found
        return function

    def _may_run(self, module: Any, qualname: str, function: Any) -> bool:
        """What a module has only imported is not its own (`from os import system`), unless it says
        so: its `__all__`, as that of `operator`, names what is written elsewhere."""
        return (
            self.is_open or getattr(function, "__module__", None) in self._modules
            or qualname in getattr(module, "__all__", ()))

    def _not_of_its_module(self, name: str, module_name: str, function: Any) -> str:
        owner = getattr(function, "__module__", None) or "no module"
        return (
            f"{name!r} is of {owner}, which {module_name} has only imported, and this pool runs "
            f"the functions of the modules that lido.yaml names ({self._known()}); define one in "
            f"{module_name} that calls it, register it there (lido.task), or {_OPEN}")

    def _not_named(self, name: str, module_name: str) -> str:
        return (
            f"{name!r} cannot be called: this pool runs the functions of the modules that "
            f"lido.yaml names ({self._known()}), and {module_name} is none of them; add it there, "
            f"as in `worker: [python3, -m, lido.worker, ..., {module_name}]`, or {_OPEN}")

    def _known(self) -> str:
        return ", ".join(self._modules) or "none"

    def _module(self, name: str, module_name: str) -> types.ModuleType:
        module = self._modules.get(module_name)
        if module is not None:
            return module
        if not self.is_open:
            raise TaskNotFound(self._not_named(name, module_name))
        try:
            return importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not (module_name + ".").startswith(error.name + "."):
                raise  # It is there, and what it imports is not.
            way_out = "" if self.allow_main else (
                "; with `allow_main: true` for the pool in lido.yaml, workers that see the same "
                "file system find the modules that lie beside the submitter's program")
            raise TaskNotFound(
                f"the worker cannot import {module_name}: it is neither in its working folder "
                f"({os.getcwd()}) nor on its PYTHONPATH{way_out}") from None


_OPEN = (
    "add --any-module there, with which clients may call every function that the worker can "
    "import, as in pools with allow_pickle or allow_main")


def _load(place: str) -> types.ModuleType:
    if not place.endswith(".py") and os.sep not in place:
        return importlib.import_module(place)
    path = os.path.abspath(place)
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{place} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    folder = os.path.dirname(path)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _run_script(path: str) -> types.ModuleType:
    """Loads a script as multiprocessing's spawn does: as `__mp_main__`, so that what stands under
    `if __name__ == "__main__"` is left out, and then as `__main__`, for what is pickled. One that
    is a module (`python -m`) is so within its package, which is imported first."""
    module = types.ModuleType("__mp_main__")
    _, name = _folder_and_module(path)
    if name is not None:
        path = os.path.normpath(path)  # Without the mark.
        module.__spec__ = importlib.util.spec_from_file_location(name, path)
        module.__package__ = name.rpartition(".")[0]
    module.__file__ = path
    before = sys.modules.get("__main__"), sys.modules.get("__mp_main__")
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module
    tasks.is_loading_script = True
    try:
        if module.__package__:
            importlib.import_module(module.__package__)
        with open(path, "rb") as file:
            code = compile(file.read(), path, "exec")
        exec(code, module.__dict__)
    except BaseException:
        for name, old in zip(("__main__", "__mp_main__"), before):
            if old is None:
                del sys.modules[name]
            else:
                sys.modules[name] = old
        raise
    finally:
        tasks.is_loading_script = False
    return module
