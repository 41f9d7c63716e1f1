package kubernetes

import (
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// references are the names that lead nowhere, and what nothing leads to.
func (m *manifests) references() (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	mounted := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(m.deployments)) {
		d := m.deployments[name]
		pod := d.Spec.Template.Spec
		if _, there := m.namespaces[d.Namespace]; !there {
			fault("%s: no namespace %s", name, d.Namespace)
		}
		if off, there := m.accounts[d.Namespace+"/"+pod.ServiceAccountName]; !there || !off {
			fault("%s: the service account %q does not exist or mounts its token", name, pod.ServiceAccountName)
		}
		if !selects(d.Spec.Selector.MatchLabels, d) {
			fault("%s: its selector does not select its pods", name)
		}
		for _, v := range pod.Volumes {
			if what := m.missing(d.Namespace, v); what != "" {
				fault("%s: volume %s: %s", name, v.Name, what)
			}
			users := usersOf(d, v.Name)
			if len(users) == 0 {
				fault("%s: volume %s: nothing mounts it", name, v.Name)
			}
			if v.Secret != nil {
				for _, user := range users {
					mounted[d.Namespace+"/"+v.Secret.SecretName] = append(mounted[d.Namespace+"/"+v.Secret.SecretName], d.Name+"/"+user)
				}
			}
		}
		for _, c := range containers(d) {
			faults = append(faults, inside(name, d, c)...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.secrets)) {
		if got := slices.Sorted(slices.Values(mounted[name])); !slices.Equal(got, m.secrets[name].mounted) {
			fault("secret %s: mounted by %v, and the README says %v", name, got, m.secrets[name].mounted)
		}
	}
	return append(faults, m.serviceFaults()...)
}

// missing says what a volume leads to that is not there.
func (m *manifests) missing(space string, v corev1.Volume) string {
	switch {
	case v.ConfigMap != nil:
		if m.configs[space+"/"+v.ConfigMap.Name] == nil {
			return "no ConfigMap " + v.ConfigMap.Name
		}
	case v.Secret != nil:
		if _, there := m.secrets[space+"/"+v.Secret.SecretName]; !there {
			return "no Secret " + v.Secret.SecretName + " in the README"
		}
	case v.PersistentVolumeClaim != nil:
		if m.claims[space+"/"+v.PersistentVolumeClaim.ClaimName] == nil {
			return "no claim " + v.PersistentVolumeClaim.ClaimName
		}
	case v.EmptyDir == nil:
		return "a kind of volume that does not belong here"
	}
	return ""
}

func usersOf(d *appsv1.Deployment, volume string) (out []string) {
	for _, c := range containers(d) {
		if slices.ContainsFunc(c.VolumeMounts, func(v corev1.VolumeMount) bool { return v.Name == volume }) {
			out = append(out, c.Name)
		}
	}
	return out
}

// inside are the names within one pod.
func inside(name string, d *appsv1.Deployment, c corev1.Container) (faults []string) {
	for _, v := range c.VolumeMounts {
		if !slices.ContainsFunc(d.Spec.Template.Spec.Volumes, func(have corev1.Volume) bool { return have.Name == v.Name }) {
			faults = append(faults, fmt.Sprintf("%s/%s: no volume %s", name, c.Name, v.Name))
		}
		if v.SubPath != "" {
			faults = append(faults, fmt.Sprintf("%s/%s: %s by subPath never changes again", name, c.Name, v.Name))
		}
	}
	for _, probe := range []*corev1.Probe{c.ReadinessProbe, c.LivenessProbe, c.StartupProbe} {
		if probe != nil && probe.TCPSocket != nil && portOf(c, probe.TCPSocket.Port) == 0 {
			faults = append(faults, fmt.Sprintf("%s/%s: a probe at %s, which is no port of it", name, c.Name, probe.TCPSocket.Port.String()))
		}
		if probe != nil && probe.HTTPGet != nil {
			faults = append(faults, fmt.Sprintf("%s/%s: the kubelet cannot ask what listens on loopback", name, c.Name))
		}
	}
	return faults
}

func portOf(c corev1.Container, port intstr.IntOrString) int32 {
	for _, p := range c.Ports {
		if port.Type == intstr.String && p.Name == port.StrVal || port.Type == intstr.Int && p.ContainerPort == port.IntVal {
			return p.ContainerPort
		}
	}
	return 0
}

// portOfPod finds a port in any container.
func portOfPod(d *appsv1.Deployment, port intstr.IntOrString) int32 {
	for _, c := range containers(d) {
		if n := portOf(c, port); n != 0 {
			return n
		}
	}
	return 0
}

func selects(selector map[string]string, d *appsv1.Deployment) bool {
	return len(selector) > 0 && labels.SelectorFromSet(selector).Matches(labels.Set(d.Spec.Template.Labels))
}

func (m *manifests) serviceFaults() (faults []string) {
	for _, name := range slices.Sorted(maps.Keys(m.services)) {
		s := m.services[name]
		for _, p := range s.Spec.Ports {
			if !slices.ContainsFunc(slices.Collect(maps.Values(m.deployments)), func(d *appsv1.Deployment) bool {
				return d.Namespace == s.Namespace && selects(s.Spec.Selector, d) && portOfPod(d, p.TargetPort) != 0
			}) {
				faults = append(faults, fmt.Sprintf("service %s: nothing that it selects has the port %s", name, p.TargetPort.String()))
			}
		}
	}
	return faults
}

var clusterAddress = regexp.MustCompile(`([a-z0-9-]+)\.([a-z0-9-]+)\.svc\.cluster\.local(?::|\s+port_value: )(\d+)`)

// addresses are those in the files and bootstraps that no service has.
func (m *manifests) addresses() (faults []string) {
	for _, name := range slices.Sorted(maps.Keys(m.configs)) {
		for key, text := range m.configs[name].Data {
			for _, found := range clusterAddress.FindAllStringSubmatch(text, -1) {
				port, _ := strconv.Atoi(found[3])
				s := m.services[found[2]+"/"+found[1]]
				if s == nil || !slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == int32(port) }) {
					faults = append(faults, fmt.Sprintf("%s: %s: %s is no service's", name, key, net.JoinHostPort(found[1]+"."+found[2], found[3])))
				}
			}
		}
	}
	return faults
}
