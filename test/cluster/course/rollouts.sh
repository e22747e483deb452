#!/usr/bin/env bash
# What a course on Kubernetes teaches of Argo Rollouts, with the quickstart of chunkline in the middle of its job: canary, analysis,
# blue-green. It works in the namespace of the current context and needs the images of make images and make images-drill, Argo
# Rollouts with its plugin, kube-state-metrics and a Prometheus operator.
source "$(dirname "$0")/job.sh"

begin

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

finish
