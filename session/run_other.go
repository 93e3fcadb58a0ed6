//go:build !amd64 || purego

package session

// run passes members of an object; see runGo.
func (sc *Scanner) run(p int) (int, next) { return sc.runGo(p) }
