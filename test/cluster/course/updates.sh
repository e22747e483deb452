#!/usr/bin/env bash
# What a course on Kubernetes teaches of updates, with the quickstart of chunkline in the middle of its job: rolling update, probes,
# undo, canary, analysis, blue-green. Each step is the course's command, then what its reader expects to see. It works in the
# namespace of the current context and needs the images of make images and make images-drill, Argo Rollouts with its plugin,
# kube-state-metrics and a Prometheus operator.
set -euo pipefail
cd "$(dirname "$0")/../../.."
objects=100000
namespace=$(kubectl config view --minify -o jsonpath='{..namespace}')
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT

step() { echo "-- $* ($SECONDS s)"; }
die() { echo "updates.sh: $*; the job:"; status || true; kubectl get pods; exit 1; }
await() { # await WHAT COMMAND...: until the command succeeds
  local what=$1; shift
  for _ in $(seq 240); do
    if "$@"; then return; fi
    sleep 1
  done
  die "after 4 minutes there is still no sign of $what"
}
# What is looked at again and again is asked for through a proxy: a kubectl for each look takes half a core.
touch "$work/proxy"
kubectl proxy --port=0 >"$work/proxy" &
await "kubectl proxy" grep -q Starting "$work/proxy"
api() { curl -fsS "http://$(sed 's/.* //' "$work/proxy")/api/v1/namespaces/$namespace/$1"; }
status() { # the fetcher's JSON
  local pod; pod=$(api 'pods?labelSelector=app%3Dfetcher&fieldSelector=status.phase%3DRunning' | jq -r '.items[0].metadata.name')
  api "pods/$pod:3541/proxy/api/status"
}
job() { status 2>/dev/null | jq -e "$1" >/dev/null; } # job FILTER: the status fulfils a jq filter
pods() { api 'pods?labelSelector=app%3Dmapper' | jq -e "[.items[] | select(.metadata.deletionTimestamp == null)] | $1" >/dev/null; }
only() { await "mappers of $1 only" job "[.mappers[].version] | unique == [\"$1\"]"; }
goes_on() { local saved; await "a status" job true; saved=$(status | jq .chunks.saved); await "more chunks to be saved" job ".chunks.saved >= $saved + 5"; }
tag() { # tag VERSION: change the tag in the manifest, and apply it
  sed -i "s|chunkline/mapper:.*|chunkline/mapper:$1|" "$work/deployment.yaml"
  kubectl apply -f "$work/deployment.yaml"
}

step "NATS and three deployments"
cp deploy/quickstart.yaml "$work/deployment.yaml"
kubectl apply -f "$work/deployment.yaml"
kubectl set env deployment/fetcher RATE=100 # so that the job lasts until the end of this
for name in nats saver fetcher mapper; do kubectl rollout status "deployment/$name" --timeout=4m; done
kubectl get pods
await "a line of progress" sh -c 'kubectl logs deployment/fetcher | grep -q "\"message\":\"progress\""'
sed -i 's/replicas: 10/replicas: 4/' "$work/deployment.yaml" # as many as the course has in what follows
kubectl apply -f "$work/deployment.yaml"

step "rolling update without probes: v2 never works, and takes everything down"
kubectl patch deployment mapper --type=json -p '[{"op": "remove", "path": "/spec/template/spec/containers/0/readinessProbe"}, {"op": "remove", "path": "/spec/template/spec/containers/0/livenessProbe"}]'
kubectl rollout status deployment/mapper --timeout=4m
kubectl set image deployment/mapper mapper=chunkline/mapper:v2
kubectl rollout status deployment/mapper --timeout=4m
only v2
pods 'length == 4 and all(.status.containerStatuses[0].ready)' || die "Kubernetes does not take v2 for good"
job '.state == "running" and .chunks.in_flight == 0 and .chunks.ready > 0' || die "v2 works"
kubectl rollout undo deployment/mapper
only 0.1.0
goes_on

step "readiness stops v2"
tag v1
kubectl rollout status deployment/mapper --timeout=4m
only v1
tag v2
await "pods of v2" pods 'any(.spec.containers[0].image == "chunkline/mapper:v2")'
if kubectl rollout status deployment/mapper --timeout=20s; then die "v2 was rolled out"; fi
kubectl get pods
await "most mappers of v1, and only these, to be ready" pods '[.[] | select(.status.containerStatuses[0].ready)] | length >= 3 and all(.spec.containers[0].image == "chunkline/mapper:v1")'
goes_on

