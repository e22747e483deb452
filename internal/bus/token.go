package bus

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/chunkline/chunkline/internal/chunk"
)

// Token signs a lease: it proves to the saver that a fetcher which holds the
// job's key has handed out this chunk, with this digest and these objects. It
// says nothing of attempt or epoch: a late result is as good as any. It is the
// first 128 bits of an HMAC-SHA256, in hexadecimal.
func Token(key []byte, plan chunk.PlanID, id chunk.ID, first uint64, objects int, digest chunk.Digest) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "chunkline lease 1\n%s\n%d\n%d\n%d\n%s\n", plan, id, first, objects, digest)
	return hex.EncodeToString(mac.Sum(nil)[:tokenSize])
}

// CheckToken says whether token is that of Token for the same arguments. It
// takes the same time whatever the token is. Without a key no token is right.
func CheckToken(key []byte, token string, plan chunk.PlanID, id chunk.ID, first uint64, objects int, digest chunk.Digest) bool {
	want := Token(key, plan, id, first, objects, digest)
	return len(key) > 0 && hmac.Equal([]byte(token), []byte(want))
}
