package sink

// What the tests of the folder need besides the exported things: the seam to
// the disk, and the check of the index's pages.
type (
	FileSystem = fileSystem
	File       = file
	Disk       = disk
	Coverage   = coverage
)

var (
	OpenFolderOn = openFolder
	CheckPages   = checkPages
	DecodeRecord = decodeRecord
	ChunkKey     = chunkKey
)

func (r *Record) Encode() []byte { return r.encode() }

func (c *Coverage) Add(from, to int64) bool { return c.add(from, to) }
func (c Coverage) Bytes() int64             { return c.bytes() }

// BufferSize is exported so that tests can go past it.
const BufferSize = bufferSize

// ForgetIdentity makes the folder one of a program that knew of none.
func (f *Folder) ForgetIdentity() {
	next := *f.state.Load()
	claims := *next.claims
	claims.ID = ""
	next.claims = &claims
	f.state.Store(&next)
}
