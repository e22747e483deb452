package app

import (
	"os"
	"runtime/debug"
)

// version is stamped by the build: -ldflags "-X …/internal/app.version=v1.2.3".
var version string

// Version returns the stamped version, else the module version that
// `go install` recorded, else "dev".
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}

// Hostname is the name people know this machine or pod by.
func Hostname() string {
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "unknown"
}
