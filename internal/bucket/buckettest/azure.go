package buckettest

import (
	"crypto/md5" // the checksum of the interface
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

var azure = Kind{
	Scheme:  "azblob://",
	Handler: func(s *Server) http.Handler { return http.HandlerFunc((&azureServer{s}).serve) },
	Setenv: func(t testing.TB, url string) {
		key := base64.StdEncoding.EncodeToString([]byte("canary-secret"))
		t.Setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=me;AccountKey="+key+";BlobEndpoint="+url+"/me")
	},
}

// An azureServer has the interface of Azure Blob Storage. It requires a signature, but does not check it.
type azureServer struct{ *Server }

func (a *azureServer) serve(w http.ResponseWriter, r *http.Request) {
	const container = "/me/" + Bucket
	r.URL.RawQuery = strings.ReplaceAll(r.URL.RawQuery, "+", "%2B") // Azure takes it literally
	key, isObject := strings.CutPrefix(r.URL.Path, container+"/")
	o, there := a.get(key)
	tag := `"` + o.version + `"`
	wanted := r.Header.Get("If-Match")
	switch {
	case !strings.HasPrefix(r.Header.Get("Authorization"), "SharedKey me:") || r.Header.Get("X-Ms-Version") == "" || r.Header.Get("X-Ms-Date") == "":
		a.refuse(w, http.StatusForbidden, "AuthenticationFailed")
	case !isObject && r.URL.Path != container:
		a.refuse(w, http.StatusNotFound, "ContainerNotFound")
	case !isObject:
		a.list(w, r.URL.Query().Get("prefix"), r.URL.Query().Get("marker"))
	case r.Method == http.MethodPut:
		a.write(w, r, key)
	case r.Method == http.MethodDelete && a.remove(key):
		w.WriteHeader(http.StatusAccepted)
	case !there:
		a.refuse(w, http.StatusNotFound, "BlobNotFound")
	case wanted != "" && wanted != tag:
		a.refuse(w, http.StatusPreconditionFailed, "ConditionNotMet")
	default:
		w.Header().Set("ETag", tag)
		serve(w, r, o)
	}
}

func (a *azureServer) refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, "\ufeff<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>%s</Code><Message>It is refused.\nRequestId:1</Message></Error>", code)
}

func (a *azureServer) list(w http.ResponseWriter, prefix, marker string) {
	type blob struct {
		Name string
		ETag string `xml:"Properties>Etag"`
		Size int    `xml:"Properties>Content-Length"`
	}
	page := struct {
		XMLName    xml.Name `xml:"EnumerationResults"`
		Blobs      []blob   `xml:"Blobs>Blob"`
		NextMarker string
	}{}
	var keys []string
	keys, page.NextMarker = a.page(prefix, marker)
	for _, key := range keys {
		if o, there := a.get(key); there {
			page.Blobs = append(page.Blobs, blob{key, o.version, len(o.content)})
		}
	}
	fmt.Fprint(w, xml.Header)
	_ = xml.NewEncoder(w).Encode(page) // the client sees a short answer
}

func (a *azureServer) write(w http.ResponseWriter, r *http.Request, key string) {
	content, err := io.ReadAll(r.Body)
	sum := md5.Sum(content)
	if err != nil || r.Header.Get("X-Ms-Blob-Type") != "BlockBlob" || r.Header.Get("Content-MD5") != base64.StdEncoding.EncodeToString(sum[:]) {
		a.refuse(w, http.StatusBadRequest, "Md5Mismatch")
		return
	}
	create, replace := r.Header.Get("If-None-Match"), strings.Trim(r.Header.Get("If-Match"), `"`)
	switch {
	case create != "*" && replace == "":
		a.refuse(w, http.StatusBadRequest, "MissingCondition")
	case a.Server.write(key, content, func(old object) bool { return old.version == replace }):
		w.WriteHeader(http.StatusCreated)
	case create == "*":
		a.refuse(w, http.StatusConflict, "BlobAlreadyExists")
	default:
		a.refuse(w, http.StatusPreconditionFailed, "ConditionNotMet")
	}
}
