// Package app is the common part of all chunkline processes: settings from the environment, the logger, signals and
// exit codes, the limits of the process, and the HTTP server for health, metrics and version.
//
// It does not depend on the roles. A main function passes a settings struct and a function. app prints the function's
// error as one line on stderr and turns it into an exit code that scripts and Kubernetes Jobs can rely on.
package app
