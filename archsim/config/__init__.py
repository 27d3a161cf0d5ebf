"""Machine configurations: typed, documented, sourced. See ``archsim describe`` for every parameter."""

from archsim.config.loader import load_config
from archsim.config.machine import MachineConfig
from archsim.config.output import content_hash, diff, flatten, to_yaml

__all__ = ["MachineConfig", "content_hash", "diff", "flatten", "load_config", "to_yaml"]
