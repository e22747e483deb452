package app

// MinToken is how long the tokens must be that clients of HTTP_ADDR send.
const MinToken = 8

// IsToken says whether a token can travel in a header, and is not short.
func IsToken(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) >= MinToken
}
