//go:build !purego

package session

import "golang.org/x/sys/cpu"

// markAVX2 is markBlocks 32 bytes at a time.
//
//go:noescape
func markAVX2(v *byte, blocks int, stop, other *byte, high *uint64) (seen uint64)

// markBlocks marks the whole blocks of v, of which there is at least one. The
// rows have a word for each block.
func markBlocks(v, stop, other []byte, high []uint64) (seen uint64) {
	blocks := len(v) / block
	if !cpu.X86.HasAVX2 {
		return markBlocksGo(v, stop, other, high)
	}
	// The slices say that there is room for what the assembly writes.
	return markAVX2(&v[:blocks*block][0], blocks, &stop[:blocks*8][0], &other[:blocks*8][0], &high[:blocks][0])
}
