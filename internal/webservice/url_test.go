package webservice_test

import (
	"testing"

	"github.com/chunkline/chunkline/internal/webservice"
)

func TestWithoutPassword(t *testing.T) {
	for setting, want := range map[string]string{
		"mysql://user:secret@host/db":       "mysql://user:xxxxx@host/db",
		"redis://:secret@host":              "redis://:xxxxx@host",
		"x+y://user:se@cr/e t,:@host:1/?a":  "x+y://user:xxxxx@host:1/?a",
		"a.json,mysql://user:secret@host/b": "a.json,mysql://user:xxxxx@host/b",
		"mysql://user:se":                   "mysql://user:xxxxx", // a comma of the password ends an item
		"mysql://user:1secret":              "mysql://user:xxxxx",
		"mysql://user@host:3306/db":         "mysql://user@host:3306/db",
		"https://host:8080?a=b:c":           "https://host:8080?a=b:c",
		"https://host:8080/path":            "https://host:8080/path",
		"data/*.jsonl":                      "data/*.jsonl",
		"user:name@place.json":              "user:name@place.json",
		"":                                  "",
	} {
		if got := webservice.WithoutPassword(setting); got != want {
			t.Errorf("WithoutPassword(%q) is %q, want %q", setting, got, want)
		}
	}
}
