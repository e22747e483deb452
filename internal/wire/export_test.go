package wire

// Sign is sign; it leaves m as it is.
func Sign(key []byte, m Message) Message {
	m.Header = m.Header.With(nil)
	return sign(key, m)
}

// SumText is how the checksum of a body is written.
func SumText(body []byte) string { return sumText(Checksum(body)) }
