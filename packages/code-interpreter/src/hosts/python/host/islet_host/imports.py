"""Calls back when the code has imported a module for the first time, so that nothing is imported for it in advance."""

import importlib.util
import sys


class ImportHook:
    """A finder that finds nothing of its own: it lets the others find, and wraps the loader."""

    def __init__(self):
        self._callbacks = {}

    def install(self):
        sys.meta_path.insert(0, self)

    def when_imported(self, name, callback):
        if name in sys.modules:
            callback(sys.modules[name])
        else:
            self._callbacks[name] = callback

    def find_spec(self, name, _path=None, _target=None):
        callback = self._callbacks.pop(name, None)
        if callback is None:
            return None
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None or not hasattr(spec.loader, "exec_module"):
            self._callbacks[name] = callback
            return None
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            callback(module)

        spec.loader.exec_module = exec_module
        return spec
