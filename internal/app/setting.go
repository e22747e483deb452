package app

import (
	"errors"
	"fmt"
	"strings"
)

// A SettingError is what is wrong with one setting, or follows from it. It names the
// setting by its variable. A program in which the setting has another name, as a
// flag, gives it that with NameSetting.
type SettingError struct {
	Setting string // the variable
	Err     error  // what follows its name: "=0: use 1 or more"
}

func (e *SettingError) Error() string { return e.Setting + e.Err.Error() }
func (e *SettingError) Unwrap() error { return e.Err }

// Setting is an error that begins with the name of a setting. The format is what
// follows the name.
func Setting(name, format string, args ...any) error {
	return &SettingError{Setting: name, Err: fmt.Errorf(format, args...)}
}

// WrongSetting is Setting for a value that is no use: it is wrong usage.
func WrongSetting(name, format string, args ...any) error {
	return WithCode(ExitUsage, Setting(name, format, args...))
}

// NameSetting gives the setting that err is about, if there is one, the name that
// the user knows it by.
func NameSetting(err error, name func(setting string) string) error {
	s, ok := errors.AsType[*SettingError](err)
	if !ok {
		return err
	}
	return &namedError{text: strings.Replace(err.Error(), s.Error(), name(s.Setting)+s.Err.Error(), 1), err: err}
}

// namedError is an error with another text.
type namedError struct {
	text string
	err  error
}

func (e *namedError) Error() string { return e.text }
func (e *namedError) Unwrap() error { return e.err }
