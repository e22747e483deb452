package sink

import "time"

// OnSync sets what is told how long each step took that waits for the disk:
// the sync of a group's "results", and the commit of the "index". Set it
// before the folder is used.
func (f *Folder) OnSync(tell func(file string, took time.Duration)) { f.onSync = tell }

// timed runs a step that waits for the disk.
func (f *Folder) timed(file string, step func() error) error {
	begin := time.Now()
	err := step()
	if f.onSync != nil {
		f.onSync(file, time.Since(begin))
	}
	return err
}
