// Package app has what every chunkline process needs: settings from the environment,
// the logger, signals and exit codes, the limits of the process, and the HTTP server
// for health, metrics and version.
//
// It knows nothing about the roles. A main function passes a settings struct and a
// function; app turns the function's error into one clear line on stderr and an exit
// code that scripts and Kubernetes Jobs can rely on.
package app
