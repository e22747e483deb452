//go:build cluster

package cluster

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A pod has the fields of a Pod that tests use.
type pod struct {
	Metadata struct {
		Name              string
		Labels            map[string]string
		DeletionTimestamp string
	}
	Status struct {
		Phase             string
		ContainerStatuses []struct {
			ContainerID  string
			Ready        bool
			RestartCount int
			LastState    struct {
				Terminated struct {
					ExitCode        int
					Reason, Message string
				}
			}
		}
	}
}

// podList is a PodList of the API.
type podList struct{ Items []pod }

func (p pod) leaving() bool { return p.Metadata.DeletionTimestamp != "" }

func (p pod) ready() bool {
	ready := 0
	for _, c := range p.Status.ContainerStatuses {
		if c.Ready {
			ready++
		}
	}
	return !p.leaving() && ready > 0 && ready == len(p.Status.ContainerStatuses)
}

func (p pod) restarts() (n int) {
	for _, c := range p.Status.ContainerStatuses {
		n += c.RestartCount
	}
	return n
}

// pods lists the pods of a role, or all pods of chunkline if it is empty.
func (l *lab) pods(role string) []pod {
	l.t.Helper()
	selector := "app.kubernetes.io/part-of=chunkline"
	if role != "" {
		selector += ",app.kubernetes.io/component=" + role
	}
	var list podList
	if err := look(l.t.Context(), podsPath(l.ns, selector), &list); err != nil {
		l.t.Fatal(err)
	}
	return list.Items
}

func podsPath(ns, selector string) string {
	return "/api/v1/namespaces/" + ns + "/pods?labelSelector=" + url.QueryEscape(selector)
}

// readyMappers counts mappers that are ready and not terminating.
func (l *lab) readyMappers() (n int) {
	l.t.Helper()
	for _, p := range l.pods("mapper") {
		if p.ready() {
			n++
		}
	}
	return n
}

// An event has the fields of an Event that tests use.
type event struct {
	Message string
	Count   int
}

// events lists the events of the namespace with a reason.
func (l *lab) events(reason string) []event {
	l.t.Helper()
	var list struct{ Items []event }
	if err := look(l.t.Context(), "/api/v1/namespaces/"+l.ns+"/events?fieldSelector=reason%3D"+reason, &list); err != nil {
		l.t.Fatal(err)
	}
	return list.Items
}

// evict evicts a pod as a node drain does: it tries again while a disruption budget refuses.
func (l *lab) evict(pod string) {
	l.t.Helper()
	eviction := fmt.Sprintf(`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":%q,"namespace":%q}}`, pod, l.ns)
	l.until("the eviction of "+pod, func() bool {
		_, err := l.try(l.t.Context(), eviction, "create", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/pods/%s/eviction", l.ns, pod), "-f", "-")
		if err != nil && !strings.Contains(err.Error(), "TooManyRequests") {
			l.t.Fatal(err)
		}
		return err == nil
	})
}

// healthy expects every pod to be ready, and no container to have restarted except in pods of
// the roles that the test made restart.
func (l *lab) healthy(made ...string) {
	l.t.Helper()
	l.until("all pods to be ready", func() bool {
		return !slices.ContainsFunc(l.pods(""), func(p pod) bool { return !p.ready() })
	})
	for _, p := range l.pods("") {
		if p.restarts() > 0 && !slices.Contains(made, p.Metadata.Labels["app.kubernetes.io/component"]) {
			l.t.Errorf("%s restarted %d times, want none: %+v", p.Metadata.Name, p.restarts(), p.Status.ContainerStatuses[0].LastState.Terminated)
			out, err := l.try(l.t.Context(), "", "logs", p.Metadata.Name, "--previous", "--tail=20")
			l.t.Logf("its log before: %v\n%s", err, out)
		}
	}
}

// recycle deletes the namespace and releases its volumes. A cluster's provisioner does the
// latter itself, but not for volumes that are folders of this machine, which are retained.
func (l *lab) recycle() {
	l.t.Helper()
	l.kubectl("delete", "namespace", l.ns, "--ignore-not-found", "--wait=false")
	l.kubectl("delete", "pods", "--all", "--force", "--grace-period=0") // else mappers wait for the deleted saver
	l.kubectl("wait", "--for=delete", "namespace/"+l.ns, "--timeout=180s")
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Spec     struct {
				ClaimRef *struct{ Namespace string }
				HostPath *struct{ Path string }
			}
		}
	}
	if err := json.Unmarshal([]byte(l.kubectl("get", "persistentvolumes", "-o", "json")), &list); err != nil {
		l.t.Fatal(err)
	}
	for _, v := range list.Items {
		if v.Spec.ClaimRef == nil || v.Spec.ClaimRef.Namespace != l.ns || v.Spec.HostPath == nil || !strings.HasPrefix(v.Metadata.Name, "kubelab-") {
			continue
		}
		entries, err := filepath.Glob(v.Spec.HostPath.Path + "/*")
		if err != nil {
			l.t.Fatal(err)
		}
		for _, e := range entries {
			if err := os.RemoveAll(e); err != nil {
				l.t.Fatal(err)
			}
		}
		l.kubectl("patch", "persistentvolume", v.Metadata.Name, "--type=merge", "-p", `{"spec":{"claimRef":null}}`)
	}
}
