package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/transform"
)

// joinCommand returns the command that starts a mapper elsewhere for this job. The mapper gets the transform from the
// fetcher. A program or a service is part of the command, because a mapper uses those only if its own setting names
// them.
func joinCommand(job, token, setting string) string {
	command := "NATS_URL=nats://HOST:PORT"
	if token != "" {
		command += " NATS_TOKEN=" + token
	}
	command += " JOB=" + job
	if transform.CallsOut(setting) {
		command += " TRANSFORM='" + strings.ReplaceAll(setting, "'", `'\''`) + "'"
	}
	return command + " mapper"
}

// tokenFile keeps the token in the work folder, so that mappers elsewhere can rejoin a job that was started again.
const tokenFile = "listen-token"

// listenToken returns the token with which mappers elsewhere join at address: the chosen one, else the one that the job
// had before, else a new one. On a loopback address it is empty unless one was chosen.
func listenToken(folder, address, chosen string) (string, error) {
	if address == "" {
		return "", nil
	}
	path := filepath.Join(folder, tokenFile)
	if chosen != "" {
		return chosen, keepLine(path, chosen)
	}
	if host, _, err := net.SplitHostPort(address); err == nil && bus.IsLoopback(host) {
		return "", nil
	}
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read token: %w: make it readable, or choose one with --listen-token", err)
	}
	if token := strings.TrimSpace(string(content)); isToken(token) {
		return token, nil
	}
	token := rand.Text()
	return token, keepLine(path, token)
}

// keepLine writes a line atomically and durably to a file that only its owner may read: after a power cut the file of a
// job's sink must not be empty, because its input would be taken for another job's.
func keepLine(path, line string) error {
	part, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // with mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = part.WriteString(line + "\n")
	if err == nil {
		err = part.Sync()
	}
	err = errors.Join(err, part.Close())
	if err == nil {
		err = os.Rename(part.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(part.Name())))
	}
	return syncFolder(filepath.Dir(path))
}

var tokenForm = regexp.MustCompile(`^[A-Za-z0-9_-]{16,128}$`)

// isToken reports whether s needs no quoting in a command or a URL, and is hard to guess.
func isToken(s string) bool { return tokenForm.MatchString(s) }
