"""`jit`: the decorator of every inner kernel function.

Inner functions are only ever called from other compiled code. Numba would still optimise each of them together with
everything that it calls, and generate machine code for it, at every level of the call tree; for the GPU model that is
more than half of the compile time. Here inner functions stop at LLVM code, which the entry point links, optimises and
compiles once. Reference counting is off: kernels allocate nothing.

The mechanism rests on Numba's compiler pipeline (public: ``pipeline_class``) and on its code libraries (not public);
where those have changed, plain ``njit`` is used, which is slower to compile and otherwise the same.
"""

from __future__ import annotations

from typing import Any

from numba import njit

OPTIONS: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "error_model": "numpy", "_nrt": False}

try:
    from numba import _dynfunc
    from numba.core.codegen import CPUCodeLibrary
    from numba.core.compiler import CompilerBase, DefaultPassBuilder
    from numba.core.compiler_machinery import FunctionPass, LoweringPass, register_pass
    from numba.core.typed_passes import NativeLowering, NoPythonSupportedFeatureValidation

    class _LinkOnlyLibrary(CPUCodeLibrary):
        """LLVM code to be linked into a caller: not optimised as a whole, no machine code."""

        def _optimize_final_module(self) -> None:
            pass

        def _finalize_final_module(self) -> None:
            self._finalize_dynamic_globals()
            self._verify_declare_only_symbols()
            self._finalized = True

        def get_pointer_to_function(self, name: str) -> int:
            return 0

    @register_pass(mutates_CFG=False, analysis_only=False)
    class _UseLinkOnlyLibrary(FunctionPass):
        _name = "archsim_use_link_only_library"

        def __init__(self) -> None:
            FunctionPass.__init__(self)

        def run_pass(self, state: Any) -> bool:
            state.library = _LinkOnlyLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
            state.flags.no_compile = True
            return True

    @register_pass(mutates_CFG=False, analysis_only=True)
    class _GiveIdentity(LoweringPass):
        """Callers find a compiled function by its entry point: give it one, without code behind it."""

        _name = "archsim_give_identity"

        def __init__(self) -> None:
            LoweringPass.__init__(self)

        def run_pass(self, state: Any) -> bool:
            result = state["cr"]
            described = result.fndesc
            entry = _dynfunc.make_function(
                described.lookup_module(), described.qualname, "", 0, result.env, (state.library,)
            )
            state.targetctx.insert_user_function(entry, described, [state.library])
            state["cr"] = result._replace(cfunc=entry)
            return False

    class _InnerCompiler(CompilerBase):
        def define_pipelines(self) -> list[Any]:
            manager = DefaultPassBuilder.define_nopython_pipeline(self.state, "archsim_inner")
            manager._finalized = False
            manager.add_pass_after(_GiveIdentity, NativeLowering)
            manager.add_pass_after(_UseLinkOnlyLibrary, NoPythonSupportedFeatureValidation)
            manager.finalize()
            return [manager]

    OPTIONS["pipeline_class"] = _InnerCompiler
except ImportError:  # pragma: no cover - another Numba
    pass

jit = njit(**OPTIONS)
