//go:build !linux

package dial

import "syscall"

// limitSilence does nothing: only Linux has such a limit.
func limitSilence(string, string, syscall.RawConn) error { return nil }
