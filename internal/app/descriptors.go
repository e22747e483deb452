package app

import "syscall"

// ownDescriptors is what a process needs beside its workers: its logs, the
// source, the sink and a merge, NATS, HTTP, and a program that is being started.
const ownDescriptors = 32

// descriptors is how many files and connections this process may have open;
// 0 if the system does not say. Go has raised it as far as it may.
func descriptors() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return limit.Cur
}

// CheckDescriptors says, before anything begins, that this process may not
// open as many files as its workers need. Each of them needs a number of its own.
func CheckDescriptors(workers, each int) error {
	return checkDescriptors(descriptors(), workers, each)
}

func checkDescriptors(limit uint64, workers, each int) error {
	need := ownDescriptors + workers*each
	switch {
	case each == 0, limit == 0, limit >= uint64(need):
		return nil
	case limit >= uint64(ownDescriptors+each):
		return WrongSetting("WORKERS", "=%d: they need %d open files, and this process may have %d: use at most %d, or raise the limit (ulimit -n %d)",
			workers, need, limit, (int(limit)-ownDescriptors)/each, need)
	}
	return Usage("a worker needs %d open files, and this process may have %d: raise the limit (ulimit -n %d)", ownDescriptors+each, limit, need)
}
