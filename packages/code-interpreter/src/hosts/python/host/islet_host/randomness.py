"""Random generators after a snapshot: every copy goes on with the same memory, and would draw the same numbers.

A generator that the code has seeded itself must go on as it is, in every copy. Which are those is known because the
calls that seed are wrapped: `random.seed(1)` and `setstate` mark their generator, `random.seed()` unmarks it; so do
numpy's for its legacy generator, and `numpy.random.default_rng()` marks what it makes without a seed by a kind of
SeedSequence of ours. What is made in other ways (`numpy.random.PCG64()`) is left as it is.
"""

import functools
import gc
import os
import random
import sys
import weakref

_MARK = "_seeded_by_code"
# Made or used since this module was imported, but for the one that `random` draws from itself.
_known = weakref.WeakSet()
_numpy_seeded = False
# What numpy's generators were made with that the code gave no seed.
_fresh = weakref.WeakSet()


def install(imports):
    """Wraps what seeds. `imports` tells when numpy comes."""
    _wrap_standard()
    imports.when_imported("numpy.random", _wrap_numpy)


def reseed():
    """Seeds anew every generator that the code has not seeded itself."""
    for generator in list(_known):
        if not getattr(generator, _MARK, False):
            _original_seed(generator, os.urandom(32))
    ssl = sys.modules.get("_ssl")
    if ssl is not None:
        ssl.RAND_add(os.urandom(32), 32.0)
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        _reseed_numpy(numpy_random)


_original_seed = random.Random.seed
_original_setstate = random.Random.setstate


def _wrap_standard():
    @functools.wraps(_original_seed)
    def seed(self, a=None, version=2):
        _known.add(self)
        setattr(self, _MARK, a is not None)
        return _original_seed(self, a, version)

    @functools.wraps(_original_setstate)
    def setstate(self, state):
        _known.add(self)
        setattr(self, _MARK, True)
        return _original_setstate(self, state)

    random.Random.seed = seed
    random.Random.setstate = setstate
    own = random._inst
    _known.add(own)
    random.seed = own.seed
    random.setstate = own.setstate


def _wrap_numpy(module):
    """Wraps the names of `numpy.random`; its `RandomState` objects cannot be marked."""

    def seeding(original, explicit):
        @functools.wraps(original)
        def wrapped(*args, **kwargs):
            global _numpy_seeded
            outcome = original(*args, **kwargs)
            _numpy_seeded = explicit(*args, **kwargs)
            return outcome

        return wrapped

    module.seed = seeding(module.seed, lambda seed=None: seed is not None)
    module.set_state = seeding(module.set_state, lambda *_args, **_kwargs: True)

    class FreshSeedSequence(module.SeedSequence):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            _fresh.add(self)

        def __reduce__(self):
            # Whoever unpickles it does not have this class.
            return (module.SeedSequence, (self.entropy,))

    original = module.default_rng

    @functools.wraps(original)
    def default_rng(seed=None):
        return original(FreshSeedSequence() if seed is None else seed)

    module.default_rng = default_rng
    module.islet_fresh = FreshSeedSequence


def _reseed_numpy(module):
    if not _numpy_seeded:
        module.mtrand._rand.seed(int.from_bytes(os.urandom(4)))
    if not _fresh:
        # To look for what is not there would touch all that is in memory.
        return
    fresh = module.islet_fresh
    for found in gc.get_objects():
        if type(found) is module.Generator and isinstance(found.bit_generator.seed_seq, fresh):
            found.bit_generator.state = type(found.bit_generator)().state
