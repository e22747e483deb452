// Package cluster applies deploy/ to a real Kubernetes cluster, changes it in
// the middle of jobs, and counts afterwards.
//
//	go test -tags cluster ./test/cluster                           what CI runs
//	go test -tags cluster ./test/cluster -run TestUpdates -v       a course's commands, with deploy/quickstart.yaml
//	go test -tags cluster,full -timeout 2h ./test/cluster          what make prove-all runs
//	go test -tags cluster,full ./test/cluster -run TestDrill -v    the update strategies of docs/updates.md
//	go test -tags cluster,full ./test/cluster -run TestRollout -v  the same releases with Argo Rollouts
//
// What is applied is what deploy/ ships. A test sets what the docs leave to the
// user (the job, how many mappers there are, the address of a Prometheus) and
// may shorten durations in an overlay of its own; with the tag full,
// the strategies and the autoscalers also run with the durations that they ship with.
//
// It needs kubectl with a cluster of its own (KUBECONFIG), into which the
// images chunkline/fetcher, mapper, saver and chunkline of version 0.1.0 (and
// mappers 0.1.1 and v1 to v5: make images-drill), nats:2.15.2, natsio/prometheus-nats-exporter:0.12.0
// and Prometheus v3.15.0 (prom/prometheus, quay.io/prometheus/prometheus) are
// loaded, a Prometheus operator, kube-state-metrics in kube-system, Argo
// Rollouts 1.9 with its kubectl plugin, KEDA's definitions (config/crd/bases of
// its module, without its operator), no other server of
// external.metrics.k8s.io, and a default storage class; and it must reach this
// machine, which serves that API. Without them it fails.
//
// # What it promises
//
// Each test has a namespace of its own that enforces the restricted Pod
// Security standard. Its job ends with every object in the sink exactly once,
// as the verify of deploy/ finds from inside, whatever was done to the pods
// meanwhile; no container restarted that the test did not break; and every
// line of log above info is one that the test can explain.
//
// # What it does not promise
//
// The cluster of CI has one node and a network that does not enforce
// NetworkPolicies: they are validated, not tried. Hard faults (kill -9, frozen
// servers, cut networks) are for test/chaos. KEDA and prometheus-adapter are
// stood in for: what decides is the cluster's own HPA controller.
package cluster
