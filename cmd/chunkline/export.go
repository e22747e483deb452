package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/spf13/cobra"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/internal/sink"
)

// exportTimeout is how long a saver may send nothing. Tests have more time.
var exportTimeout = 30 * time.Second

// export downloads a job's result from its saver.
type export struct {
	from, output string
	columns      []string // of a table; none: the keys of all objects
	dead, force  bool
	token        string
}

func exportCommand() *cobra.Command {
	var e export
	c := &cobra.Command{
		Use:   "export --from URL -o FILE",
		Short: "Download the result of a job that runs elsewhere",
		Long: "export downloads the ordered outputs of a finished job, or its dead letters, from the HTTP port of its saver.\n" +
			"A FILE that ends in .csv, .csv.gz, .csv.zst or .parquet becomes a table with a row for each object. Its columns are all keys, in the\n" +
			"order in which they first appear, or --columns. Parquet has types; a column with values of several kinds is JSON. In CSV a missing\n" +
			"key and null are empty fields, and arrays and objects are JSON. An output that is not an object is an error.\n\n" +
			"FILE appears when it is complete and its checksum matches the saver's. Until then the data is in FILE.part-CHECKSUM. If the\n" +
			"connection breaks, run the same command again to continue. An existing FILE is replaced only with --force.\n\n" +
			"The saver answers clients on its own machine, which includes kubectl port-forward. Others need its RESULT_TOKEN, which\n" +
			"export reads from the variable of that name.",
		Example: "  kubectl port-forward pod/saver-0 3541 &\n  chunkline export --from http://localhost:3541 -o result.jsonl\n" +
			"  chunkline export --from http://localhost:3541 -o result.parquet\n" +
			"  chunkline export --from http://localhost:3541 -o result.csv --columns id,name,age\n" +
			"  chunkline export --from http://localhost:3541 -o dead.jsonl --dead",
		RunE: func(c *cobra.Command, _ []string) error {
			size, err := e.run(c.Context())
			if err != nil {
				return err
			}
			if isTable(e.output) {
				_, err = fmt.Fprintf(c.OutOrStdout(), "%s has the saver's objects, whose %d bytes have its checksum\n", e.output, size)
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s has all %d bytes and the saver's checksum\n", e.output, size)
			return err
		},
	}
	c.Flags().StringVar(&e.from, "from", "", "URL of the saver's HTTP port (required)")
	c.Flags().StringVarP(&e.output, "output", "o", "", "file for the result (required)")
	c.Flags().StringSliceVar(&e.columns, "columns", nil, "with a FILE that is a table: the keys that are its columns, in order, with commas between; other keys are left out")
	c.Flags().BoolVar(&e.dead, "dead", false, "download the dead letters; the file is empty if there are none")
	c.Flags().BoolVar(&e.force, "force", false, "replace FILE if it exists")
	e.token = os.Getenv("RESULT_TOKEN")
	return c
}

// remoteFile describes the saver's file.
type remoteFile struct {
	etag, sum, mediaType string
	bytes                int64
}

// run downloads the file, or the missing part of it, and returns its length.
func (e *export) run(ctx context.Context) (int64, error) {
	address, err := e.address()
	if err != nil {
		return 0, err
	}
	want, err := e.stat(ctx, address)
	if err != nil {
		return 0, err
	}
	if err := e.checkType(want.mediaType); err != nil {
		return 0, err
	}
	if done, err := e.alreadyDone(want); done || err != nil {
		return want.bytes, err
	}
	part := e.output + ".part-" + want.sum
	if err := e.fill(ctx, address, part, want); err != nil {
		return 0, err
	}
	if _, err := e.alreadyDone(want); err != nil { // another program may have created the file meanwhile
		return 0, err
	}
	if isTable(e.output) {
		if part, err = e.convert(part); err != nil {
			return 0, err
		}
	}
	if err := os.Rename(part, e.output); err != nil {
		return 0, fmt.Errorf("rename download: %w", err)
	}
	return want.bytes, syncFolder(filepath.Dir(e.output))
}

func (e *export) address() (string, error) {
	if e.output == "" {
		return "", app.Usage("--output is not set: name the file for the result")
	}
	if err := e.checkColumns(); err != nil {
		return "", err
	}
	from, err := url.Parse(e.from)
	switch {
	case e.from == "":
		return "", app.Usage("--from is not set: give the URL of the saver's HTTP port, as http://localhost:3541")
	case err != nil || from.Host == "" || from.Scheme != "http" && from.Scheme != "https":
		return "", app.Usage("--from=%q: use a URL such as http://localhost:3541", e.from)
	}
	path := saver.OutputPath
	if e.dead {
		path = saver.DeadLettersPath
	}
	return from.JoinPath(path).String(), nil
}

// checkType refuses a file name that promises another format or compression than the file would have.
func (e *export) checkType(mediaType string) error {
	var err error
	switch {
	case !isTable(e.output):
		err = sink.CheckMediaType(e.output, mediaType)
	case mediaType != sink.MediaType(""):
		return app.Usage("--output=%s: the result is %s, of which export makes no table: use another name", e.output, mediaType)
	}
	if err == nil {
		err = sink.CheckName(e.output)
	}
	if err != nil {
		return app.Usage("--output=%s: %w", e.output, err)
	}
	return nil
}

// stat requests the length and the checksum of the file.
func (e *export) stat(ctx context.Context, address string) (remoteFile, error) {
	ctx, cancel := context.WithTimeout(ctx, exportTimeout)
	defer cancel()
	answer, err := e.ask(ctx, address, http.Header{"Range": {"bytes=0-0"}}) // not HEAD, because a refusal has a text
	if err != nil {
		return remoteFile{}, err
	}
	defer func() { _ = answer.Body.Close() }()
	bytes := answer.ContentLength // right for an empty file, which has no range
	if answer.StatusCode == http.StatusPartialContent {
		_, total, _ := strings.Cut(answer.Header.Get("Content-Range"), "/")
		if bytes, err = strconv.ParseInt(total, 10, 64); err != nil {
			return remoteFile{}, fmt.Errorf("read answer of %s: Content-Range %q", address, answer.Header.Get("Content-Range"))
		}
	}
	etag := answer.Header.Get("ETag")
	sum, ok := strings.CutPrefix(strings.Trim(etag, `"`), "xxh64-")
	if _, err := strconv.ParseUint(sum, 16, 64); !ok || err != nil || len(sum) != 16 || bytes < 0 {
		return remoteFile{}, fmt.Errorf("%s is not a saver's result: it has the ETag %q", address, etag)
	}
	return remoteFile{etag: etag, sum: sum, mediaType: answer.Header.Get("Content-Type"), bytes: bytes}, nil
}

// ask sends a request and turns a refusal into an error.
func (e *export) ask(ctx context.Context, address string, header http.Header) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, app.Usage("--from=%q: %w", e.from, err)
	}
	request.Header = header
	request.Header.Set("Accept-Encoding", "identity")
	if e.token != "" {
		request.Header.Set("Authorization", "Bearer "+e.token)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, app.WithCode(app.ExitUnreachable, fmt.Errorf("request result: %w", err))
	}
	switch answer.StatusCode {
	case http.StatusOK, http.StatusPartialContent:
		return answer, nil
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("there is no result at %s: is it the HTTP port of a saver?", address)
	}
	var said struct {
		Error string `json:"error"`
	}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 4096)) // a partial text is good enough
	_ = json.Unmarshal(text, &said)
	return nil, fmt.Errorf("the saver refused: %s", printable(cmp.Or(said.Error, strings.TrimSpace(string(text)), answer.Status)))
}

