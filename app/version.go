package app

import "runtime/debug"

// Version of this program: what the build was told, or the module's.
var Version = ""

func init() {
	if Version != "" {
		return
	}
	Version = "devel"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		Version = info.Main.Version
	}
}
