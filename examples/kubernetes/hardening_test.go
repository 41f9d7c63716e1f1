package kubernetes

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// hardening is what every pod keeps: the restricted Pod Security Standard, a read-only root, bounds, and no credential of the cluster.
func (m *manifests) hardening() (faults []string) {
	for _, name := range slices.Sorted(maps.Keys(m.namespaces)) {
		if m.namespaces[name].Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
			faults = append(faults, "namespace "+name+": pod security is not restricted")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.deployments)) {
		d := m.deployments[name]
		for _, fault := range slices.Concat(podFaults(d), stateFaults(d, m.claims)) {
			faults = append(faults, name+": "+fault)
		}
		for _, c := range containers(d) {
			for _, fault := range containerFaults(d, c) {
				faults = append(faults, name+"/"+c.Name+": "+fault)
			}
		}
	}
	return faults
}

func podFaults(d *appsv1.Deployment) (faults []string) {
	pod := d.Spec.Template.Spec
	for fault, wrong := range map[string]bool{
		"shares the host's namespaces":        pod.HostNetwork || pod.HostPID || pod.HostIPC,
		"mounts a token of the cluster":       !is(pod.AutomountServiceAccountToken, false),
		"learns of every service":             !is(pod.EnableServiceLinks, false),
		"has no security context":             pod.SecurityContext == nil,
		"shares processes between containers": pod.ShareProcessNamespace != nil && *pod.ShareProcessNamespace,
		"may run as root": pod.SecurityContext != nil &&
			(!is(pod.SecurityContext.RunAsNonRoot, true) || is(pod.SecurityContext.RunAsUser, 0)),
		"has no fsGroup to read its Secrets by": pod.SecurityContext != nil && pod.SecurityContext.FSGroup == nil,
		"has no seccomp profile": pod.SecurityContext != nil && (pod.SecurityContext.SeccompProfile == nil ||
			pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault),
	} {
		if wrong {
			faults = append(faults, fault)
		}
	}
	return faults
}

func is[T comparable](p *T, want T) bool { return p != nil && *p == want }

// stateFaults: two pods at one store would each wait for the other's lock, or lose sessions.
func stateFaults(d *appsv1.Deployment, claims map[string]*corev1.PersistentVolumeClaim) (faults []string) {
	for _, v := range d.Spec.Template.Spec.Volumes {
		if v.PersistentVolumeClaim == nil {
			continue
		}
		if !is(d.Spec.Replicas, 1) || d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
			faults = append(faults, "has a store, and so must be one replica that is recreated")
		}
		if claim := claims[d.Namespace+"/"+v.PersistentVolumeClaim.ClaimName]; claim != nil &&
			!slices.Equal(claim.Spec.AccessModes, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}) {
			faults = append(faults, "two pods may mount "+claim.Name)
		}
		if users := usersOf(d, v.Name); len(users) > 1 {
			faults = append(faults, fmt.Sprintf("the store %s is mounted by %v", v.Name, users))
		}
	}
	return faults
}

func containerFaults(d *appsv1.Deployment, c corev1.Container) (faults []string) {
	s, pod := c.SecurityContext, d.Spec.Template.Spec.SecurityContext
	if s == nil || !is(s.AllowPrivilegeEscalation, false) || !is(s.ReadOnlyRootFilesystem, true) || is(s.Privileged, true) ||
		s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 {
		faults = append(faults, "is not hardened")
	}
	for _, list := range []corev1.ResourceList{c.Resources.Requests, c.Resources.Limits} {
		if list.Cpu().IsZero() || list.Memory().IsZero() {
			faults = append(faults, "has no bound of CPU or memory")
		}
	}
	for _, v := range c.VolumeMounts {
		if volume := volumeOf(d, v.Name); (volume.Secret != nil || volume.ConfigMap != nil) && !v.ReadOnly {
			faults = append(faults, "may write "+v.Name)
		}
	}
	ours := programOf(c) != ""
	if !ours && len(c.VolumeMounts) > 0 {
		faults = append(faults, "mounts volumes, and is neither a daemon nor an Envoy")
	}
	if pod != nil && pod.RunAsUser != nil && s != nil && ours == (s.RunAsUser != nil && *s.RunAsUser != *pod.RunAsUser) {
		faults = append(faults, "daemons and Envoys run as the pod's user, whose sockets nobody else may open")
	}
	return faults
}

func volumeOf(d *appsv1.Deployment, name string) corev1.Volume {
	for _, v := range d.Spec.Template.Spec.Volumes {
		if v.Name == name {
			return v
		}
	}
	return corev1.Volume{}
}

// programOf is envoy, a daemon's name, or sh for what prepares keys; "" for a product or a service.
func programOf(c corev1.Container) string {
	if len(c.Command) == 0 {
		return ""
	}
	return path.Base(c.Command[0])
}

// isDaemon is true for ours.
func isDaemon(c corev1.Container) bool {
	return strings.HasPrefix(c.Image, "registry.example/isogate:") && programOf(c) != "sh"
}
