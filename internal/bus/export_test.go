package bus

import "time"

// ConnectTransport is Connect without the Bus, for the conformance suite.
func ConnectTransport(cfg Config, o Options) (Transport, error) {
	t, _, err := connect(cfg, o)
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Patient makes a connection wait so long for its server that a machine that stands still for
// a while breaks nothing.
func Patient(o Options) Options {
	const long = 5 * time.Minute
	o.waits = &waits{first: long, dial: long, ping: long, write: long, publish: long}
	return o
}

// Stuck makes a connection to a server that is frozen last, with its write.
func Stuck(o Options) Options {
	o = Patient(o)
	o.waits.publish = flusherTimeout
	return o
}

// Holding is New with another bound for what is in assembly, and for what waits to be fetched.
func Holding(t Transport, job string, most int) *Bus {
	b := New(t, job)
	b.Bound(most, most, nil)
	b.receiving.limit = most
	return b
}

// Redact is redact.
func Redact(urls string) string { return redact(urls) }

// SemVer is semVer.
func SemVer(version string) (string, map[string]string) { return semVer(version) }
