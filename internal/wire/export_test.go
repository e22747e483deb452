package wire

// Sign is sign, but does not change m.
func Sign(key []byte, m Message) Message {
	m.Header = m.Header.With(nil)
	return sign(key, m)
}

// SumText returns the text of a body's checksum.
func SumText(body []byte) string { return sumText(Checksum(body)) }
