package transform

import (
	"slices"
	"strings"
)

// childEnv is the environment of a program: ours without chunkline's own
// secrets. Python flushes each line, unless the person has decided otherwise.
func childEnv(all []string) []string {
	const unbuffered = "PYTHONUNBUFFERED="
	env := withoutSecrets(all)
	if !slices.ContainsFunc(env, func(variable string) bool { return strings.HasPrefix(variable, unbuffered) }) {
		env = append(env, unbuffered+"1")
	}
	return env
}

// withoutSecrets leaves out the NATS login and the address of the sink.
func withoutSecrets(all []string) []string {
	kept := make([]string, 0, len(all)+1)
	for _, variable := range all {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "NATS_") && name != "SINK" {
			kept = append(kept, variable)
		}
	}
	return kept
}
