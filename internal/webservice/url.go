package webservice

import "regexp"

var (
	// passwordOfURL matches the user name of a URL, and everything up to the last "@": a password may have any
	// character, even if a URL should have it percent-encoded.
	passwordOfURL = regexp.MustCompile(`(?s)(://[^:@/\s]*):.*@`)

	// noPort matches a possible beginning of a password in a URL that lacks its end.
	noPort = regexp.MustCompile(`(://[^:@/\s]*):[0-9]*[^0-9/?#@][^/@]*`)
)

// hidden takes the place of a password.
const hidden = "xxxxx"

// WithoutPassword returns a setting as messages show it. If it is a URL with a password, of whatever scheme, xxxxx
// takes the place of the password.
func WithoutPassword(setting string) string {
	if passwordOfURL.MatchString(setting) {
		return passwordOfURL.ReplaceAllString(setting, "$1:"+hidden+"@")
	}
	return noPort.ReplaceAllString(setting, "$1:"+hidden)
}
