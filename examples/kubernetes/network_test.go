package kubernetes

import (
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// begun are all connections that the policies let pods begin, among pods.
var begun = []string{
	"acme/issues → acme/xds:xds",
	"acme/issues → commercial/edge:edge",
	"commercial/commercial → commercial/edge:edge",
	"commercial/commercial → commercial/support:http",
	"commercial/commercial → commercial/xds:xds",
	"commercial/edge → acme/issues:ingress",
	"commercial/edge → commercial/commercial:commercial",
	"commercial/edge → commercial/xds:xds",
	"commercial/support → acme/issues:gateway",
	"commercial/support → commercial/xds:xds",
}

// taken are all that they let pods take, whatever the other side's policies say. From outside two lead into the isolated cloud.
var taken = []string{
	"acme/issues → acme/xds:xds",
	"commercial/commercial → commercial/support:http",
	"commercial/commercial → commercial/xds:xds",
	"commercial/edge → acme/issues:ingress",
	"commercial/edge → commercial/commercial:commercial",
	"commercial/edge → commercial/xds:xds",
	"commercial/support → acme/issues:gateway",
	"commercial/support → commercial/xds:xds",
	"everywhere → commercial/edge:edge",
}

// reachable compares the connections that the policies allow with those that are meant.
func (m *manifests) reachable() (faults []string) {
	var begins, takes []string
	pods := append(slices.Collect(maps.Values(m.deployments)), nil) // nil is everywhere else
	for _, from := range pods {
		for _, to := range pods {
			for _, port := range portsOf(to) {
				line := fmt.Sprintf("%s → %s:%s", nameOf(from), nameOf(to), port)
				if from != nil && m.leaves(from, to, port) {
					begins = append(begins, line)
				}
				if to != nil && m.enters(from, to, port) && (from == nil || !m.enters(nil, to, port)) {
					takes = append(takes, line)
				}
			}
		}
	}
	slices.Sort(begins)
	slices.Sort(takes)
	if !slices.Equal(begins, begun) {
		faults = append(faults, fmt.Sprintf("the network lets begin\n%q, and is meant to\n%q", begins, begun))
	}
	if !slices.Equal(takes, taken) {
		faults = append(faults, fmt.Sprintf("the network lets in\n%q, and is meant to\n%q", takes, taken))
	}
	return faults
}

// portsOf are the names of a pod's ports; of everywhere else any one.
func portsOf(d *appsv1.Deployment) (out []string) {
	if d == nil {
		return []string{"any"}
	}
	for _, c := range containers(d) {
		for _, port := range c.Ports {
			out = append(out, port.Name)
		}
	}
	return out
}

func nameOf(d *appsv1.Deployment) string {
	if d == nil {
		return "everywhere"
	}
	return d.Namespace + "/" + d.Name
}

// enters follows the rules of NetworkPolicy: a pod that no policy selects takes everything, else what one of those allows. A nil pod is a stranger.
func (m *manifests) enters(from, to *appsv1.Deployment, port string) bool {
	selected := false
	for _, p := range m.policies {
		if !applies(p, to, networkingv1.PolicyTypeIngress) {
			continue
		}
		selected = true
		for _, rule := range p.Spec.Ingress {
			if ports(rule.Ports, port) && peers(rule.From, p.Namespace, from) {
				return true
			}
		}
	}
	return !selected
}

// leaves is the same for what a pod begins.
func (m *manifests) leaves(from, to *appsv1.Deployment, port string) bool {
	selected := false
	for _, p := range m.policies {
		if !applies(p, from, networkingv1.PolicyTypeEgress) {
			continue
		}
		selected = true
		for _, rule := range p.Spec.Egress {
			if ports(rule.Ports, port) && peers(rule.To, p.Namespace, to) {
				return true
			}
		}
	}
	return !selected
}

func applies(p *networkingv1.NetworkPolicy, d *appsv1.Deployment, direction networkingv1.PolicyType) bool {
	return p.Namespace == d.Namespace && slices.Contains(p.Spec.PolicyTypes, direction) && matches(&p.Spec.PodSelector, d.Spec.Template.Labels)
}

func matches(selector *metav1.LabelSelector, have map[string]string) bool {
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && s.Matches(labels.Set(have))
}

func ports(allowed []networkingv1.NetworkPolicyPort, name string) bool {
	return len(allowed) == 0 || slices.ContainsFunc(allowed, func(p networkingv1.NetworkPolicyPort) bool {
		return p.Port == nil || p.Port.Type == intstr.String && p.Port.StrVal == name
	})
}

// peers takes no ip block for a pod: those here are other machines.
func peers(allowed []networkingv1.NetworkPolicyPeer, space string, pod *appsv1.Deployment) bool {
	return len(allowed) == 0 || pod != nil && slices.ContainsFunc(allowed, func(p networkingv1.NetworkPolicyPeer) bool {
		if p.IPBlock != nil {
			return false
		}
		in := pod.Namespace == space
		if p.NamespaceSelector != nil {
			in = matches(p.NamespaceSelector, map[string]string{corev1.LabelMetadataName: pod.Namespace})
		}
		return in && (p.PodSelector == nil || matches(p.PodSelector, pod.Spec.Template.Labels))
	})
}
