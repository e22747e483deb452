//go:build cluster

package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// api is the URL of this run's kubectl proxy to the cluster's API. Polls go through it,
// because a kubectl for each poll takes half of a small machine.
var api string

func TestMain(m *testing.M) { os.Exit(withProxy(m.Run)) }

func withProxy(run func() int) int {
	proxy := exec.Command("kubectl", "proxy", "--port=0")
	out, err := proxy.StdoutPipe()
	if err == nil {
		err = proxy.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "start kubectl proxy:", err)
		return 1
	}
	defer func() { _ = proxy.Process.Kill(); _ = proxy.Wait() }()
	said, err := bufio.NewReader(out).ReadString('\n') // Starting to serve on 127.0.0.1:41231
	address := strings.TrimSpace(said[strings.LastIndex(said, " ")+1:])
	if err != nil || address == "" {
		fmt.Fprintf(os.Stderr, "kubectl proxy says %q, %v\n", said, err)
		return 1
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the proxy
	api = "http://" + address
	return run()
}

// open requests a path of the API and returns the body.
func open(ctx context.Context, path string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, api+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		return nil, fmt.Errorf("get %s: %s", path, answer.Status)
	}
	return answer.Body, nil
}

// look reads the JSON that the API has at a path. It gives up after 30 s, since a pod may never answer.
func look(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	body, err := open(ctx, path)
	if err != nil {
		return err
	}
	defer body.Close()
	return json.NewDecoder(body).Decode(into)
}
