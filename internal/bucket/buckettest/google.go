package buckettest

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
)

var google = Kind{
	Scheme:  "gs://",
	Handler: func(s *Server) http.Handler { return http.HandlerFunc((&googleServer{s}).serve) },
	Setenv:  func(t testing.TB, url string) { t.Setenv("STORAGE_EMULATOR_HOST", url) },
}

// A googleServer has the JSON API of Google Cloud Storage.
type googleServer struct{ *Server }

func (g *googleServer) serve(w http.ResponseWriter, r *http.Request) {
	const objects = "/storage/v1/b/" + Bucket + "/o"
	path, query := r.URL.Path, r.URL.Query()
	key, isObject := strings.CutPrefix(path, objects+"/")
	switch {
	case path != objects && path != "/upload"+objects && !isObject:
		refuse(w, http.StatusNotFound, "The specified bucket does not exist.")
	case isObject && strings.Contains(strings.TrimPrefix(r.URL.EscapedPath(), objects+"/"), "/"):
		refuse(w, http.StatusBadRequest, "a key is one part of the path")
	case r.Method == http.MethodPost:
		g.write(w, r)
	case r.Method == http.MethodDelete && g.remove(key):
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodDelete:
		refuse(w, http.StatusNotFound, "No such object: "+key)
	case isObject:
		o, there := g.get(key)
		switch wanted := query.Get("ifGenerationMatch"); {
		case r.Header.Get("Accept-Encoding") != "gzip" || query.Get("alt") != "media":
			refuse(w, http.StatusBadRequest, "the stored bytes are not asked for")
		case !there:
			refuse(w, http.StatusNotFound, "No such object: "+key)
		case wanted != "" && wanted != o.version:
			refuse(w, http.StatusPreconditionFailed, "conditionNotMet")
		default:
			w.Header().Set("X-Goog-Generation", o.version)
			serve(w, r, o)
		}
	default:
		g.list(w, query.Get("prefix"), query.Get("pageToken"))
	}
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":{"code":%d,"message":%q}}`, status, message)
}

func (g *googleServer) list(w http.ResponseWriter, prefix, token string) {
	type item struct {
		Name       string `json:"name"`
		Generation string `json:"generation"`
		Size       string `json:"size"`
	}
	var page struct {
		Items         []item `json:"items,omitempty"`
		NextPageToken string `json:"nextPageToken,omitempty"`
	}
	var keys []string
	keys, page.NextPageToken = g.page(prefix, token)
	for _, key := range keys {
		if o, there := g.get(key); there {
			page.Items = append(page.Items, item{key, o.version, fmt.Sprint(len(o.content))})
		}
	}
	_ = json.NewEncoder(w).Encode(page) // the client sees a short answer
}

// write stores the second part of a request with the name in the first.
func (g *googleServer) write(w http.ResponseWriter, r *http.Request) {
	var about struct{ Name, ContentType, CRC32C string }
	_, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || r.URL.Query().Get("uploadType") != "multipart" {
		refuse(w, http.StatusBadRequest, "no multipart upload")
		return
	}
	parts := multipart.NewReader(r.Body, parameters["boundary"])
	first, err := parts.NextPart()
	if err == nil {
		err = json.NewDecoder(first).Decode(&about)
	}
	if err != nil || about.Name == "" || about.ContentType == "" {
		refuse(w, http.StatusBadRequest, "no name or media type")
		return
	}
	second, err := parts.NextPart()
	if err != nil {
		refuse(w, http.StatusBadRequest, "no content")
		return
	}
	content, err := io.ReadAll(second)
	sum := binary.BigEndian.AppendUint32(nil, crc32.Checksum(content, crc32.MakeTable(crc32.Castagnoli)))
	if err != nil || about.CRC32C != base64.StdEncoding.EncodeToString(sum) {
		refuse(w, http.StatusBadRequest, "the content has another checksum")
		return
	}
	condition := r.URL.Query().Get("ifGenerationMatch")
	fits := func(old object) bool { return condition == old.version || condition == "0" && old.version == "" }
	if !g.Server.write(about.Name, content, fits) {
		refuse(w, http.StatusPreconditionFailed, "conditionNotMet")
		return
	}
	fmt.Fprint(w, `{"generation":"1"}`)
}
