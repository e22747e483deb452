package loopback

import (
	"net"
	"testing"
)

// TestAddress: no address is given twice, none of them is one that the kernel
// gives to others, and what is taken is passed over.
func TestAddress(t *testing.T) {
	const n = 20
	seen := map[string]bool{}
	for i := range 2 * n {
		address := Address()
		a, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if seen[address] || !a.IP.IsLoopback() || a.Port <= first || a.Port >= 30_000 {
			t.Fatalf("address %d is %s; before: %v", i, address, seen)
		}
		seen[address] = true
	}
	// Another process takes the next one.
	taken, err := listen(held.base + held.next + 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	if address := Address(); address == taken.Addr().String() || seen[address] {
		t.Fatalf("%s, though %s is taken", address, taken.Addr())
	}
}
