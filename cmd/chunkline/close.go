package main

import (
	"errors"
	"io"
)

// joinClose closes c and adds what goes wrong then to err.
func joinClose(err error, c io.Closer) error { return errors.Join(err, c.Close()) }
