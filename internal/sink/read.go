package sink

import (
	"context"
)

// RecordAt implements TableOwner.
func (f *Folder) RecordAt(of Placed) (r Record, err error) {
	err = f.body(func(p *partReader) error { r, err = p.record(of); return err })
	return r, err
}

// Outputs implements TableOwner.
func (f *Folder) Outputs(b []byte, r Record) ([]byte, error) {
	err := f.body(func(p *partReader) (err error) { b, err = p.append(b, r.Outputs, &r); return err })
	return b, err
}

// DeadLetters implements TableOwner.
func (f *Folder) DeadLetters(b []byte, r Record) ([]byte, error) {
	err := f.body(func(p *partReader) (err error) { b, err = p.append(b, r.Dead, &r); return err })
	return b, err
}

// body reads from the log. Damage does not break the folder, so verify can go on to the next chunk.
func (f *Folder) body(do func(*partReader) error) error {
	f.reading.Lock()
	defer f.reading.Unlock()
	f.mu.Lock()
	err := f.err
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return do(f.reader)
}

// Locked implements TableOwner.
func (f *Folder) Locked(ctx context.Context, do func(*Table)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	do(f.table)
	return nil
}
