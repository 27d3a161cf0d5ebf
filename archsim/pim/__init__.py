"""The PIM-GPT accelerator: GPT models, their mapping onto DRAM-PIM banks, its programs, time and energy.

The specification is the published description of PIM-GPT (Wu, Wang, Lu, arXiv 2310.09385); docs/pim-gpt.md says what is
taken from it, what is derived, and what remains open. ``run_model`` is the entry point::

    from archsim.pim import load_model, load_system, run_model

    result = run_model(load_model("gpt2-small"), load_system("pim_gpt"), tokens=1024)
    print(result.seconds_per_token)
"""

from archsim.pim.models import GptModel, list_models, load_model
from archsim.pim.run import PimResult, run_model
from archsim.pim.system import PimSystem, load_system

__all__ = ["GptModel", "PimResult", "PimSystem", "list_models", "load_model", "load_system", "run_model"]
