#!/usr/bin/env bash
# What a course on Kubernetes teaches of updates of a Deployment, with the quickstart of chunkline in the middle of its job: rolling
# update, probes, undo. Each step is the course's command, then what its reader expects to see. It works in the namespace of the
# current context and needs the images of make images and make images-drill.
source "$(dirname "$0")/job.sh"

begin

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

finish
