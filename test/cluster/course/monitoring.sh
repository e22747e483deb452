#!/usr/bin/env bash
# What a course on Kubernetes teaches of watching NATS, with deploy/overlays/prometheus-operator: the server's own figures, the
# exporter's, the ServiceMonitor that Prometheus goes by, and queries. It works in the namespace of the current context, where
# prometheus.yaml runs beside the overlay.
set -euo pipefail
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT

step() { echo "-- $* ($SECONDS s)"; }
die() { echo "monitoring.sh: $*"; exit 1; }
forward() { # forward RESOURCE PORT: sets port to one of this machine that leads there
  touch "$work/forward$2"
  kubectl port-forward "$1" ":$2" >"$work/forward$2" &
  for _ in $(seq 480); do
    port=$(sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\) .*/\1/p' "$work/forward$2")
    if test -n "$port"; then return; fi
    sleep 0.5
  done
  die "no port-forward to $1"
}

step "the server's own figures"
forward pod/nats-0 8222
curl -fsS "http://127.0.0.1:$port/varz" | jq -e '.server_id and .connections > 0'

step "the exporter's"
forward service/nats 7777
curl -fsS "http://127.0.0.1:$port/metrics" >"$work/metrics"
grep -E '^nats_(varz_cpu|varz_connections)' "$work/metrics" || die "the exporter has no nats_varz_cpu"
! grep -q '^gnatsd_' "$work/metrics" || die "some metrics have the old prefix"

step "the ServiceMonitor, and the label that Prometheus goes by"
kubectl get servicemonitors.monitoring.coreos.com nats --show-labels | grep release=kube-prometheus-stack
kubectl get prometheus
kubectl describe prometheus lab | grep -A2 'Service Monitor Selector' | grep 'Release: *kube-prometheus-stack'

step "queries"
forward pod/prometheus-lab-0 9090
for query in nats_varz_cpu nats_connz_in_msgs chunkline_progress_ratio 'kube_pod_container_status_restarts_total{container="mapper"}'; do
  for _ in $(seq 240); do
    series=$(curl -fsS -G "http://127.0.0.1:$port/api/v1/query" --data-urlencode "query=$query" | jq '.data.result | length')
    if test "$series" != 0; then break; fi
    sleep 1
  done
  echo "$query: $series series"
  test "$series" != 0 || die "after 4 minutes $query still has no series"
done
