package app

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestNameSetting: an error keeps its kind and its exit code, and what is around it,
// when its setting gets another name.
func TestNameSetting(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	for _, c := range []struct {
		err  error
		want string
		code int
	}{
		{WrongSetting("CHUNK_SIZE", "=%d: %w", 0, cause), "--chunk-size=0: cause", ExitUsage},
		{fmt.Errorf("begin: %w", WrongSetting("RATE", "=NaN: %w", cause)), "begin: --rate=NaN: cause", ExitUsage},
		{errors.Join(errors.New("first"), Setting("MAX_DEAD", "=1: %w", cause)), "first\n--max-dead=1: cause", ExitFailed},
		{fmt.Errorf("RATE: %w", cause), "RATE: cause", ExitFailed}, // no setting
	} {
		got := NameSetting(c.err, func(name string) string { return "--" + strings.ReplaceAll(strings.ToLower(name), "_", "-") })
		if got.Error() != c.want || Code(got) != c.code || !errors.Is(got, cause) {
			t.Errorf("%v: got %q with code %d, want %q with %d", c.err, got, Code(got), c.want, c.code)
		}
	}
	if NameSetting(nil, nil) != nil {
		t.Error("an error was made of nil")
	}
}
