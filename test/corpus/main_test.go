//go:build long

package corpus

import (
	"os"
	"testing"

	"github.com/chunkline/chunkline/test/proc"
)

func TestMain(m *testing.M) { os.Exit(proc.Main(m, "")) }
