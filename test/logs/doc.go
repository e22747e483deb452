// Package logs checks that docs/operations.md lists every field of the logs and every
// message above info.
package logs
