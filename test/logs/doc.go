// Package logs holds the programs to what docs/operations.md says of their
// logs: which fields there are, and what is said above info.
package logs
