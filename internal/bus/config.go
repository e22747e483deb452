package bus

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// Config holds the settings of the connection to NATS.
type Config struct {
	URL      string `envconfig:"NATS_URL" default:"nats://127.0.0.1:4222" desc:"NATS servers: nats://, tls://, ws:// or wss:// URLs, separated by commas"`
	User     string `envconfig:"NATS_USER" desc:"user name; empty: none"`
	Password string `envconfig:"NATS_PASSWORD" desc:"password of NATS_USER"`
	Token    string `envconfig:"NATS_TOKEN" desc:"token, for a server that requires one (such as chunkline run --listen) instead of a user name"`
	Creds    string `envconfig:"NATS_CREDS" desc:"path of a credentials file (JWT and NKEY), instead of a user name"`
	NKey     string `envconfig:"NATS_NKEY" desc:"path of a file with an NKEY user seed, instead of a user name"`
	Cert     string `envconfig:"NATS_CERT" desc:"path of a PEM file with this client's TLS certificate; needs NATS_KEY"`
	Key      string `envconfig:"NATS_KEY" desc:"path of a PEM file with the certificate's key"`
	CA       string `envconfig:"NATS_CA" desc:"path of a PEM file with the certificate authorities of the servers; empty: those of the system"`
}

// wrong returns an ErrSettings that names the variable, shows its value, which must not be a secret, and explains what
// is wrong.
func wrong(name, value, format string, args ...any) error {
	return fmt.Errorf("%s=%q: %w: %s", name, value, ErrSettings, fmt.Sprintf(format, args...))
}

// options checks the settings and returns them as options of nats.go. Errors are ErrSettings, name the variable, and
// contain no secret.
func (c Config) options() ([]nats.Option, error) {
	var ways []string
	for _, way := range []struct{ name, value string }{{"NATS_USER", c.User}, {"NATS_TOKEN", c.Token}, {"NATS_CREDS", c.Creds}, {"NATS_NKEY", c.NKey}} {
		if way.value != "" {
			ways = append(ways, way.name)
		}
	}
	switch {
	case len(ways) > 1:
		return nil, fmt.Errorf("%s: %w: use only one of them", strings.Join(ways, ", "), ErrSettings)
	case c.Password != "" && c.User == "":
		return nil, fmt.Errorf("NATS_PASSWORD: %w: it needs NATS_USER", ErrSettings)
	case (c.Cert == "") != (c.Key == ""):
		return nil, fmt.Errorf("NATS_CERT, NATS_KEY: %w: use both or none", ErrSettings)
	}
	var options []nats.Option
	if c.User != "" {
		options = append(options, nats.UserInfo(c.User, c.Password))
	}
	if c.Token != "" {
		options = append(options, nats.Token(c.Token))
	}
	for _, file := range []func() (nats.Option, error){c.creds, c.nkey, c.certificate, c.authorities} {
		option, err := file()
		if err != nil {
			return nil, err
		}
		if option != nil {
			options = append(options, option)
		}
	}
	return options, nil
}

func (c Config) creds() (nats.Option, error) {
	if c.Creds == "" {
		return nil, nil
	}
	content, err := os.ReadFile(c.Creds)
	switch {
	case err != nil:
		return nil, wrong("NATS_CREDS", c.Creds, "%s", err)
	case !bytes.Contains(content, []byte("BEGIN NATS USER JWT")) || !bytes.Contains(content, []byte("BEGIN USER NKEY SEED")):
		return nil, wrong("NATS_CREDS", c.Creds, "the file holds no user JWT with its NKEY seed, as nsc writes it")
	}
	return nats.UserCredentials(c.Creds), nil
}

func (c Config) nkey() (nats.Option, error) {
	if c.NKey == "" {
		return nil, nil
	}
	if _, err := os.ReadFile(c.NKey); err != nil {
		return nil, wrong("NATS_NKEY", c.NKey, "%s", err)
	}
	option, err := nats.NkeyOptionFromSeed(c.NKey)
	if err != nil { // err might quote the seed
		return nil, wrong("NATS_NKEY", c.NKey, "the file holds no user seed (SU…), as nk -gen user writes it")
	}
	return option, nil
}

func (c Config) certificate() (nats.Option, error) {
	if c.Cert == "" {
		return nil, nil
	}
	if _, err := tls.LoadX509KeyPair(c.Cert, c.Key); err != nil {
		return nil, fmt.Errorf("NATS_CERT=%q, NATS_KEY=%q: %w: %w", c.Cert, c.Key, ErrSettings, err)
	}
	return nats.ClientCert(c.Cert, c.Key), nil
}

func (c Config) authorities() (nats.Option, error) {
	if c.CA == "" {
		return nil, nil
	}
	content, err := os.ReadFile(c.CA)
	switch {
	case err != nil:
		return nil, wrong("NATS_CA", c.CA, "%s", err)
	case !x509.NewCertPool().AppendCertsFromPEM(content):
		return nil, wrong("NATS_CA", c.CA, "the file holds no PEM certificate")
	}
	return nats.RootCAs(c.CA), nil
}

// checkURL checks that c.URL is a list of servers. A URL may contain a password, which may even be what makes it
// malformed, so errors show it redacted.
func (c Config) checkURL() error {
	for item := range strings.SplitSeq(c.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(item))
		if err != nil || u.Hostname() == "" {
			return wrong("NATS_URL", redact(c.URL), "want nats://host:port, more of them with commas between")
		}
		switch u.Scheme {
		case "nats", "tls", "ws", "wss":
		default:
			return wrong("NATS_URL", redact(c.URL), "want a URL that begins with nats://, tls://, ws:// or wss://")
		}
		if port, err := strconv.Atoi(u.Port()); u.Port() != "" && (err != nil || port < 1 || port > 65535) {
			return wrong("NATS_URL", redact(c.URL), "want a port from 1 to 65535")
		}
	}
	return nil
}

// redact removes possible secrets from a list of URLs, well formed or not: everything from the first "//" to the last
// "@", and the text in the place of the port unless it is a number. That text may be a password in a URL without a
// host.
func redact(urls string) string {
	if at := strings.LastIndexByte(urls, '@'); at >= 0 {
		begin := 0
		if scheme := strings.Index(urls[:at], "//"); scheme >= 0 {
			begin = scheme + len("//")
		}
		urls = urls[:begin] + "***" + urls[at:]
	}
	items := strings.Split(urls, ",")
	for i, item := range items {
		begin := 0
		if scheme := strings.Index(item, "://"); scheme >= 0 {
			begin = scheme + len("://")
		}
		if host, port, has := strings.Cut(item[begin:], ":"); has && !strings.HasPrefix(host, "[") && !isPort(port) {
			items[i] = item[:begin] + host + ":***"
		}
	}
	return strings.Join(items, ",")
}

// isPort reports whether s consists of digits, perhaps followed by a slash.
func isPort(s string) bool { return strings.Trim(strings.TrimSuffix(s, "/"), "0123456789") == "" }
