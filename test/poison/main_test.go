//go:build long

package poison

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/chunkline/chunkline/internal/transform"
	"github.com/chunkline/chunkline/test/proc"
)

// TestMain is also the mapping program: the mappers run
//
//	exec:TEST_BINARY map
//
// It maps like the transform users. For each object that contains HARM_POISON it appends one byte
// to the file HARM_NOTE, and then harms itself or its mapper as HARM_HOW says. They are variables
// so that all mappers have the same transform, although the harm differs and the file grows.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "map" {
		if err := mapUsers(os.Getenv(howVariable), os.Getenv(poisonVariable), os.Getenv(noteVariable)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(proc.Main(m, ""))
}

const (
	howVariable    = "HARM_HOW"
	poisonVariable = "HARM_POISON"
	noteVariable   = "HARM_NOTE"
)

func mapUsers(how, poison, file string) error {
	spec, err := transform.Parse("users")
	if err != nil {
		return err
	}
	mapping, err := spec.New()
	if err != nil {
		return err
	}
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if strings.Contains(string(line), poison) {
			if err := note(file); err != nil {
				return err
			}
			if err := harm(how); err != nil {
				return err
			}
		}
		result, err := mapping.Map(nil, bytes.TrimSuffix(line, []byte{'\n'}), nil) //nolint:staticcheck // the transform users ignores the context
		if err != nil {
			return err
		}
		if _, err := os.Stdout.Write(result); err != nil {
			return err
		}
	}
}

func note(file string) error {
	out, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	if _, err := out.WriteString("."); err != nil {
		return err
	}
	return out.Close()
}

// most is the memory limit of the program that allocates 10 GiB.
const most = 1 << 30

// harm harms the program or its mapper as a poison object does.
func harm(how string) error {
	switch how {
	case "exit":
		os.Exit(3)
	case "panic":
		panic("poison")
	case "kill":
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "loop":
		for { //nolint:staticcheck // the endless loop is the harm
		}
	case "memory":
		if err := syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
			return err
		}
		var all [][]byte
		for range 10 << 10 {
			all = append(all, bytes.Repeat([]byte{1}, 1<<20))
		}
		return fmt.Errorf("allocated %d MiB in spite of the limit", len(all))
	case "mapper":
		if err := syscall.Kill(os.Getppid(), syscall.SIGKILL); err != nil {
			return err
		}
		select {} // until it dies with the mapper
	}
	return fmt.Errorf("unknown harm %q", how)
}
