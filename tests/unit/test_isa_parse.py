"""The instruction parser: destinations, sources, widths and immediates, on hand-verified lines of every family."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.errors import IsaError
from archsim.isa import MemKind, MemSpace, OperandKind, Unit, op_info, parse_instruction
from archsim.isa.tables import ARCHITECTURES
from archsim.isa.tables_data import OPCODES

# text, arch, destinations, sources; `:n` behind a register is its width where it is not 1.
SPLITS = [
    ("IADD3 R0, P0, R1, UR4, RZ", 90, "R0 P0", "R1 UR4 RZ"),
    ("IADD3 R1, PT, PT, R1, -0x8, RZ", 100, "R1 PT PT", "R1 -0x8 RZ"),
    ("IADD3.X R5, P1, R6, R7, RZ, P0, !PT", 86, "R5 P1", "R6 R7 RZ P0 !PT"),
    ("IADD.64 R4, R4, 0x4d0", 120, "R4:2", "R4:2 0x4d0"),
    ("IMAD.WIDE R2, R3, 0x4, R6", 90, "R2:2", "R3 0x4 R6:2"),
    ("IMAD.WIDE.U32 R2, P0, R3, R4, R6", 80, "R2:2 P0", "R3 R4 R6:2"),
    ("IMAD.HI.U32 R2, R3, R4, R6", 80, "R2", "R3 R4 R6:2"),
    ("IMAD.X R17, RZ, RZ, UR4, P0", 90, "R17", "RZ RZ UR4 P0"),
    ("ISETP.GE.AND P0, PT, R2.reuse, R3, PT", 90, "P0 PT", "R2.reuse R3 PT"),
    ("ISETP.GE.U32.AND.EX P0, PT, R2, R3, PT, P1", 90, "P0 PT", "R2 R3 PT P1"),
    ("ISETP.GE.S64.AND P0, PT, R2, R4, PT", 120, "P0 PT", "R2:2 R4:2 PT"),
    ("LOP3.LUT P0, RZ, R0, 0x7f, RZ, 0xc0, !PT", 86, "P0 RZ", "R0 0x7f RZ 0xc0 !PT"),
    ("LOP3.LUT R0, R2, R3, RZ, 0x3c, !PT", 86, "R0", "R2 R3 RZ 0x3c !PT"),
    ("PLOP3.LUT P0, PT, P0, P1, PT, 0xa8, 0x0", 86, "P0 PT", "P0 P1 PT 0xa8 0x0"),
    ("LEA R6, P0, R2, c[0x0][0x168], 0x2", 86, "R6 P0", "R2 c[0x0][0x168] 0x2"),
    ("LEA.HI.X.SX32 R9, R0.reuse, c[0x0][0x164], 0x1, P0", 86, "R9", "R0.reuse c[0x0][0x164] 0x1 P0"),
    ("SEL R14, R2, R3, !P0", 86, "R14", "R2 R3 !P0"),
    ("FSEL R14, R2, R3, P0", 86, "R14", "R2 R3 P0"),
    ("VIMNMX.S16x2 R10, PT, PT, R2, R10, !PT", 100, "R10 PT PT", "R2 R10 !PT"),
    ("VIMNMX R3, R3, 0x46a00000, PT", 90, "R3", "R3 0x46a00000 PT"),
    ("FMNMX R3, R3, R4, !PT", 90, "R3", "R3 R4 !PT"),
    ("P2R R0, PR, R1, 0x7f", 86, "R0", "PR R1 0x7f"),
    ("R2P PR, R0, 0x7f", 86, "PR", "R0 0x7f"),
    ("DFMA R10, R12, -R4, 1", 86, "R10:2", "R12:2 -R4:2 1"),
    ("DSETP.NAN.AND P0, PT, R4, R4, PT", 86, "P0 PT", "R4:2 R4:2 PT"),
    ("FSETP.GTU.FTZ.AND P0, PT, |R0|, +INF , PT", 86, "P0 PT", "|R0| +INF PT"),
    ("FCHK P0, R3, R5", 86, "P0", "R3 R5"),
    ("FFMA R0, R1, R2, -RZ", 86, "R0", "R1 R2 -RZ"),
    ("FFMA2 R0, R2, R4, R6", 100, "R0:2", "R2:2 R4:2 R6:2"),
    ("MUFU.RCP64H R3, R5", 86, "R3", "R5"),
    ("F2F.F32.F64 R0, R2", 86, "R0", "R2:2"),
    ("F2F.F64.F32 R0, R2", 86, "R0:2", "R2"),
    ("F2I.U64.TRUNC R0, R2", 86, "R0:2", "R2"),
    ("F2I.F64.TRUNC R0, R2", 86, "R0", "R2:2"),
    ("I2F.F64.S64 R0, R2", 86, "R0:2", "R2:2"),
    ("FRND.F64.FLOOR R0, R2", 86, "R0:2", "R2:2"),
    ("HFMA2.MMA R5, -RZ, RZ, 0, 5.96e-08", 80, "R5", "-RZ RZ 0 5.96e-08"),
    ("HSETP2.EQ.AND P0, P2, R4.H0_H0, R5.H0_H0, PT", 86, "P0 P2", "R4.H0_H0 R5.H0_H0 PT"),
    ("HSET2.BF.LT.AND R9, R0, R9, PT", 86, "R9", "R0 R9 PT"),
    ("HMMA.16816.F32 R4, R8, R2, R4", 80, "R4:4", "R8:4 R2:2 R4:4"),
    ("HMMA.16816.F16 R4, R8, R2, R4", 80, "R4:2", "R8:4 R2:2 R4:2"),
    ("HMMA.1688.F32 R4, R8, R2, R4", 75, "R4:4", "R8:2 R2 R4:4"),
    ("HMMA.1688.F32.TF32 R4, R8, R2, R4", 80, "R4:4", "R8:4 R2:2 R4:4"),
    ("IMMA.16832.S8.S8 R12, R12.ROW, R20.COL, R8", 80, "R12:4", "R12.ROW:4 R20.COL:2 R8:4"),
    ("IMMA.8816.S8.S8 R12, R12.ROW, R20.COL, R8", 75, "R12:2", "R12.ROW R20.COL R8:2"),
    ("DMMA.884 R8, R8, R10, R12", 80, "R8:4", "R8:2 R10:2 R12:4"),
    ("BMMA.168256.XOR.POPC R8, R4.ROW, R10.COL, R12", 80, "R8:4", "R4.ROW:4 R10.COL:2 R12:4"),
    ("LDG.E.64 R2, desc[UR4][R6.64+0x10]", 90, "R2:2", "desc[UR4][R6.64+0x10]:2"),
    ("LDG.E.128.CONSTANT R4, [R2.64]", 86, "R4:4", "[R2.64]:2"),
    ("LDG.E.SYS R4, [R2+0x10]", 75, "R4", "[R2+0x10]:2"),
    ("STG.E.128 desc[UR4][R2.64], R8", 90, "", "desc[UR4][R2.64]:2 R8:4"),
    ("LDS.64 R2, [R1.X4+0x8]", 86, "R2:2", "[R1.X4+0x8]"),
    ("STS.U8 [R11+UR4], R0", 90, "", "[R11+UR4] R0"),
    ("STL.64 [R1], RZ", 90, "", "[R1] RZ:2"),
    ("LDC.64 R2, c[0x2][R2]", 90, "R2:2", "c[0x2][R2]"),
    ("ULDC.64 UR36, c[0x0][0x208]", 90, "UR36:2", "c[0x0][0x208]"),
    ("LDCU.128 UR8, c[0x0][0x380]", 100, "UR8:4", "c[0x0][0x380]"),
    ("LDSM.16.M88.4 R8, [R2+UR4]", 90, "R8:4", "[R2+UR4]"),
    ("STSM.16.M88.2 [R6], R4", 90, "", "[R6] R4:2"),
    ("ATOMG.E.ADD.64.STRONG.GPU PT, R2, desc[UR6][R18.64], R4", 90, "PT R2:2", "desc[UR6][R18.64]:2 R4:2"),
    ("ATOMG.E.CAS.64.STRONG.GPU PT, R2, [R4], R6, R8", 86, "PT R2:2", "[R4]:2 R6:2 R8:2"),
    ("ATOMS.CAST.SPIN P0, [R2+0xc], R8, R9", 90, "P0", "[R2+0xc] R8 R9"),
    ("ATOMS.POPC.INC.32 RZ, [R0+UR4]", 90, "RZ", "[R0+UR4]"),
    ("RED.E.ADD.F64.RN.STRONG.GPU [R2.64], R4", 86, "", "[R2.64]:2 R4:2"),
    ("REDG.E.ADD.STRONG.GPU desc[UR4][R2.64], R9", 90, "", "desc[UR4][R2.64]:2 R9"),
    ("LDGSTS.E.BYPASS.128 [R13], desc[UR10][R6.64], P0", 90, "", "[R13] desc[UR10][R6.64]:2 P0"),
    ("SHFL.DOWN PT, R0, R1, 0x10, 0x1f", 86, "PT R0", "R1 0x10 0x1f"),
    ("VOTE.ANY R4, PT, P0", 86, "R4 PT", "P0"),
    ("VOTE.ALL P0, P1", 86, "P0", "P1"),
    ("VOTEU.ANY UR5, UPT, PT", 90, "UR5 UPT", "PT"),
    ("MATCH.ALL P2, R17, R12", 86, "P2 R17", "R12"),
    ("MATCH.ANY.U64 R13, R12", 86, "R13", "R12:2"),
    ("ELECT P1, URZ, PT", 90, "P1 URZ", "PT"),
    ("REDUX.SUM.S32 UR4, R8", 86, "UR4", "R8"),
    ("QSPC.E.S P0, RZ, [R2+0xc]", 86, "P0 RZ", "[R2+0xc]:2"),
    ("B2R.RESULT RZ, P1", 86, "RZ P1", ""),
    ("BAR.RED.POPC.DEFER_BLOCKING 0x0, P0", 86, "", "0x0 P0"),
    ("BMOV.32.CLEAR R16, B6", 86, "R16", "B6"),
    ("BMOV.32 B6, R16", 86, "B6", "R16"),
    ("BSYNC B0", 86, "", "B0"),
    ("S2R R5, SR_TID.X", 86, "R5", "SR_TID.X"),
    ("CS2R R12, SRZ", 86, "R12:2", "SRZ"),
    ("CS2R.32 R12, SR_CLOCKLO", 86, "R12", "SR_CLOCKLO"),
    ("R2UR UR42, R0", 86, "UR42", "R0"),
    ("BRX R4 -0x570", 86, "", "R4:2 -0x570"),
    ("DEPBAR.LE SB0, 0x1, {1,2}", 86, "", "SB0 0x1 {1,2}"),
    ("SYNCS.PHASECHK.TRANS64.TRYWAIT P0, [UR40+0x400], R0", 90, "P0", "[UR40+0x400] R0"),
    ("SYNCS.EXCH.64 URZ, [UR6], UR4", 90, "URZ:2", "[UR6] UR4:2"),
    ("UTMALDG.2D [UR40], [UR4]", 90, "", "[UR40] [UR4]"),
    ("TEX.LL RZ, R8, R8, R25, UR4, 0x0, 3D, 0x5", 90, "RZ R8:2", "R8 R25 UR4 0x0 3D 0x5"),
    ("SUST.D.BA.2D.STRONG.SM.TRAP [R22], R15, 0x0, 0x5a", 80, "", "[R22] R15 0x0 0x5a"),
    ("UISETP.GE.AND UP0, UPT, UR6, 0x1, UPT", 90, "UP0 UPT", "UR6 0x1 UPT"),
]  # fmt: skip


def _shown(operands):
    ones = (OperandKind.PRED, OperandKind.UPRED)
    return " ".join(o.text + (f":{o.width}" if o.width > 1 and o.kind not in ones else "") for o in operands)


@pytest.mark.parametrize(("text", "arch", "dests", "sources"), SPLITS)
def test_destinations_and_sources(text, arch, dests, sources):
    instruction = parse_instruction(text, arch)
    assert _shown(instruction.dests) == dests
    assert _shown(instruction.sources) == sources
    op_info(instruction, arch)  # every line of the table is a known opcode


def test_guard_and_address_fields():
    instruction = parse_instruction("@!UP2 LDG.E R2, [R6.64+UR4+-0x10] ;", 75, address=0x40)
    operand = instruction.sources[0]
    assert (instruction.guard, instruction.guard_negated, instruction.guard_uniform) == (2, True, True)
    assert (operand.reg, operand.ureg, operand.value, operand.wide) == (6, 4, -16, True)
    assert instruction.address == 0x40 and instruction.base == "LDG" and instruction.modifiers == ("E",)


def test_descriptor_and_indexed_constant():
    load = parse_instruction("LDG.E R2, desc[UR4][R6.64+0x10]", 90).sources[0]
    assert (load.kind, load.desc, load.reg, load.value) == (OperandKind.DESC, 4, 6, 16)
    constant = parse_instruction("IADD3 R0, R1, -c[0x3][UR4+0x8], RZ", 86).sources[1]
    assert (constant.kind, constant.bank, constant.ureg, constant.value) == (OperandKind.CONST, 3, 4, 8)
    assert constant.negated


def test_immediates_keep_the_bits_of_the_operands_type():
    assert parse_instruction("FADD R0, R1, -1.5", 86).sources[1].value == 0xBFC00000
    assert parse_instruction("DADD R0, R2, -1.5", 86).sources[1].value == 0xBFF8000000000000
    halves = [o.value for o in parse_instruction("HFMA2.MMA R5, -RZ, RZ, 1, -2", 80).sources[2:]]
    assert halves == [0x3C00, 0xC000]


def test_encoding_decides_over_the_printed_value():
    encoding = (0xFF812345_00000000, 0)  # a NaN whose payload the text does not show
    assert parse_instruction("FADD R0, R1, -QNAN", 86, encoding=encoding).sources[1].value == 0xFF812345
    assert parse_instruction("DADD R0, R2, 1", 86, encoding=encoding).sources[1].value == 0xFF812345 << 32


def test_labels():
    labels = {".L_x_0": 0x60}
    branch = parse_instruction("@P0 BRA P2, `(.L_x_0)", 86, labels=labels)
    assert [o.kind for o in branch.sources] == [OperandKind.PRED, OperandKind.LABEL]
    assert branch.sources[1].value == 0x60
    assert parse_instruction("BRA 0x230", 86).sources[0].value == 0x230
    with pytest.raises(IsaError, match=r"kernel at 0x10: the branch target '`\(\.L_x_9\)' is not in this code"):
        parse_instruction("BRA `(.L_x_9)", 86, 0x10, labels=labels, function="kernel")


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_unknown_opcode_names_opcode_address_and_function(arch):
    instruction = parse_instruction("FROB.X R0, R1", arch, address=0x1F0, function="my_kernel")
    with pytest.raises(IsaError, match=f"unknown opcode FROB.X for sm_{arch} at 0x1f0 in my_kernel"):
        op_info(instruction, arch)


def test_unknown_architecture():
    with pytest.raises(IsaError, match="sm_42 has no opcode table"):
        op_info(parse_instruction("NOP", 42), 42)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_opcode_of_every_architecture_has_a_unit(arch):
    for base in OPCODES[arch]:
        assert isinstance(op_info(parse_instruction(base, arch), arch).unit, Unit)


@pytest.mark.parametrize(
    ("text", "arch", "unit", "space", "kind", "size", "scope", "records"),
    [
        ("LDG.E.128 R4, [R2.64]", 86, "MEMORY", "GLOBAL", "LOAD", 16, "", 1),
        ("LDG.E.STRONG.SM R4, [R2.64]", 86, "MEMORY", "GLOBAL", "LOAD", 4, "SM", 1),
        ("LDG.E.SYS R4, [R2]", 75, "MEMORY", "GLOBAL", "LOAD", 4, "", 1),
        ("LD.E.U8 R4, [R2.64]", 86, "MEMORY", "GENERIC", "LOAD", 1, "", 1),
        ("STL.64 [R1], R2", 86, "MEMORY", "LOCAL", "STORE", 8, "", 1),
        ("LDS.U16 R2, [R1]", 86, "MEMORY", "SHARED", "LOAD", 2, "", 1),
        ("LDSM.16.M88.4 R8, [R2]", 86, "MEMORY", "SHARED", "LOAD", 16, "", 1),
        ("LDC R2, c[0x0][0x10]", 90, "MEMORY", "CONST", "LOAD", 4, "", 0),
        ("LDC R2, c[0x2][R2]", 90, "MEMORY", "CONST", "LOAD", 4, "", 1),
        ("ULDC UR2, c[0x0][0x10]", 90, "UNIFORM", "CONST", "LOAD", 4, "", 0),
        ("LDGSTS.E.BYPASS.128 [R13], [R6.64]", 86, "MEMORY", "GLOBAL", "LDGSTS", 16, "", 2),
        ("ATOMG.E.ADD.STRONG.GPU PT, R2, [R4.64], R5", 86, "MEMORY", "GLOBAL", "ATOMIC", 4, "GPU", 1),
        ("RED.E.ADD.F64.RN.STRONG.GPU [R4.64], R6", 86, "MEMORY", "GENERIC", "REDUCTION", 8, "GPU", 1),
        ("ATOMS.ADD R2, [R4], R5", 86, "MEMORY", "SHARED", "ATOMIC", 4, "", 1),
        ("SHFL.IDX PT, R0, R1, R2, 0x1f", 86, "MEMORY", "NONE", "MISC", 0, "", 0),
        ("MEMBAR.SC.GPU", 86, "MEMORY", "NONE", "FENCE", 0, "GPU", 0),
        ("UTMALDG.2D [UR40], [UR4]", 90, "MEMORY", "GLOBAL", "BULK", 0, "", 0),
        ("POPC R0, R1", 86, "SFU", "NONE", "NONE", 0, "", 0),
        ("F2F.F32.F64 R0, R2", 86, "FP64", "NONE", "NONE", 0, "", 0),
        ("F2F.F16.F32 R0, R2", 75, "SFU", "NONE", "NONE", 0, "", 0),
        ("IMAD R0, R1, R2, R3", 86, "FP32", "NONE", "NONE", 0, "", 0),
        ("HADD2 R0, R1, R2", 86, "FP16", "NONE", "NONE", 0, "", 0),
    ],
)  # fmt: skip
def test_op_info(text, arch, unit, space, kind, size, scope, records):
    info = op_info(parse_instruction(text, arch), arch)
    assert info.unit == Unit[unit] and info.space == MemSpace[space] and info.kind == MemKind[kind]
    assert (info.access_bytes, info.strong_scope, info.mem_records) == (size, scope, records)


_PIECES = st.sampled_from(
    ["@P0", "@!UP7", "LDG", ".E", ".64", "R0", "R256", "RZ", "UR63", "P9", "-", "|", "[", "]", "desc", "c[0x0]", "0x",
     "0xff", "1.5e", "+INF", "`(", ")", ",", " ", ";", "{1", "}", "32@lo(", "B16", "SB9", "SR_", "BRA", "HMMA.16816",
     "8x8x4", "DFMA", "1e999", "-QNAN", "/*", "*/", "+-", "HFMA2", ".reuse"]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(_PIECES, max_size=12).map("".join), st.lists(_PIECES).map(" ".join)))
def test_arbitrary_text_gives_an_instruction_or_an_isa_error(text):
    try:
        instruction = parse_instruction(text, 90)
        op_info(instruction, 90)
    except IsaError:
        return
    assert instruction.base
