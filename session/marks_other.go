//go:build !amd64 || purego

package session

// markBlocks marks the whole blocks of v, of which there is at least one. The
// rows have a word for each block.
func markBlocks(v, stop, other []byte, high []uint64) (seen uint64) {
	return markBlocksGo(v, stop, other, high)
}
