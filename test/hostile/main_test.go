//go:build long

package hostile

import (
	"os"
	"testing"

	"github.com/chunkline/chunkline/test/proc"
)

func TestMain(m *testing.M) { os.Exit(proc.Main(m, "")) }
