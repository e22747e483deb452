package mapper

import "github.com/chunkline/chunkline/internal/chunk"

// Rig replaces a drill's random numbers and its exit.
func (m *Mapper) Rig(roll func() float64, die func()) { m.drill.roll, m.drill.die = roll, die }

// DrillFails picks the objects that the mapper's drill fails.
func (m *Mapper) DrillFails(objects int) []chunk.Flaw { return m.drill.fail(objects) }
