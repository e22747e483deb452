package app

import (
	"bufio"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/test/proc"
)

// TestLoggerTerminal: on a terminal lines are for people, and coloured unless
// NO_COLOR is set to anything.
func TestLoggerTerminal(t *testing.T) {
	for noColor, coloured := range map[string]bool{"": true, "1": false, "0": false} {
		t.Setenv("NO_COLOR", noColor)
		screen, behind := proc.Terminal(t)
		log, err := NewLogger(screen, Common{Job: "j", LogLevel: "info", LogFormat: "auto"}, "mapper")
		if err != nil {
			t.Fatal(err)
		}
		log.Warn().Int("n", 1).Msg("loud")
		line, err := bufio.NewReader(behind).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, "{") || !inOrder(line, []string{"WRN", "loud"}) || strings.Contains(line, "\x1b[") != coloured {
			t.Errorf("NO_COLOR=%q: %q", noColor, line)
		}
	}
}
