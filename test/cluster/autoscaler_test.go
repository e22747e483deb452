//go:build cluster

package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/template"
	"time"
)

// externalMetrics stands in for prometheus-adapter and for KEDA's metrics
// server: it serves metrics to the cluster's HPAs from this process.
type externalMetrics struct {
	mu     sync.Mutex
	values map[string]func() (float64, error) // guarded by mu; by NAMESPACE/METRIC
}

func (m *externalMetrics) serve(namespace, metric string, value func() (float64, error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[namespace+"/"+metric] = value
}

func (m *externalMetrics) value(namespace, metric string) (float64, error) {
	m.mu.Lock()
	value := m.values[namespace+"/"+metric]
	m.mu.Unlock()
	if value == nil {
		return 0, errors.New("no such metric")
	}
	return value()
}

const externalAPI = "v1beta1.external.metrics.k8s.io"

// newExternalMetrics registers the API, which exists once in a cluster. Cleanup removes it before
// the server stops, because no namespace can be deleted while a registered API does not answer.
func newExternalMetrics(t *testing.T) *externalMetrics {
	t.Helper()
	l := emptyLab(t)
	if owner := l.kubectl("get", "apiservice", externalAPI, "--ignore-not-found", "-o", "jsonpath={.spec.service.namespace}"); owner != "" && owner != l.ns {
		t.Fatalf("this cluster has an autoscaler's API already, of the namespace %s", owner)
	}
	m := &externalMetrics{values: map[string]func() (float64, error){}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /apis/external.metrics.k8s.io/v1beta1", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "external.metrics.k8s.io/v1beta1", "resources": []any{}})
	})
	mux.HandleFunc("GET /apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}/{metric}", func(w http.ResponseWriter, r *http.Request) {
		value, err := m.value(r.PathValue("namespace"), r.PathValue("metric"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		answer(w, map[string]any{
			"kind": "ExternalMetricValueList", "apiVersion": "external.metrics.k8s.io/v1beta1", "metadata": map[string]any{},
			"items": []any{map[string]any{
				"metricName": r.PathValue("metric"), "metricLabels": map[string]string{},
				"timestamp": time.Now().UTC().Format(time.RFC3339), "value": strconv.FormatFloat(value, 'f', -1, 64),
			}},
		})
	})
	server := httptest.NewUnstartedServer(mux)
	_ = server.Listener.Close()
	address := l.here()
	var err error
	if server.Listener, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(address, "0")); err != nil {
		t.Fatal(err)
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	t.Cleanup(func() { l.kubectl("delete", "apiservice", externalAPI, "--ignore-not-found", "--wait") })
	l.kubectlWith(fmt.Sprintf(externalManifest, server.Listener.Addr().(*net.TCPAddr).Port, address, l.ns), "apply", "-f", "-")
	l.kubectl("wait", "--for=condition=Available", "apiservice/"+externalAPI, "--timeout=240s")
	return m
}

const externalManifest = `
apiVersion: v1
kind: Service
metadata: {name: external-metrics}
spec:
  ports: [{name: https, port: 443, targetPort: %[1]d}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: external-metrics, labels: {kubernetes.io/service-name: external-metrics}}
addressType: IPv4
ports: [{name: https, port: %[1]d}]
endpoints: [{addresses: [%[2]q], conditions: {ready: true}}]
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.external.metrics.k8s.io}
spec:
  group: external.metrics.k8s.io
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: {name: external-metrics, namespace: %[3]s}
`

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

// here returns an address of this machine that the cluster can reach: the node's, if this
// machine is a node, else the local address of the route to the API server.
func (l *lab) here() string {
	l.t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		l.t.Fatal(err)
	}
	for node := range strings.FieldsSeq(l.kubectl("get", "nodes", "-o", `jsonpath={.items[*].status.addresses[?(@.type=="InternalIP")].address}`)) {
		if slices.ContainsFunc(addresses, func(a net.Addr) bool { return strings.HasPrefix(a.String(), node+"/") }) {
			return node
		}
	}
	server, err := url.Parse(l.kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"))
	if err != nil {
		l.t.Fatal(err)
	}
	route, err := (&net.Dialer{}).DialContext(l.t.Context(), "udp", server.Host) // sends nothing
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = route.Close() }()
	return route.LocalAddr().(*net.UDPAddr).IP.String()
}

// get reads a path from a Service. The address has the form that autoscalers are
// configured with: http://SERVICE.NAMESPACE:PORT.
func (l *lab) get(address, path string) ([]byte, error) {
	at, err := url.Parse(address + path)
	if err != nil {
		return nil, err
	}
	service, namespace, _ := strings.Cut(at.Hostname(), ".")
	ctx, cancel := context.WithTimeout(l.t.Context(), 30*time.Second)
	defer cancel()
	body, err := open(ctx, fmt.Sprintf("/api/v1/namespaces/%s/services/%s:%s/proxy%s", namespace, service, at.Port(), at.RequestURI()))
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

// query queries a Prometheus; no result, or more than one, is an error.
func (l *lab) query(address, promQL string) (float64, error) {
	out, err := l.get(address, "/api/v1/query?query="+url.QueryEscape(promQL))
	var found struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	if err = errors.Join(err, json.Unmarshal(out, &found)); err != nil {
		return 0, err
	}
	if n := len(found.Data.Result); n != 1 {
		return 0, fmt.Errorf("%d results of %s", n, promQL)
	}
	return strconv.ParseFloat(fmt.Sprint(found.Data.Result[0].Value[1]), 64)
}

// adapter returns a function that queries Prometheus as prometheus-adapter does with the rule in deploy/.
func (l *lab) adapter() func() (float64, error) {
	l.t.Helper()
	values, err := os.ReadFile("../../deploy/parts/components/autoscale-hpa/prometheus-adapter.yaml")
	if err != nil {
		l.t.Fatal(err)
	}
	part := func(pattern string) string {
		found := regexp.MustCompile(pattern).FindSubmatch(values)
		if found == nil {
			l.t.Fatalf("prometheus-adapter.yaml has no %s", pattern)
		}
		return string(found[1])
	}
	var promQL strings.Builder
	err = template.Must(template.New("").Delims("<<", ">>").Parse(part(`metricsQuery: '(.*)'`))).Execute(&promQL, map[string]any{
		"Series": part(`seriesQuery: '(.*)'`), "LabelValuesByName": map[string]string{"namespace": l.ns},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	address := strings.Replace(part(`url: (http[^,]*)`)+":"+part(`port: (\d+)`), ".chunkline:", "."+l.ns+":", 1)
	return func() (float64, error) { return l.query(address, promQL.String()) }
}
