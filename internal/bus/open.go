package bus

import (
	"net"

	"github.com/rs/zerolog"
)

// sayOpen says that the server at address asks for no credentials. On this
// machine's loopback that is usual, elsewhere it is worth a warning.
func (t *natsTransport) sayOpen(address string) {
	level := zerolog.WarnLevel
	if host, _, err := net.SplitHostPort(address); err == nil && IsLoopback(host) {
		level = zerolog.InfoLevel
	}
	t.log.WithLevel(level).Str("url", t.link.url).
		Msg("the NATS server asks for no credentials: whoever reaches it can take chunks, send results and cancel the job")
}

// IsLoopback says whether only this machine reaches what listens on host. A
// name other than localhost may stand for any address. So may no name.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
