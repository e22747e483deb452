package source

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// errLinkLocal means that the address of an API is reserved for services of this machine.
var errLinkLocal = errors.New("it is a link-local or metadata address, which may give away the credentials of this machine; if it is meant, add link-local=yes to the options")

// metadata are addresses of cloud metadata services that are not link-local: AWS over IPv6, Google Cloud over IPv6,
// Alibaba Cloud, Oracle Cloud and Azure's WireServer.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),
	netip.MustParseAddr("fd20:ce::254"),
	netip.MustParseAddr("100.100.100.200"),
	netip.MustParseAddr("192.0.0.192"),
	netip.MustParseAddr("168.63.129.16"),
}

// nat64 is the prefix under which IPv4 addresses are reached over IPv6 (RFC 6052).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// checkAddress refuses a link-local or metadata address.
func checkAddress(ip netip.Addr) error {
	ip = ip.Unmap().WithZone("")
	if nat64.Contains(ip) {
		bytes := ip.As16()
		ip = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	if ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast() || slices.Contains(metadata, ip) {
		return fmt.Errorf("connect to %s: %w", ip, errLinkLocal)
	}
	return nil
}

// dialNetwork returns a dialer that checks an address after its name has been resolved, so neither a name nor a
// redirect leads to a link-local address.
func dialNetwork(linkLocal bool) dialer {
	d := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
	if !linkLocal {
		d.Control = func(_, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			return checkAddress(at.Addr())
		}
	}
	return d.DialContext
}
