package app

import (
	"strings"
	"testing"
)

func TestMisspelt(t *testing.T) {
	t.Parallel()
	type settings struct {
		Transform string `envconfig:"TRANSFORM"`
		Rate      string `envconfig:"RATE"`
		Sink      string `envconfig:"SINK"`
		NATSURL   string `envconfig:"NATS_URL"`
	}
	for variable, meant := range map[string]string{
		"TRANSFRM=users":            "TRANSFORM",
		"NATS_RUL=x":                "NATS_URL",
		"TRANSFORMS=users":          "TRANSFORM",
		"TRANSFORN=users":           "TRANSFORM",
		"NATSURL=x":                 "NATS_URL",
		"CHUNKLINE_TRANSFORM=users": "TRANSFORM",
		"CHUNKLINE_TRANSFRM=users":  "TRANSFORM",
		"CHUNKLINE_SINK=/data":      "SINK",
	} {
		name, _, _ := strings.Cut(variable, "=")
		err := checkMisspelt([]string{"PATH=/bin", variable}, []any{&settings{}})
		if err == nil || Code(err) != ExitUsage || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "did you mean "+meant+"?") {
			t.Errorf("%s: %v, want a usage error that names it and %s", variable, err, meant)
		}
	}
	fine := []string{
		"TRANSFORM=users", "RATE=1", "DATE=today", "LINK=x", "TRANS=x", "TRANSFORMER=x", "NATS_PORT=tcp://10.0.0.1:4222", "=", "",
		"CHUNKLINE_PORT=tcp://10.0.0.1:4222", "CHUNKLINE_SERVICE_HOST=10.0.0.1",
	}
	if err := checkMisspelt(fine, []any{&settings{}}); err != nil {
		t.Errorf("without a misspelt variable: %v", err)
	}
}
