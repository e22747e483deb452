// Package app is what every chunkline process shares: settings from the
// environment, the logger, signals and exit codes, and the HTTP server for
// health, metrics and version.
//
// It knows nothing of any role. A main function hands it a settings struct
// and a function; app turns what comes back into one clear line on stderr and
// an exit code that scripts and Kubernetes Jobs can rely on.
package app
