package sink

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/chunkline/chunkline/internal/webservice"
)

// kinds is the hint in the error for an unknown kind of sink.
const kinds = "use a folder's path, folder:PATH, file:///absolute/path, sqlite:FILE, postgres://…, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or azblob://CONTAINER/PREFIX"

var scheme = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*):`)

// Open opens the folder that spec names, for one job, and creates it if it does not exist; package kinds opens the
// other kinds. spec is the path of a folder, folder:PATH or file:///absolute/path.
//
// It fails with ErrSettings, ErrUnreachable, ErrNotSink, ErrFormat, ErrLocked, ErrOtherJob, ErrFull or ErrDamaged. With
// ReadOnly it creates nothing, and an empty job means any job.
func Open(spec, job string, o FolderOptions) (*Folder, error) {
	dir, err := folderOf(spec)
	if err != nil {
		return nil, err
	}
	return OpenFolder(dir, job, o)
}

func folderOf(spec string) (string, error) {
	kind := scheme.FindStringSubmatch(spec)
	switch {
	case spec == "":
		return "", fmt.Errorf("sink is empty: %s: %w", kinds, ErrSettings)
	case kind == nil:
		return spec, nil
	case strings.EqualFold(kind[1], "folder"):
		if path := spec[len(kind[0]):]; path != "" {
			return path, nil
		}
		return "", fmt.Errorf("sink %q has no path: %s: %w", spec, kinds, ErrSettings)
	case strings.EqualFold(kind[1], "file"):
		u, err := url.Parse(spec)
		if err != nil || u.Host != "" || !strings.HasPrefix(u.Path, "/") || u.RawQuery != "" || u.Fragment != "" {
			return "", fmt.Errorf("sink %q: a file URL looks like file:///absolute/path: %w", webservice.WithoutPassword(spec), ErrSettings)
		}
		return u.Path, nil
	}
	// A URL may contain a password, so only its scheme is repeated.
	return "", fmt.Errorf("unknown kind of sink %q: %s: %w", kind[1], kinds, ErrSettings)
}
