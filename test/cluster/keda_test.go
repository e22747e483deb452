//go:build cluster

package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// A scaledObject has the fields of a ScaledObject that the stand-in uses.
type scaledObject struct {
	Spec struct {
		ScaleTargetRef  struct{ Name string }
		MinReplicaCount int
		MaxReplicaCount int
		CooldownPeriod  int
		Advanced        struct {
			HorizontalPodAutoscalerConfig struct{ Behavior json.RawMessage }
		}
		Triggers []struct {
			Type       string
			MetricType string
			Metadata   map[string]string
		}
	}
}

// keda stands in for KEDA. It creates the HPA of the ScaledObject, with the trigger as
// its metric. The function that it returns does what an HPA cannot: it scales from 0 to 1
// as soon as the trigger is active, and to 0 when the trigger was inactive for the cooldown
// period. While the trigger has no value it changes nothing, as KEDA does without a
// fallback. Call it repeatedly with the current number of replicas.
func (l *lab) keda(m *externalMetrics) func(replicas int) {
	l.t.Helper()
	var o scaledObject
	if err := json.Unmarshal([]byte(l.kubectl("get", "scaledobject", "mapper", "-o", "json")), &o); err != nil {
		l.t.Fatal(err)
	}
	if len(o.Spec.Triggers) != 1 {
		l.t.Fatalf("the ScaledObject has %d triggers", len(o.Spec.Triggers))
	}
	trigger := o.Spec.Triggers[0]
	value, target, activation := l.trigger(trigger.Type, trigger.Metadata)
	m.serve(l.ns, "s0-wanted", value)
	hpa, err := json.Marshal(map[string]any{
		"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": map[string]any{"name": "keda-hpa-mapper"},
		"spec": map[string]any{
			"scaleTargetRef": map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": o.Spec.ScaleTargetRef.Name},
			"minReplicas":    max(1, o.Spec.MinReplicaCount), "maxReplicas": o.Spec.MaxReplicaCount,
			"behavior": o.Spec.Advanced.HorizontalPodAutoscalerConfig.Behavior,
			"metrics": []any{map[string]any{"type": "External", "external": map[string]any{
				"metric": map[string]any{"name": "s0-wanted"},
				"target": map[string]any{"type": trigger.MetricType, "averageValue": target},
			}}},
		},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.kubectlWith(string(hpa), "apply", "--validate=strict", "-f", "-")

	active := time.Now()
	return func(replicas int) {
		wanted, err := value()
		switch cooldown := time.Duration(o.Spec.CooldownPeriod) * time.Second; {
		case err != nil:
		case wanted > activation:
			active = time.Now()
			if replicas == 0 {
				l.kubectl("scale", "deployment/mapper", "--replicas=1")
			}
		case replicas > 0 && o.Spec.MinReplicaCount == 0 && time.Since(active) > cooldown:
			l.kubectl("scale", "deployment/mapper", "--replicas=0")
		}
	}
}

// trigger returns a trigger's value as a function, its target and its activation threshold.
// Unknown metadata is an error here, but not to KEDA.
func (l *lab) trigger(kind string, metadata map[string]string) (value func() (float64, error), target string, activation float64) {
	l.t.Helper()
	take := func(key string) string {
		v, ok := metadata[key]
		if !ok {
			l.t.Fatalf("trigger %s has no %s", kind, key)
		}
		delete(metadata, key)
		return v
	}
	number := func(key string) float64 {
		v, err := strconv.ParseFloat(take(key), 64)
		if err != nil {
			l.t.Fatal(err)
		}
		return v
	}
	switch kind {
	case "metrics-api":
		address, location := take("url"), take("valueLocation")
		target, activation = take("targetValue"), number("activationTargetValue")
		value = func() (float64, error) {
			out, err := l.get(address, "")
			var status map[string]any
			if err = errors.Join(err, json.Unmarshal(out, &status)); err != nil {
				return 0, err
			}
			v, ok := status[location].(float64)
			if !ok {
				return 0, fmt.Errorf("%s is no number: %v", location, status[location])
			}
			return v, nil
		}
	case "prometheus":
		address, promQL := take("serverAddress"), take("query")
		target, activation = take("threshold"), number("activationThreshold")
		if take("ignoreNullValues") != "false" {
			l.t.Error("no result would be taken for 0")
		}
		value = func() (float64, error) { return l.query(address, promQL) }
	}
	if value == nil || len(metadata) > 0 {
		l.t.Fatalf("trigger %s has %v, which is not tried", kind, metadata)
	}
	return value, target, activation
}
