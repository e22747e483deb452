// Package cluster applies deploy/ to a real Kubernetes cluster, changes it in the middle
// of jobs, and verifies the results.
//
//	go test -tags cluster ./test/cluster                           what CI runs
//	go test -tags cluster ./test/cluster -run TestUpdates -v       a course's commands, with deploy/quickstart.yaml
//	go test -tags cluster,full -timeout 2h ./test/cluster          what make prove-all runs
//	go test -tags cluster,full ./test/cluster -run TestDrill -v    the update strategies of docs/updates.md
//	go test -tags cluster,full ./test/cluster -run TestRollout -v  the same releases with Argo Rollouts
//
// The tests apply the shipped manifests. A test sets only what the docs leave to the user
// (the job, the number of mappers, the address of a Prometheus), and may shorten
// durations in an overlay of its own. With the tag full, the strategies and the
// autoscalers also run with the shipped durations.
//
// The tests need kubectl with a cluster of their own (KUBECONFIG), and fail without it or
// without one of these in it:
//
//   - the images chunkline/fetcher, mapper, saver and chunkline of version 0.1.0, mappers
//     0.1.1 and v1 to v5 (make images-drill), nats:2.15.2,
//     natsio/prometheus-nats-exporter:0.12.0, Prometheus v3.15.0 (prom/prometheus,
//     quay.io/prometheus/prometheus), and with the tag full postgres:15;
//   - a Prometheus operator, kube-state-metrics in kube-system, Argo Rollouts 1.9 with its
//     kubectl plugin, and KEDA's definitions (config/crd/bases of its module, without its
//     operator);
//   - a default storage class, and no other server of external.metrics.k8s.io. The
//     cluster must reach this machine, which serves that API.
//
// # What it promises
//
// Each test has its own namespace, which enforces the restricted Pod Security standard.
// Whichever faults the test injects, the job ends with every object in the sink exactly
// once, as verify finds inside the cluster. No container restarts unless the test breaks
// it, and the test expects every log line above info.
//
// # What it does not promise
//
// The cluster of CI has one node, and its network does not enforce NetworkPolicies: they
// are validated, not tried. test/chaos covers hard faults (kill -9, frozen servers, cut
// networks). Stand-ins replace KEDA and prometheus-adapter; the cluster's own HPA
// controller decides.
package cluster
