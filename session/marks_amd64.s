//go:build !purego

#include "textflag.h"

// 32 times the byte c in Y.
#define BYTES(c, X, Y) \
	MOVQ         $c, AX \
	VMOVQ        AX, X  \
	VPBROADCASTQ X, Y

// The top bits of the bytes of A and B, in dst. The word moves that are not
// VEX encoded would cost hundreds of cycles while upper halves are in use, so
// there are none.
#define BITS(A, B, dst) \
	VPMOVMSKB A, dst \
	VPMOVMSKB B, DX  \
	SHLQ      $32, DX \
	ORQ       DX, dst

// func markAVX2(v *byte, blocks int, stop, other *byte, high *uint64) (seen uint64)
TEXT ·markAVX2(SB), NOSPLIT, $0-48
	MOVQ v+0(FP), SI
	MOVQ blocks+8(FP), CX
	MOVQ stop+16(FP), DI
	MOVQ other+24(FP), R8
	MOVQ high+32(FP), R9
	XORQ R10, R10         // seen
	XORQ BX, BX           // offset in the rows

	BYTES(0x2222222222222222, X0, Y0) // quote
	BYTES(0x5c5c5c5c5c5c5c5c, X1, Y1) // backslash
	BYTES(0x1f1f1f1f1f1f1f1f, X2, Y2) // the last control character
	BYTES(0x3030303030303030, X3, Y3) // '0'
	BYTES(0x0909090909090909, X4, Y4) // '9' - '0'

loop:
	VMOVDQU (SI), Y5
	VMOVDQU 32(SI), Y6

	BITS(Y5, Y6, AX)
	MOVQ AX, (R9)(BX*1)
	ORQ  AX, R10

	VPCMPEQB Y0, Y5, Y7
	VPCMPEQB Y0, Y6, Y8
	VPCMPEQB Y1, Y5, Y9
	VPCMPEQB Y1, Y6, Y10
	VPOR     Y7, Y9, Y7
	VPOR     Y8, Y10, Y8
	VPMINUB  Y2, Y5, Y9
	VPMINUB  Y2, Y6, Y10
	VPCMPEQB Y9, Y5, Y9
	VPCMPEQB Y10, Y6, Y10
	VPOR     Y7, Y9, Y7
	VPOR     Y8, Y10, Y8
	BITS(Y7, Y8, AX)
	MOVQ     AX, (DI)(BX*1)

	VPSUBB   Y3, Y5, Y5
	VPSUBB   Y3, Y6, Y6
	VPMINUB  Y4, Y5, Y7
	VPMINUB  Y4, Y6, Y8
	VPCMPEQB Y7, Y5, Y7
	VPCMPEQB Y8, Y6, Y8
	BITS(Y7, Y8, AX)
	NOTQ     AX
	MOVQ     AX, (R8)(BX*1)

	ADDQ $64, SI
	ADDQ $8, BX
	DECQ CX
	JNZ  loop

	VZEROUPPER
	MOVQ R10, seen+40(FP)
	RET
