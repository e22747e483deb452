package bus

import "time"

// ConnectTransport is Connect without the Bus, for the conformance suite.
func ConnectTransport(cfg Config, o Options) (Transport, error) {
	t, _, err := connect(cfg, o, flusherTimeout)
	if err != nil {
		return nil, err
	}
	return t, nil
}

// ConnectPatient is Connect with another flusher timeout.
func ConnectPatient(cfg Config, o Options, flusher time.Duration) (*Bus, error) {
	t, id, err := connect(cfg, o, flusher)
	if err != nil {
		return nil, err
	}
	return NewWithID(t, o.Job, id), nil
}

// Redact is redact.
func Redact(urls string) string { return redact(urls) }

// SemVer is semVer.
func SemVer(version string) (string, map[string]string) { return semVer(version) }
