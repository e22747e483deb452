package objectsink

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/chunkline/chunkline/internal/bucket"
	"github.com/chunkline/chunkline/internal/sink"
)

const (
	manifestName    = "_manifest.json"
	manifestVersion = 1

	// maxManifest bounds the bytes that are read of an object with the manifest's name.
	maxManifest = 256 << 20
)

// A manifest lists the parts of a generation, in input order.
type manifest struct {
	Format      int    `json:"format"`
	Job         string `json:"job"`
	Sink        string `json:"sink"` // ID
	Generation  string `json:"generation"`
	Chunks      uint64 `json:"chunks"`
	Objects     uint64 `json:"objects"`
	Outputs     uint64 `json:"outputs"`
	Dead        uint64 `json:"dead"`
	OutputBytes uint64 `json:"output_bytes"` // before compression
	Parts       []part `json:"parts"`
	DeadParts   []part `json:"dead_parts"`
}

func (s *Sink) manifestKey() string { return s.o.prefix + manifestName }

// readManifest returns the manifest with its content and version; nil if there is none. The error is ErrForeign if an
// object of this name is not a manifest of this job.
func (s *Sink) readManifest(ctx context.Context) (m *manifest, content []byte, version string, err error) {
	key := s.manifestKey()
	for {
		now := s.state.Load()
		version = ""
		err = s.store.List(ctx, key, func(found, is string, _ int64) {
			if found == key {
				version = is
			}
		})
		if err != nil {
			return nil, nil, "", fmt.Errorf("list the manifest: %w", err)
		}
		if version == "" {
			return nil, nil, "", nil
		}
		content, err = s.get(ctx, key, 0, maxManifest)
		if errors.Is(err, bucket.ErrGone) { // deleted meanwhile
			return nil, nil, "", nil
		}
		if err != nil {
			return nil, nil, "", fmt.Errorf("read the manifest: %w", err)
		}
		m = &manifest{}
		known := func(g generation) bool { return g.Name == m.Generation }
		if json.Unmarshal(content, m) == nil && m.Sink == now.claims.ID && slices.ContainsFunc(now.generations, known) {
			return m, content, version, nil
		}
		// Another saver may have written it: then its generation is in the log.
		if err := s.Refresh(ctx); err != nil {
			return nil, nil, "", err
		}
		if s.state.Load().number == now.number {
			return nil, nil, "", &sink.ForeignError{Path: s.url(key)}
		}
	}
}

// writeManifest replaces the manifest by that of a generation. It does nothing if it is there already. The error is
// errOvertaken if the manifest lists a newer generation, whose saver deletes the parts of this one.
func (s *Sink) writeManifest(ctx context.Context, m *manifest, g generation) error {
	listed, old, version, err := s.readManifest(ctx)
	if err != nil {
		return err
	}
	now := s.state.Load()
	if now.content != g.Content || listed != nil && now.place(listed.Generation) > now.place(g.Name) {
		return errOvertaken
	}
	content, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the manifest: %w", err)
	}
	if content = append(content, '\n'); bytes.Equal(old, content) {
		return nil
	}
	err = s.store.Write(ctx, s.manifestKey(), "application/json", content, version)
	switch {
	case errors.Is(err, bucket.ErrFull):
		return fmt.Errorf("%w: write the manifest: %w", sink.ErrFull, err)
	case err == nil:
		return nil
	}
	_, there, _, e := s.readManifest(ctx) // the answer may have been lost
	switch {
	case e == nil && bytes.Equal(there, content):
		return nil
	case e == nil && !bytes.Equal(there, old):
		return errOvertaken // by another saver
	}
	return errors.Join(fmt.Errorf("write the manifest: %w", err), e)
}

// intact reports whether the manifest of a finished state and the objects that it lists are there. The error is
// ErrForeign if one has another size.
func (s *Sink) intact(ctx context.Context, g generation) (bool, error) {
	m, _, _, err := s.readManifest(ctx)
	if err != nil || m == nil || m.Generation != g.Name {
		return false, err
	}
	sizes := map[string]int64{}
	for _, kind := range partKinds {
		err := s.store.List(ctx, s.o.prefix+string(kind), func(key, _ string, size int64) { sizes[key[len(s.o.prefix):]] = size })
		if err != nil {
			return false, fmt.Errorf("list parts: %w", err)
		}
	}
	for _, p := range slices.Concat(m.Parts, m.DeadParts) {
		size, there := sizes[p.Name]
		if !there {
			return false, nil
		}
		if size != p.Bytes {
			return false, &sink.ForeignError{Path: s.url(s.o.prefix + p.Name), Changed: true}
		}
	}
	return true, nil
}
