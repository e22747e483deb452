package transform

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Each measures Run over chunks of 100 objects by one worker.

const (
	benchUser = `{"uuid":"0195e6c2-8f3a-7c11-9d55-%012d","fn":"Ada %[1]d","ln":"Lovelace","friends":["0195e6c2-8f3a-7c11-9d55-000000000001","0195e6c2-8f3a-7c11-9d55-000000000002","0195e6c2-8f3a-7c11-9d55-000000000003"]}`
	benchCity = `{"name":"Vila %d","lat":"42.53176","lng":"1.56654","country":"AD","admin1":"03","admin2":""}`
)

func benchmarkRun(b *testing.B, spec, object string) {
	b.Helper()
	benchmark(b, mustNew(b, spec), object)
}

func benchmark(b *testing.B, tr Transform, object string) {
	b.Helper()
	var objects []string
	for i := range 100 {
		objects = append(objects, fmt.Sprintf(object, i))
	}
	chunk := body(objects...)
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	for b.Loop() {
		out, err := Run(b.Context(), tr, chunk, nil, Options{Timeout: 5 * time.Minute})
		if err != nil || len(out.Failed) > 0 || bytes.Count(out.Lines, []byte("\n")) < 100 {
			b.Fatal(err, out.Failed)
		}
	}
	b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "objects/s")
}

func BenchmarkIdentity(b *testing.B) { benchmarkRun(b, "identity", benchUser) }
func BenchmarkUsers(b *testing.B)    { benchmarkRun(b, "users", benchUser) }
func BenchmarkJQ(b *testing.B)       { benchmarkRun(b, "jq:{name, country}", benchCity) }
func BenchmarkExecCat(b *testing.B)  { benchmarkRun(b, "exec:cat", benchUser) }

// BenchmarkService has a service on this machine that answers with its request.
func BenchmarkService(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // all of it before the answer begins
		_, _ = w.Write(body)
	}))
	defer server.Close()
	for _, options := range []string{"", "#concurrency=8", "#batch=20", "#batch=20&concurrency=4"} {
		b.Run(options, func(b *testing.B) { benchmarkRun(b, server.URL+options, benchUser) })
	}
}

// BenchmarkJQPrograms sets a worker's way, with a process where one is needed,
// beside the same engine in this process, which has no budget.
func BenchmarkJQPrograms(b *testing.B) {
	for _, c := range []struct{ name, program, object string }{
		{"identity", `.`, benchUser},
		{"path", `.fn`, benchUser},
		{"pick", `{name, country}`, benchCity},
		{"select", `select(.country == "AD" and .name != "x")`, benchCity},
		{"text", `{id: .uuid, name: (.fn + " " + .ln)}`, benchUser},
		{"elements", `[.friends[] | {id: .}], "\(.fn) \(.friends | length)"`, benchUser},
		{"definition", `def f: {id: .uuid, name: (.fn + " " + .ln)}; f`, benchUser}, // is left to gojq
		{"entries", `with_entries(select(.value | type == "string")) | .n = ([range(20)] | add)`, benchUser},
		{"large", `.friends[0]`, `{"n":%d,"friends":["` + strings.Repeat("x", 4000) + `"]}`},
	} {
		for _, where := range []string{"process", "here"} {
			b.Run(c.name+"/"+where, func(b *testing.B) {
				spec, err := Parse("jq:" + c.program)
				if err != nil {
					b.Fatal(err)
				}
				spec.InProcess = where == "here"
				tr, err := spec.New()
				if err != nil {
					b.Fatal(err)
				}
				defer tr.Close()
				benchmark(b, tr, c.object)
			})
		}
	}
}
