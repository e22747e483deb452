//go:build bench

package main

import (
	"errors"

	"github.com/bytedance/sonic"
	"github.com/bytedance/sonic/encoder"
)

type user struct {
	UUID string `json:"uuid"`
	Fn   string `json:"fn"`
	Ln   string `json:"ln"`
}

type named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// strict refuses invalid JSON even in the parts of an object that the map does not
// read.
var strict = sonic.Config{ValidateString: true}.Froze()

// mapUser does what chunkline's transform users does.
func mapUser(line, dst []byte) ([]byte, error) {
	if sonic.APIKind != sonic.UseSonicJSON {
		return nil, errors.New("sonic falls back to encoding/json on this system or Go version: the floor would be too high")
	}
	var u user
	if err := strict.Unmarshal(line, &u); err != nil {
		return nil, err
	}
	if err := encoder.EncodeInto(&dst, named{ID: u.UUID, Name: u.Fn + " " + u.Ln}, 0); err != nil {
		return nil, err
	}
	return append(dst, '\n'), nil
}
