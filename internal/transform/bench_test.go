package transform

import (
	"fmt"
	"strings"
	"testing"
)

// Each measures Run over chunks of 100 objects by one worker.

const (
	benchUser = `{"uuid":"0195e6c2-8f3a-7c11-9d55-%012d","fn":"Ada %[1]d","ln":"Lovelace","friends":["0195e6c2-8f3a-7c11-9d55-000000000001","0195e6c2-8f3a-7c11-9d55-000000000002","0195e6c2-8f3a-7c11-9d55-000000000003"]}`
	benchCity = `{"name":"Vila %d","lat":"42.53176","lng":"1.56654","country":"AD","admin1":"03","admin2":""}`
)

func benchmarkRun(b *testing.B, spec, object string) {
	b.Helper()
	var objects []string
	for i := range 100 {
		objects = append(objects, fmt.Sprintf(object, i))
	}
	chunk := body(objects...)
	tr := mustNew(b, spec)
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	for b.Loop() {
		out, err := Run(b.Context(), tr, chunk, nil, Options{})
		if err != nil || len(out.Failed) > 0 || strings.Count(string(out.Lines), "\n") != 100 {
			b.Fatal(err, out.Failed)
		}
	}
	b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "objects/s")
}

func BenchmarkIdentity(b *testing.B) { benchmarkRun(b, "identity", benchUser) }
func BenchmarkUsers(b *testing.B)    { benchmarkRun(b, "users", benchUser) }
func BenchmarkJQ(b *testing.B)       { benchmarkRun(b, "jq:{name, country}", benchCity) }
func BenchmarkExecCat(b *testing.B)  { benchmarkRun(b, "exec:cat", benchUser) }
