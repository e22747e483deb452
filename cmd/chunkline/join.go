package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/chunkline/chunkline/internal/bus"
)

// joinCommand is what somebody types elsewhere for a mapper that joins the job. It
// takes the job's transform from here; a program must be there, so that it is named.
func joinCommand(job, token, setting string) string {
	command := "NATS_URL=nats://HOST:PORT"
	if token != "" {
		command += " NATS_TOKEN=" + token
	}
	command += " JOB=" + job
	if strings.HasPrefix(setting, "exec:") {
		command += " TRANSFORM='" + strings.ReplaceAll(setting, "'", `'\''`) + "'"
	}
	return command + " mapper"
}

// tokenFile keeps the token in the work folder, so that mappers elsewhere find
// their way back to a job that was started again.
const tokenFile = "listen-token"

// listenToken returns what mappers elsewhere must know to join at address:
// what was chosen, else what the job had before, else a new one. On loopback
// it is empty unless it was chosen.
func listenToken(folder, address, chosen string) (string, error) {
	if address == "" {
		return "", nil
	}
	path := filepath.Join(folder, tokenFile)
	if chosen != "" {
		return chosen, keepToken(path, chosen)
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
	return token, keepToken(path, token)
}

// keepToken writes a token that only its owner may read, all or nothing.
func keepToken(path, token string) error {
	part, err := os.CreateTemp(filepath.Dir(path), tokenFile+".*") // with mode 0600
	if err != nil {
		return fmt.Errorf("keep token: %w", err)
	}
	_, err = part.WriteString(token + "\n")
	err = errors.Join(err, part.Close())
	if err == nil {
		err = os.Rename(part.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("keep token: %w", errors.Join(err, os.Remove(part.Name())))
	}
	return nil
}

// isToken says whether s can stand in a command and a URL as it is, and is not
// guessed soon.
func isToken(s string) bool {
	if len(s) < 16 || len(s) > 128 {
		return false
	}
	return strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}
