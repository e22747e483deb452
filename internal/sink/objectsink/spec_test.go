package objectsink

import (
	"errors"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/sink"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]settings{
		"s3://data/out":        {scheme: "s3://", bucket: "data", prefix: "out/", format: "jsonl", size: 64 << 20},
		"S3://data/a/b%20c/":   {scheme: "s3://", bucket: "data", prefix: "a/b c/", format: "jsonl", size: 64 << 20},
		"gs://data/out":        {scheme: "gs://", bucket: "data", prefix: "out/", format: "jsonl", size: 64 << 20},
		"s3://data":            {scheme: "s3://", bucket: "data", format: "jsonl", size: 64 << 20},
		"s3://data/?size=1MiB": {scheme: "s3://", bucket: "data", format: "jsonl", size: 1 << 20, given: true},
		"s3://data/out?format=jsonl.zst&size=1GiB":   {scheme: "s3://", bucket: "data", prefix: "out/", format: "jsonl.zst", size: 1 << 30, given: true},
		"s3://data/out?size=1024MiB&format=jsonl.gz": {scheme: "s3://", bucket: "data", prefix: "out/", format: "jsonl.gz", size: 1 << 30, given: true},
	} {
		if got, err := parse(spec); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", spec, got, err, want)
		}
	}
	for spec, want := range map[string]string{
		"s3://":                             "the bucket is missing",
		"gs://":                             "the bucket is missing or wrong; use gs://BUCKET/PREFIX",
		"s3:///out":                         "the bucket is missing",
		"s3://me:canary@data/out":           "the bucket is missing or wrong",
		"s3://data/a//b":                    "an empty part",
		"s3://data/a%0Ab":                   "a control character",
		"s3://data/a%zz":                    "%25",
		"s3://data/out?format=orc":          "format=orc: use jsonl, jsonl.gz, jsonl.zst, csv, csv.gz, csv.zst, parquet",
		"s3://data/out?size=64":             "size=64: use 1MiB to 1GiB",
		"s3://data/out?size=0MiB":           "size=0MiB: use",
		"s3://data/out?size=2GiB":           "size=2GiB: use",
		"s3://data/out?size=-1MiB":          "size=-1MiB: use",
		"s3://data/out?size=":               "size=: use",
		"s3://data/out?size=1MiB&size=2MiB": "size is set twice",
		"s3://data/out?table=people":        `no setting "table"`,
	} {
		_, err := Open(t.Context(), spec, "job", Options{})
		if !errors.Is(err, sink.ErrSettings) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want %q", spec, err, want)
		}
	}
	for spec, want := range map[string]bool{"s3://data/out": true, "S3://data": true, "s3:data": false, "gs://data/out": true, "azblob://data": true, "ftp://data": false, "s3": false, "": false} {
		if IsSpec(spec) != want {
			t.Errorf("%q names a bucket: %t", spec, !want)
		}
	}
	for spec, want := range map[string]string{"s3://data": "s3://data/part-*.jsonl", "s3://data/a%20b/": "s3://data/a%20b/part-*.jsonl"} {
		o, err := parse(spec)
		if got := (&Sink{o: o}).pattern(outputParts); got != want || err != nil {
			t.Errorf("the parts of %s are at %s, %v; want %s", spec, got, err, want)
		}
	}
	if got := Path("s3://data/a/b/?size=1MiB"); got != "data/a/b" {
		t.Errorf("path %q", got)
	}
}
