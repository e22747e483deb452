# Sourced by updates.sh and rollouts.sh: the quickstart of chunkline in the namespace of the current context, what the course's
# reader expects to see of it, and the proof of its result. The repository's root becomes the working directory.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
objects=100000
namespace=$(kubectl config view --minify -o jsonpath='{..namespace}')
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT

step() { echo "-- $* ($SECONDS s)"; }
die() { echo "${0##*/}: $*; the job:"; status || true; kubectl get pods; exit 1; }
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

begin() { # the job, with as many mappers as the course has in what follows; it goes on until finish
  step "NATS and three deployments"
  cp deploy/quickstart.yaml "$work/deployment.yaml"
  kubectl apply -f "$work/deployment.yaml"
  kubectl set env deployment/fetcher RATE=100 # so that the job lasts until finish
  for name in nats saver fetcher mapper; do kubectl rollout status "deployment/$name" --timeout=4m; done
  kubectl get pods
  await "a line of progress" sh -c 'kubectl logs deployment/fetcher | grep -q "\"message\":\"progress\""'
  sed -i 's/replicas: 10/replicas: 4/' "$work/deployment.yaml"
  kubectl apply -f "$work/deployment.yaml"
}

finish() { # the rest of the job, and its result: each object is an output or a dead letter
  step "the rest of the job, and its result"
  kubectl set env deployment/fetcher RATE-
  await "the end of the job" job '.state == "done"'
  local dead port; dead=$(status | jq .objects.dead)
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
}
