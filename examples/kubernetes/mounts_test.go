package kubernetes

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// configOf are the two files and where they stand.
var configOf = map[string]struct{ config, key string }{
	"acme": {"acme/isolated", "isolated.yaml"}, "commercial": {"commercial/commercial", "commercial.yaml"},
}

// opens are the paths that each daemon opens, by their places in the file; what it does not open it need not mount, and does not.
var opens = map[string]*regexp.Regexp{
	"acme extauthz":       regexp.MustCompile(`^(extauthz\.|cloud\.sockets$)`),
	"acme oidcprovider":   regexp.MustCompile(`^(oidcprovider\.|cloud\.sockets$|cloud\.clients\.jwks$)`),
	"acme xds":            regexp.MustCompile(`^(xds\.|cloud\.sockets$|cloud\.gateway\.callers$)`),
	"commercial extauthz": regexp.MustCompile(`^(extauthz\.|platform\.(sockets|services\.egress\.token_key)$|clouds\.(ca|client\.key)$)`),
	"commercial egress":   regexp.MustCompile(`^(platform\.sockets$|platform\.services\.egress\.token_key$)`),
	"commercial xds":      regexp.MustCompile(`^(xds\.|platform\.sockets$|clouds\.ca$|platform\.services\.egress\.(certificate|key)$)`),
}

// admins are the places of their admin listeners.
var admins = map[string]string{
	"extauthz": "extauthz.admin", "oidcprovider": "oidcprovider.admin", "xds": "xds.admin", "egress": "platform.services.egress.admin",
}

// value is a text of a file and its place there, without the numbers of lists.
type value struct{ place, text string }

func (m *manifests) values(space string) (out []value) {
	of := configOf[space]
	var tree yaml.Node
	if c := m.configs[of.config]; c == nil || yaml.Unmarshal([]byte(c.Data[of.key]), &tree) != nil {
		return nil
	}
	return walk(&tree, "")
}

func walk(n *yaml.Node, place string) (out []value) {
	switch n.Kind {
	case yaml.ScalarNode:
		return []value{{strings.TrimPrefix(place, "."), n.Value}}
	case yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			out = append(out, walk(n.Content[i+1], place+"."+n.Content[i].Value)...)
		}
		return out
	}
	for _, inner := range n.Content {
		out = append(out, walk(inner, place)...)
	}
	return out
}

// mounts are the paths and ports of the files that their containers do not have.
func (m *manifests) mounts() (faults []string) {
	for _, name := range slices.Sorted(maps.Keys(m.deployments)) {
		d := m.deployments[name]
		for _, c := range containers(d) {
			for _, fault := range m.containerPaths(d, c) {
				faults = append(faults, name+"/"+c.Name+": "+fault)
			}
		}
	}
	return append(faults, m.listeners()...)
}

func (m *manifests) containerPaths(d *appsv1.Deployment, c corev1.Container) (faults []string) {
	if !isDaemon(c) {
		return nil
	}
	word := programOf(c)
	if len(c.Args) > 0 && c.Args[0] == "egress" {
		word = "egress"
	}
	reads := opens[d.Namespace+" "+word]
	if reads == nil {
		return []string{"nobody knows what it reads"}
	}
	if fault := m.unmounted(d, c, c.Args[len(c.Args)-1]); fault != "" {
		faults = append(faults, fault)
	}
	for _, v := range m.values(d.Namespace) {
		if strings.HasPrefix(v.text, "/") && reads.MatchString(v.place) {
			if fault := m.unmounted(d, c, v.text); fault != "" {
				faults = append(faults, v.place+": "+fault)
			}
		}
		if v.place == admins[word] {
			for _, probe := range []*corev1.Probe{c.ReadinessProbe, c.LivenessProbe} {
				if probe == nil || probe.Exec == nil || !strings.HasPrefix(probe.Exec.Command[len(probe.Exec.Command)-1], "http://"+v.text+"/") {
					faults = append(faults, "a probe does not ask "+v.text)
				}
			}
		}
	}
	return faults
}

// unmounted says what a path lacks in a container.
func (m *manifests) unmounted(d *appsv1.Deployment, c corev1.Container, file string) string {
	for _, v := range c.VolumeMounts {
		rest, under := strings.CutPrefix(file, v.MountPath+"/")
		if !under && file != v.MountPath {
			continue
		}
		volume := volumeOf(d, v.Name)
		switch {
		case volume.Secret != nil && !slices.Contains(m.secrets[d.Namespace+"/"+volume.Secret.SecretName].files, rest):
			return fmt.Sprintf("%s: the Secret %s has no %s", file, volume.Secret.SecretName, rest)
		case volume.ConfigMap != nil && under:
			if config := m.configs[d.Namespace+"/"+volume.ConfigMap.Name]; config == nil || config.Data[rest] == "" {
				return fmt.Sprintf("%s: the ConfigMap %s has no %s", file, volume.ConfigMap.Name, rest)
			}
		case v.MountPath == "/keys" && !copied(d, rest):
			return fmt.Sprintf("%s: no key is copied there", file)
		}
		return ""
	}
	return file + " is not mounted"
}

// copied tells whether the first container of a pod finds a folder of keys to copy.
func copied(d *appsv1.Deployment, folder string) bool {
	return slices.ContainsFunc(d.Spec.Template.Spec.InitContainers, func(c corev1.Container) bool {
		return slices.ContainsFunc(c.VolumeMounts, func(v corev1.VolumeMount) bool { return v.MountPath == path.Join("/secrets", folder) })
	})
}

// listeners are where the files say that something listens: an Envoy's port on the pod's address, or loopback.
func (m *manifests) listeners() (faults []string) {
	for place, want := range map[string]struct{ space, deployment, container string }{
		"cloud.listeners.ingress":       {"acme", "acme/issues", "envoy-ingress"},
		"cloud.listeners.gateway":       {"acme", "acme/issues", "envoy-gateway"},
		"platform.listeners.edge":       {"commercial", "commercial/edge", "envoy"},
		"platform.listeners.commercial": {"commercial", "commercial/commercial", "envoy"},
	} {
		port := m.portIn(want.space, place)
		if !has(m.deployments[want.deployment], want.container, func(c corev1.Container) bool {
			return len(c.Ports) == 1 && fmt.Sprint(c.Ports[0].ContainerPort) == port
		}) {
			faults = append(faults, fmt.Sprintf("%s: %s of %s has not the port %s alone", place, want.container, want.deployment, port))
		}
	}
	for _, want := range []struct{ space, place, deployment, container, arg string }{
		{"acme", "cloud.products.upstream", "acme/issues", "product", "--listen="},
		{"commercial", "platform.services.egress.listen", "commercial/support", "support", "--sidecar="},
	} {
		for _, v := range m.values(want.space) {
			given := has(m.deployments[want.deployment], want.container, func(c corev1.Container) bool { return slices.Contains(c.Args, want.arg+v.text) })
			if v.place == want.place && !(given && strings.HasPrefix(v.text, "127.0.0.1:")) {
				faults = append(faults, fmt.Sprintf("%s: %s is not loopback, or not what %s of %s has", want.place, v.text, want.container, want.deployment))
			}
		}
	}
	return faults
}

// portIn is the port of an address in a file.
func (m *manifests) portIn(space, place string) string {
	for _, v := range m.values(space) {
		if v.place == place {
			return v.text[strings.LastIndexByte(v.text, ':')+1:]
		}
	}
	return ""
}

func has(d *appsv1.Deployment, container string, what func(corev1.Container) bool) bool {
	return d != nil && slices.ContainsFunc(containers(d), func(c corev1.Container) bool { return c.Name == container && what(c) })
}