step "v4 passes, and dies 20 s later; undo, twice"
tag v4
await "a restart of v4" pods 'any(.spec.containers[0].image == "chunkline/mapper:v4" and .status.containerStatuses[0].restartCount > 0)'
kubectl rollout undo deployment mapper
kubectl describe deployment mapper | grep Image: | grep v2 # the release before v4
kubectl rollout undo deployment mapper --to-revision=1
kubectl describe deployment mapper | grep Image: | grep 0.1.0
only 0.1.0
goes_on

step "v3 fails at a tenth of its work and of its checks, and some of it works"
tag v3
await "dead letters of v3" job '.objects.dead > 0'
goes_on
tag v5
kubectl rollout status deployment/mapper --timeout=4m
only v5

step "canary"
kubectl delete deployment mapper
kubectl apply -f test/cluster/course/rollout.yaml
kubectl argo rollouts status mapper --timeout 4m
only v1
kubectl argo rollouts set image mapper mapper=chunkline/mapper:v5
await "a pause with a quarter of the pods" sh -c 'kubectl argo rollouts get rollout mapper --no-color | grep CanaryPauseStep'
kubectl argo rollouts get rollout mapper --no-color
goes_on
kubectl argo rollouts status mapper --timeout 4m
only v5

step "analysis: restarts take v4 back"
kubectl apply -f test/cluster/course/prometheus.yaml
kubectl apply -f deploy/parts/analysis/restarts.yaml
await "Prometheus" kubectl rollout status statefulset/prometheus-lab --timeout=10s
kubectl patch rollout mapper --type=merge -p '{"spec": {"strategy": {"canary": {"steps": [{"setWeight": 50}, {"analysis": {"templates": [{"templateName": "mapper-restarts"}], "args": [
  {"name": "prometheus", "value": "http://prometheus-operated.'"$namespace"'.svc:9090"}, {"name": "namespace", "value": "'"$namespace"'"},
  {"name": "canary", "valueFrom": {"podTemplateHashValue": "Latest"}}]}}]}}}}'
kubectl argo rollouts set image mapper mapper=chunkline/mapper:v4
if kubectl argo rollouts status mapper --timeout 8m; then die "v4 was promoted"; fi
kubectl argo rollouts get rollout mapper --no-color
kubectl get analysisruns -o jsonpath='{.items[0].status.message}' | grep restarts
only v5
goes_on
kubectl argo rollouts undo mapper
kubectl argo rollouts status mapper --timeout 4m

step "blue-green"
kubectl create service clusterip mapper --tcp=3541
kubectl patch rollout mapper --type=merge -p '{"spec": {"strategy": {"canary": null, "blueGreen": {"activeService": "mapper", "scaleDownDelaySeconds": 10}}}}'
kubectl argo rollouts set image mapper mapper=chunkline/mapper:v1
kubectl argo rollouts status mapper --timeout 4m
only v1
goes_on

step "the rest of the job, and its result"
kubectl set env deployment/fetcher RATE-
await "the end of the job" job '.state == "done"'
dead=$(status | jq .objects.dead)
touch "$work/forward"
kubectl port-forward deployment/saver :3541 >"$work/forward" &
await "the port-forward" grep -q Forwarding "$work/forward"
port=$(sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\) .*/\1/p' "$work/forward")
go run ./cmd/chunkline export --from "http://127.0.0.1:$port" -o "$work/result.jsonl"
test "$(wc -l <"$work/result.jsonl")" = $((objects - dead)) || die "$(wc -l <"$work/result.jsonl") lines are exported, want $objects without $dead dead letters"
kubectl scale deployment/saver --replicas=0 # one at a time has the folder open
kubectl wait --for=delete pod -l app=saver --timeout=2m
kubectl apply -f test/cluster/course/verify.yaml
await "the end of verify" sh -c 'kubectl get job verify -o jsonpath="{.status.conditions[*].type}" | grep -qE "Complete|Failed"'
kubectl logs job/verify -c verify | tee "$work/verify"
grep -qx "$objects objects in $((objects / 100)) chunks: $((objects - dead)) outputs, $dead dead letters, 0 problems" "$work/verify" || die "verify finds something else"
step "done"
