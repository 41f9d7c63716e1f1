package kubernetes

import (
	"strings"
	"testing"
)

// broken are single edits, and what is then found.
var broken = []struct{ name, file, old, fresh, want string }{
	{"an unknown field", "isolated/issues.yaml", "replicas: 1", "replica: 1", `unknown field "spec.replica"`},
	{"a field in another case", "isolated/issues.yaml",
		"runAsNonRoot:", "runAsNonroot:", `unknown field "spec.template.spec.securityContext.runAsNonroot"`},
	{"a doubled field", "isolated/xds.yaml", "  replicas: 2", "  replicas: 2\n  replicas: 3", `key "replicas" already set`},
	{"an unknown kind", "isolated/xds.yaml", "kind: Service\n", "kind: Servise\n", "Servise"},
	{"another namespace", "isolated/xds.yaml", "namespace: acme", "namespace: commercial", "is not in the namespace acme"},
	{"the same twice", "commercial/network.yaml", "name: edge-forwards", "name: commercial-from-edge", "stands twice"},
	{"no such ConfigMap", "isolated/xds.yaml", "configMap: {name: policies}", "configMap: {name: rules}", "no ConfigMap rules"},
	{"no such Secret", "isolated/xds.yaml", "secretName: callers,", "secretName: caller,", "no Secret caller in the README"},
	{"no such claim", "isolated/issues.yaml", "claimName: oidcprovider", "claimName: codes", "no claim codes"},
	{"no such account", "commercial/edge.yaml", "serviceAccountName: edge", "serviceAccountName: default", "the service account"},
	{"no such volume", "commercial/edge.yaml", "{name: envoy-admin, mountPath", "{name: admin, mountPath", "no volume admin"},
	{"an unused volume", "commercial/edge.yaml", "            - {name: envoy-admin, mountPath: /run/envoy}\n", "", "nothing mounts it"},
	{"no such port", "commercial/edge.yaml", "targetPort: edge", "targetPort: https", "nothing that it selects has the port https"},
	{"a probe at no port", "commercial/edge.yaml", "tcpSocket: {port: edge}", "tcpSocket: {port: https}", "a probe at https"},
	{"a probe at an address where nothing listens", "isolated/xds.yaml", `exec: {command: [wget, -q, -O, /dev/null, "http://127.0.0.1:9902/readyz"]}`,
		"httpGet: {port: 9902, path: /readyz}", "the kubelet cannot ask"},
	{"a probe of another daemon", "isolated/issues.yaml",
		"http://127.0.0.1:9903/readyz", "http://127.0.0.1:9901/readyz", "a probe does not ask 127.0.0.1:9903"},
	{"a Service of nothing", "commercial/support.yaml", "selector: {app: support}", "selector: {app: suport}", "service commercial/support: nothing"},
	{"a Deployment of nothing", "commercial/support.yaml",
		"matchLabels: {app: support}", "matchLabels: {app: suport}", "its selector does not select its pods"},
	{"an address of no Service", "commercial/config.yaml",
		"gateway.acme.svc.cluster.local:8444", "gateway.acme.svc.cluster.local:8443", "is no service's"},
	{"an address of no Service in a bootstrap", "isolated/bootstraps.yaml", "port_value: 18000", "port_value: 18001", "is no service's"},
	{"a Secret that the README gives to nobody", "README.md",
		"`commercial/keys` `support/keys`", "`commercial/keys`", "secret commercial/token-support"},
	{"a TLS key beside an Envoy", "isolated/issues.yaml", "secretName: envoy-ingress-tls", "secretName: ingress-tls", "secret acme/ingress-tls"},
	{"a file that its Secret has not", "isolated/config.yaml", "provider/client_secret", "provider/secret", "the Secret provider has no secret"},
	{"a file that is not mounted", "isolated/config.yaml", "clients/commercial.jwks", "client/commercial.jwks", "is not mounted"},
	{"a folder of keys that is not copied", "commercial/config.yaml",
		"token_key: /keys/token-support", "token_key: /keys/support", "no key is copied there"},
	{"a file that its ConfigMap has not", "isolated/xds.yaml", "file/isolated.yaml", "file/cloud.yaml", "the ConfigMap isolated has no cloud.yaml"},
	{"a file that never changes again", "isolated/xds.yaml",
		"mountPath: /etc/isogate/policies,", "mountPath: /etc/isogate/policies, subPath: x,", "by subPath"},
	{"another port than the file's", "isolated/issues.yaml", "containerPort: 8444", "containerPort: 8445", "cloud.listeners.gateway"},
	{"a port beside the Envoy's own", "isolated/issues.yaml",
		"containerPort: 8444}", "containerPort: 8444}\n            - {name: more, containerPort: 8446}", "not the port 8444 alone"},
	{"a product on the pod's address", "isolated/issues.yaml", "--listen=127.0.0.1:8080", "--listen=:8080", "not loopback, or not what product"},
	{"a product's upstream elsewhere", "isolated/config.yaml",
		"upstream: 127.0.0.1:8080", "upstream: 10.0.0.1:8080", "not loopback, or not what product"},
	{"a service that calls past its sidecar", "commercial/support.yaml",
		"--sidecar=127.0.0.1:9801", "--sidecar=127.0.0.1:9802", "not loopback, or not what support"},
	{"a pod that may be root", "commercial/edge.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "may run as root"},
	{"a writable root", "commercial/edge.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "is not hardened"},
	{"a capability", "commercial/edge.yaml", "drop: [ALL]", "drop: [ALL], add: [NET_ADMIN]", "is not hardened"},
	{"no bound", "commercial/edge.yaml", `limits: {cpu: "2", memory: 1Gi}`, `limits: {cpu: "2"}`, "has no bound"},
	{"no seccomp", "commercial/edge.yaml", "RuntimeDefault", "Unconfined", "has no seccomp profile"},
	{"a token of the cluster", "commercial/edge.yaml",
		"      automountServiceAccountToken: false", "      automountServiceAccountToken: true", "mounts a token"},
	{"the host's network", "commercial/edge.yaml", "      enableServiceLinks: false", "      hostNetwork: true", "shares the host's namespaces"},
	{"a folder of the host", "commercial/edge.yaml", "emptyDir: {medium: Memory, sizeLimit: 1Mi}", "hostPath: {path: /run}", "a kind of volume"},
	{"a product with a volume", "isolated/issues.yaml", `args: ["--listen=127.0.0.1:8080"]`,
		"args: [\"--listen=127.0.0.1:8080\"]\n          volumeMounts: [{name: sockets, mountPath: /run/isogate}]", "neither a daemon nor an Envoy"},
	{"a product as the daemons' user", "isolated/issues.yaml", "runAsUser: 65533", "runAsUser: 65532", "daemons and Envoys run as the pod's user"},
	{"two pods at a store", "isolated/issues.yaml", "replicas: 1", "replicas: 2", "must be one replica"},
	{"a rolling update at a store", "isolated/issues.yaml", "strategy: {type: Recreate}", "strategy: {type: RollingUpdate}", "must be one replica"},
	{"a store that two pods may mount", "isolated/issues.yaml", "[ReadWriteOncePod]", "[ReadWriteMany]", "two pods may mount extauthz"},
	{"no default of the network", "isolated/network.yaml",
		"podSelector: {}", "podSelector: {matchLabels: {app: issues}}", "acme/xds → everywhere:any"},
	{"the edge at the gateway", "isolated/network.yaml", "{egress: sidecar}", "{app: edge}", "the network lets in"},
	{"everybody at the ingress", "isolated/network.yaml",
		"            matchLabels: {app: edge}\n", "            {}\n", "commercial/support → acme/issues:ingress"},
	{"a service that calls anything", "commercial/network.yaml",
		"podSelector:\n    matchLabels: {egress: sidecar}", "podSelector:\n    matchLabels: {app: edge}", "the network lets begin"},
	{"the edge at a service", "commercial/network.yaml",
		"{app: support}\n  policyTypes: [Ingress]\n  ingress:\n    - from:\n        - podSelector:\n            matchLabels: {app: commercial}",
		"{app: support}\n  policyTypes: [Ingress]\n  ingress:\n    - from:\n        - podSelector:\n            matchLabels: {app: edge}",
		"commercial/edge → commercial/support:http"},
}

// Every check sees the fault that it is for.
func TestFaultsAreSeen(t *testing.T) {
	for _, test := range broken {
		t.Run(test.name, func(t *testing.T) {
			all := files(t)
			if !strings.Contains(all[test.file], test.old) {
				t.Fatalf("%s has no %q", test.file, test.old)
			}
			all[test.file] = strings.Replace(all[test.file], test.old, test.fresh, 1)
			if found := strings.Join(faults(all), "\n"); !strings.Contains(found, test.want) {
				t.Errorf("found %q, and not %q", found, test.want)
			}
		})
	}
}

// The daemons refuse what does not belong into their files, and options that they do not have.
func TestDaemonFaultsAreSeen(t *testing.T) {
	for _, test := range []struct{ name, file, old, fresh, want string }{
		{"an unknown key", "isolated/config.yaml", "domain: acme.example\n", "domian: acme.example\n", "domian"},
		{"a key of the other side", "commercial/config.yaml",
			"federated: /keys/federated", "federated: /keys/federated\n        uct: /keys/uct", "belongs to the isolated side"},
		{"a service without a sidecar", "commercial/support.yaml", "[egress, support,", "[egress, market,", "commercial/support/extauthz: exit status"},
		{"an unknown option", "isolated/xds.yaml", "args: [-config,", "args: [-verbose, -config,", "-verbose"},
	} {
		t.Run(test.name, func(t *testing.T) {
			all := files(t)
			if !strings.Contains(all[test.file], test.old) {
				t.Fatalf("%s has no %q", test.file, test.old)
			}
			all[test.file] = strings.Replace(all[test.file], test.old, test.fresh, 1)
			m, _ := read(all)
			if _, faults := m.checks(t.TempDir()); !strings.Contains(strings.Join(faults, "\n"), test.want) {
				t.Errorf("found %q, and not %q", faults, test.want)
			}
		})
	}
}
