package app

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/chunk"
)

// Exec is the main function of a role. It handles -h, --version and --health, loads the settings and calls run. It
// returns the exit code.
func Exec(name, purpose string, run func(context.Context, Common, zerolog.Logger) error, settings ...any) int {
	var common Common
	all := append([]any{&common}, settings...)
	return Main(name, os.Stderr, func(ctx context.Context) error {
		for _, arg := range os.Args[1:] {
			switch arg {
			case "-h", "-help", "--help":
				fmt.Print(usage(name, purpose, all))
				return nil
			case "-version", "--version":
				fmt.Println(name, Version())
				return nil
			case "-health", "--health":
				if err := Load(&common); err != nil {
					return err
				}
				return checkHealth(ctx, common.HTTPAddr)
			default:
				return Usage("unknown argument %q: settings are environment variables, see -h", arg)
			}
		}
		if err := Load(all...); err != nil {
			return err
		}
		if err := chunk.CheckJob(common.Job); err != nil {
			return WrongSetting("JOB", ": %w", err)
		}
		log, err := NewLogger(os.Stderr, common, name)
		if err != nil {
			return err
		}
		LimitMemory()
		return run(ctx, common, log)
	})
}

// version is set by the build: -ldflags "-X …/internal/app.version=v1.2.3".
var version string

// Version returns the version that the build set, else the module version that `go install` recorded, else "dev".
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}

// Hostname returns the name of this machine or pod.
func Hostname() string {
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "unknown"
}

// healthTimeout bounds a health check. Roles answer at once even when they are busy. Tests have more time.
var healthTimeout = 3 * time.Second

// checkHealth asks the role that listens on addr whether it is ready. Images that contain no other program need it for
// their health checks.
func checkHealth(ctx context.Context, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return WrongSetting("HTTP_ADDR", "=%q: not a host:port: %w", addr, err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return WrongSetting("HTTP_ADDR", "=%q: %w", addr, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("check health: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	switch {
	case err != nil:
		return fmt.Errorf("check health: %w", err)
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("not ready: %s", strings.TrimSpace(string(text)))
	}
	return nil
}
