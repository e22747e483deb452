// Package postgrestest starts private PostgreSQL servers for tests. It needs the server's programs (Debian's
// postgresql-15), but no running server, container or account: each server has a temporary folder, a loopback port and
// a password of its own. Tests that use it have the build tag postgres.
//
//	server := postgrestest.Start(t) // stopped when the test ends
//	url := server.NewDatabase(t)    // postgres://…
//
// The servers sync their writes, as a production server does. Kill and Restart imitate crashes.
package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Password is the password of the user postgres of each server. Tests search for it where no secret may be.
const Password = "canary-pg-7f3a9c"

// programs are the folders that are searched for the server's programs before PATH is. Debian has them outside PATH.
const programs = "/usr/lib/postgresql/*/bin"

// A Server is a running PostgreSQL server.
type Server struct {
	URL  string // of the database postgres, with the password
	Addr string // host:port

	folder    string // data and log
	bin       string // folder of the programs
	databases atomic.Int64
}

// Start starts a server and stops it when the test has ended. It fails the test if that is not possible.
func Start(t testing.TB) *Server {
	t.Helper()
	s := prepare(t)
	password := filepath.Join(s.folder, "password")
	if err := os.WriteFile(password, []byte(Password), 0o644); err != nil {
		t.Fatal(err)
	}
	s.must(t, "initdb", "-D", s.data(), "-U", "postgres", "-A", "scram-sha-256", "--pwfile", password, "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync")
	s.start(t)
	return s
}

// Standby starts a copy of the server that follows it, and from then on the server answers a COMMIT when the copy has
// it, too. The copy has the password of the server.
func (s *Server) Standby(t testing.TB) *Server {
	t.Helper()
	standby := prepare(t)
	standby.must(t, "pg_basebackup", "-d", s.URL, "-D", standby.data(), "-R", "-c", "fast", "--no-sync")
	standby.start(t)
	s.Exec(t, s.URL, "ALTER SYSTEM SET synchronous_standby_names = '*'") // after the copy, which has no standby itself
	s.Exec(t, s.URL, "SELECT pg_reload_conf()")
	return standby
}

// Promote makes a standby a server that takes writes.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	s.must(t, "pg_ctl", "-D", s.data(), "-w", "promote")
}

// prepare makes the folder of a server and chooses its address.
func prepare(t testing.TB) *Server {
	t.Helper()
	folder, err := os.MkdirTemp("", "postgres") //nolint:usetesting // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	if id := unprivileged(); id != nil {
		if err := os.Chown(folder, int(id.Uid), int(id.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	s := &Server{folder: folder, bin: binaries(t), Addr: freeAddress(t)}
	s.URL = fmt.Sprintf("postgres://postgres:%s@%s/postgres?sslmode=disable", Password, s.Addr)
	return s
}

// start starts the server and stops it when the test has ended.
func (s *Server) start(t testing.TB) {
	t.Helper()
	s.Restart(t)
	t.Cleanup(func() {
		if err := s.run("pg_ctl", "-D", s.data(), "-m", "immediate", "-w", "stop"); err != nil && s.pid() != 0 {
			t.Errorf("stop PostgreSQL: %v", err)
		}
	})
}

// NewDatabase makes an empty database and returns its URL.
func (s *Server) NewDatabase(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", s.databases.Add(1))
	s.Exec(t, s.URL, "CREATE DATABASE "+name)
	return strings.Replace(s.URL, "/postgres?", "/"+name+"?", 1)
}

// Exec runs statements in the database of a URL.
func (s *Server) Exec(t testing.TB, url, statements string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.PgConn().Exec(context.Background(), statements).ReadAll(); err != nil {
		t.Fatalf("execute %s: %v", statements, err)
	}
}

// Kill ends all processes of the server with SIGKILL, as a crash does. Its sessions break.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	server := s.pid()
	// Linux lists the children. Elsewhere, and if one is missed, they end when they notice that the server is gone.
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", server, server))
	if err := syscall.Kill(server, syscall.SIGKILL); err != nil {
		t.Fatalf("kill PostgreSQL: %v", err)
	}
	for child := range strings.FieldsSeq(string(children)) {
		if pid, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended by itself
		}
	}
}

// Restart starts the server after Kill and returns when it answers.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	_, port, _ := net.SplitHostPort(s.Addr)
	options := fmt.Sprintf("-c listen_addresses=127.0.0.1 -c port=%s -c unix_socket_directories= -c recovery_init_sync_method=syncfs", port)
	var err error
	for range 20 { // the processes of a killed server need a moment to notice
		if err = s.run("pg_ctl", "-D", s.data(), "-l", s.log(), "-o", options, "-w", "start"); err == nil {
			return
		}
	}
	said, _ := os.ReadFile(s.log())
	t.Fatalf("start PostgreSQL: %v\n%s", err, said)
}

// Log returns the server's log.
func (s *Server) Log(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(s.log())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// CPU returns the CPU time that the server's processes have used; 0 where /proc does not list them.
func (s *Server) CPU(t testing.TB) time.Duration {
	t.Helper()
	server := s.pid()
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", server, server))
	if err != nil {
		return 0
	}
	ticks := 0
	for i, pid := range append([]string{strconv.Itoa(server)}, strings.Fields(string(children))...) {
		text, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			continue // it has ended; the first process has its time now
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		used := fields[11:13] // utime, stime: see proc_pid_stat(5)
		if i == 0 {
			used = fields[11:15] // and those of children that have ended
		}
		for _, field := range used {
			n, err := strconv.Atoi(field)
			if err != nil {
				t.Fatalf("read /proc/%s/stat: %v", pid, err)
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * time.Second / 100 // Linux reports 100 ticks a second on all platforms
}

func (s *Server) data() string { return filepath.Join(s.folder, "data") }
func (s *Server) log() string  { return filepath.Join(s.folder, "log") }

// pid returns the server's process; 0: there is none.
func (s *Server) pid() int {
	text, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil || syscall.Kill(pid, 0) != nil {
		return 0
	}
	return pid
}

func (s *Server) must(t testing.TB, program string, args ...string) {
	t.Helper()
	if err := s.run(program, args...); err != nil {
		t.Fatal(err)
	}
}

// run runs one of the server's programs. A server that it starts must not hold its output open, so that goes to a file.
func (s *Server) run(program string, args ...string) error {
	said, err := os.CreateTemp(s.folder, "said")
	if err != nil {
		return fmt.Errorf("run %s: %w", program, err)
	}
	defer func() { _ = errors.Join(said.Close(), os.Remove(said.Name())) }()
	cmd := exec.Command(filepath.Join(s.bin, program), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.folder, said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: unprivileged()}
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(said.Name())
		return fmt.Errorf("run %s: %w: %s", program, err, text)
	}
	return nil
}

// binaries returns the folder of the programs of the newest version.
func binaries(t testing.TB) string {
	t.Helper()
	found, _ := filepath.Glob(filepath.Join(programs, "initdb"))
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1])
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		t.Fatal("there is no initdb: install Debian's postgresql, or remove the build tag postgres")
	}
	return filepath.Dir(path)
}

// unprivileged returns the user who runs the server if root runs the test, because PostgreSQL refuses root. Otherwise
// it returns nil.
func unprivileged() *syscall.Credential {
	if os.Getuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, e1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, e2 := strconv.ParseUint(u.Gid, 10, 32)
		if e1 == nil && e2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	return nil
}

// freeAddress returns a loopback address on which nothing listens.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
