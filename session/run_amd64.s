//go:build !purego

#include "go_asm.h"
#include "textflag.h"

// The first zeros below the bit for the byte at the offset in at, in the row at
// base: what lowest(word(base, at>>3) >> (at & 7)) is. shift is (at & 7), byte is
// at>>3.
#define NEXT(base, byte, shift, dst) \
	MOVQ  (base)(byte*1), dst \
	SHRXQ shift, dst, dst     \
	TZCNTQ dst, dst

// func runBMI2(sc *Scanner, p int) (end int, what next)
//
// The steps are those of runGo, which says why; the registers are
//
//	SI  the value            R10 the hints
//	DI  the row of stops     R11 the guesses
//	R8  the row of others    R12 slot
//	R9  last                 R13 the forms
TEXT ·runBMI2(SB), NOSPLIT, $0-25
	MOVQ sc+0(FP), DX
	MOVQ p+8(FP), AX
	MOVQ Scanner_value(DX), SI
	MOVQ (Scanner_value+8)(DX), R9
	SUBQ $8, R9
	MOVQ (Scanner_marks+marks_rows)(DX), DI
	MOVQ (Scanner_marks+marks_row)(DX), R8
	ADDQ DI, R8
	MOVQ Scanner_hints(DX), R10
	LEAQ (Scanner_guesses+guesses_lengths)(DX), R11
	MOVQ (Scanner_guesses+guesses_slot)(DX), R12
	LEAQ ·forms(SB), R13

key:
	// BX: from, DX: the length of the key, R14: its end
	LEAQ    1(AX), BX
	MOVL    R12, CX
	ANDL    $const_guessMask, CX
	MOVBLZX (R11)(CX*1), DX
	MOVQ    BX, R14
	SHRQ    $3, R14
	MOVL    BX, R15
	ANDL    $7, R15
	NEXT(DI, R14, R15, R14)
	CMPQ    R14, DX
	JNE     guessed

known:
	LEAQ (BX)(DX*1), R14
	CMPQ DX, $const_window
	JGE  beforeKey
	CMPQ R14, R9
	JGT  beforeKey
	CMPW (SI)(R14*1), $0x3a22 // ":
	JNE  beforeKey
	MOVQ (SI)(BX*1), R15
	MOVL DX, CX
	ANDL $31, CX
	CMPQ R15, (R10)(CX*8)
	JEQ  beforeKey

	LEAQ  ·heads(SB), CX
	ANDQ  (CX)(DX*8), R15
	MOVQ  $const_golden, CX
	IMULQ CX, R15
	SHRQ  $(64-const_guessBits), R15
	XORQ  DX, R15
	MOVQ  R15, R12

	// R14: the value, BX: behind its first byte, CX: its form, DX: the length
	// that counts, AX: its end
	ADDQ    $2, R14
	MOVBLZX (SI)(R14*1), CX
	SHLQ    $5, CX
	ADDQ    R13, CX
	LEAQ    1(R14), BX
	MOVQ    BX, DX
	SHRQ    $3, DX
	MOVL    BX, AX
	ANDL    $7, AX
	NEXT(DI, DX, AX, R15)
	NEXT(R8, DX, AX, DX)
	ANDQ    form_text(CX), R15
	ANDQ    form_digits(CX), DX
	ORQ     R15, DX
	MOVL    form_add(CX), AX
	ADDQ    BX, AX
	ADDQ    DX, AX
	MOVL    (SI)(BX*1), R15
	ANDL    form_mask(CX), R15
	CMPL    R15, form_want(CX)
	JNE     beforeValue
	CMPQ    DX, $const_window
	JGE     beforeValue
	CMPQ    AX, R9
	JGT     beforeValue
	MOVL    -1(SI)(AX*1), R15
	MOVWLZX form_endMask(CX), DX
	ANDL    R15, DX
	CMPW    DX, form_endWant(CX)
	JNE     beforeValue
	SHRL    $8, R15
	INCQ    AX
	CMPW    R15, $0x222c // ,"
	JEQ     key
	CMPB    R15, $0x7d // }
	JNE     beforeValue

	DECQ AX
	MOVQ sc+0(FP), DX
	MOVQ R12, (Scanner_guesses+guesses_slot)(DX)
	MOVQ AX, end+16(FP)
	MOVB $const_nextAfter, what+24(FP)
	RET

guessed:
	MOVQ R14, DX
	MOVB DX, (R11)(CX*1) // at most 64
	JMP  known

beforeValue:
	MOVQ sc+0(FP), DX
	MOVQ R12, (Scanner_guesses+guesses_slot)(DX)
	MOVQ R14, end+16(FP)
	MOVB $const_nextValue, what+24(FP)
	RET

beforeKey:
	MOVQ AX, end+16(FP)
	MOVB $const_nextKey, what+24(FP)
	RET
