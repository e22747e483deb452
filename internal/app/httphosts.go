package app

import (
	"net"
	"net/http"
	"strings"
)

// hosts is which names a request may be for. A page of a stranger can have its own name
// point to this machine, and would then read what is here in the browser of somebody who
// may (DNS rebinding). Such a request is for the stranger's name.
type hosts struct {
	all   bool
	names map[string]bool
}

// hostsOf allows the names in the list, and where the server listens for this machine
// alone no others. Addresses are allowed always: no name leads to them.
func hostsOf(addr, list string) hosts {
	h := hosts{names: map[string]bool{}}
	for name := range strings.SplitSeq(list, ",") {
		if name = bare(strings.TrimSpace(name)); name != "" {
			h.names[name] = true
		}
	}
	own := bare(addr)
	h.all = len(h.names) == 0 && !isLoopback(own)
	h.names[own] = true
	return h
}

// bare is a host without its port, in lower case.
func bare(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
}

// isLoopback says whether a host is this machine alone.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}

func (h hosts) allow(host string) bool {
	name := bare(host)
	return h.all || name == "" || isLoopback(name) || net.ParseIP(name) != nil || h.names[name]
}

// only answers requests for these names.
func (h hosts) only(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.allow(r.Host) {
			WriteJSON(w, http.StatusMisdirectedRequest, map[string]string{
				"error": "this server is not known by that name: use its address, or add the name to HTTP_HOSTS",
			})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// FromHere says whether a request comes from this machine, or through a tunnel that ends
// here such as that of kubectl port-forward. One for a stranger's name does not count: a browser
// on this machine would send it for the stranger's page.
func FromHere(r *http.Request) bool {
	name := bare(r.Host)
	return isLoopback(bare(r.RemoteAddr)) && (isLoopback(name) || net.ParseIP(name) != nil)
}
