"""Views of one launch, cycle by cycle: Kanata for Konata, trace events for Perfetto."""

from archsim.view.kanata import write_kanata
from archsim.view.perfetto import write_perfetto
from archsim.view.pipeline import Executed, Pipeline, log_entries, log_from

__all__ = ["Executed", "Pipeline", "log_entries", "log_from", "write_kanata", "write_perfetto"]
