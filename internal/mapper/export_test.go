package mapper

import "github.com/chunkline/chunkline/internal/chunk"

// Rig replaces a drill's dice and its death.
func (m *Mapper) Rig(roll func() float64, die func()) { m.drill.roll, m.drill.die = roll, die }

// Spoil picks the objects that the mapper's drill fails.
func (m *Mapper) Spoil(objects int) []chunk.Flaw { return m.drill.spoil(objects) }
