//go:build browser

package browser

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/chunkline/chunkline/test/proc"
)

// screenshots is where TestShots saves its pictures.
var screenshots = flag.String("screenshots", "", "folder for the pictures of the page; empty: they are taken, and thrown away")

// viewer is how long TestThousand measures with a viewer, and without.
var viewer = flag.Duration("viewer", 0, "time over which the fetcher's CPU is measured with a viewer, and without; 0: it is not")

func TestMain(m *testing.M) {
	flag.Parse() // before proc.Main, so that only as many tests as processors run at a time: tabs use CPU
	if err := findTools(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := proc.Main(m, "")
	closeChromium()
	os.Exit(code)
}