// alreadyDone reports whether the result has been downloaded before, and refuses to replace another file. It cannot
// recognise the result in a table.
func (e *export) alreadyDone(want remoteFile) (bool, error) {
	info, err := os.Stat(e.output)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("examine --output: %w", err)
	case !info.Mode().IsRegular():
		return false, app.Usage("--output=%s is not a file", e.output)
	case isTable(e.output) && !e.force:
		return false, app.Usage("%s exists: choose another --output, or replace it with --force", e.output)
	case info.Size() == want.bytes && !isTable(e.output):
		if sum, err := sumOf(e.output); err != nil || sum == want.sum {
			return err == nil, err
		}
	}
	if !e.force {
		return false, app.Usage("%s exists and is not this result: choose another --output, or replace it with --force", e.output)
	}
	return false, nil
}

func sumOf(path string) (string, error) {
	in, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("open an earlier result: %w", err)
	}
	defer func() { _ = in.Close() }() // it was only read
	sum := xxhash.New()
	if _, err := io.Copy(sum, in); err != nil {
		return "", fmt.Errorf("read an earlier result: %w", err)
	}
	return sumText(sum), nil
}

// fill downloads the missing part of the file, makes it durable, and compares the checksum.
func (e *export) fill(ctx context.Context, address, part string, want remoteFile) (err error) {
	out, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o644) //nolint:gosec // the umask restricts who may read results
	if err != nil {
		return fmt.Errorf("open file for the download: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	sum := xxhash.New()
	have, err := io.Copy(sum, out)
	if err != nil {
		return fmt.Errorf("read %s: %w", part, err)
	}
	if have > want.bytes {
		return fmt.Errorf("%s has %d bytes, but the result has only %d: remove it", part, have, want.bytes)
	}
	if have < want.bytes {
		if err := e.download(ctx, address, have, want, io.MultiWriter(out, sum)); err != nil {
			return err
		}
	}
	if got := sumText(sum); got != want.sum {
		return fmt.Errorf("the download has the checksum %s, not %s: remove %s and try again; if that repeats, the file was changed after the saver wrote it", got, want.sum, part)
	}
	if err := out.Sync(); err != nil {
		return fmt.Errorf("sync download: %w", err)
	}
	return nil
}

// download writes the bytes from have on to w.
func (e *export) download(ctx context.Context, address string, have int64, want remoteFile, w io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(exportTimeout, func() { cancel(fmt.Errorf("no data for %s", exportTimeout)) })
	defer silence.Stop()
	header, status := http.Header{}, http.StatusOK
	if have > 0 {
		header, status = http.Header{"Range": {fmt.Sprintf("bytes=%d-", have)}, "If-Range": {want.etag}}, http.StatusPartialContent
	}
	answer, err := e.ask(ctx, address, header)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != status || answer.Header.Get("ETag") != want.etag {
		return errors.New("the result has changed during the download: run the same command again")
	}
	n, err := io.Copy(w, tapped{answer.Body, func() { silence.Reset(exportTimeout) }})
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case err == nil && have+n != want.bytes:
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return app.WithCode(app.ExitUnreachable, fmt.Errorf("download result: it ended after %d of %d bytes: %w; run the same command again to continue", have+n, want.bytes, err))
	}
	return nil
}

// tapped calls tap before each read.
type tapped struct {
	io.Reader
	tap func()
}

func (t tapped) Read(b []byte) (int, error) {
	t.tap()
	return t.Reader.Read(b) //nolint:wrapcheck // the caller compares with io.EOF
}

func sumText(sum *xxhash.Digest) string { return fmt.Sprintf("%016x", sum.Sum64()) }

// syncFolder makes a new name in a folder durable.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}
