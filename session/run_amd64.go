//go:build !purego

package session

import "golang.org/x/sys/cpu"

// bmi says that the processor has the instructions of runBMI2.
var bmi = cpu.X86.HasBMI1 && cpu.X86.HasBMI2

// runBMI2 is runGo with instructions that the compiler may not assume.
//
//go:noescape
func runBMI2(sc *Scanner, p int) (end int, what next)

// run passes members of an object; see runGo.
func (sc *Scanner) run(p int) (int, next) {
	if bmi {
		return runBMI2(sc, p)
	}
	return sc.runGo(p)
}
