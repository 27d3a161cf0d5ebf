"""Settings of the whole suite."""

from __future__ import annotations

from hypothesis import settings

# Examples of a property test may be slow on a busy machine; a hang is caught by the run's own time limit.
settings.register_profile("archsim", deadline=None)
settings.load_profile("archsim")
