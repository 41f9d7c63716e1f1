package kubernetes

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// manifests are all documents, and the secrets that the README lists, in whose place none stand.
type manifests struct {
	configs     map[string]*corev1.ConfigMap // all maps by namespace/name
	accounts    map[string]bool              // whether they mount no token
	claims      map[string]*corev1.PersistentVolumeClaim
	services    map[string]*corev1.Service
	deployments map[string]*appsv1.Deployment
	policies    []*networkingv1.NetworkPolicy
	namespaces  map[string]*corev1.Namespace
	secrets     map[string]secret
}

// secret is a line of the README's table.
type secret struct {
	files   []string
	mounted []string // workload/container, in the order of the alphabet
}

// files are the manifests and the README by their names, as a test may change them before they are read.
func files(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("*/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatal("no manifests", err)
	}
	out := map[string]string{}
	for _, name := range append(names, "README.md") {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = string(raw)
	}
	return out
}

// decoder knows the kinds that stand here, and refuses fields that they do not have or have twice.
func decoder() (runtime.Decoder, error) {
	scheme := runtime.NewScheme()
	err := errors.Join(corev1.AddToScheme(scheme), appsv1.AddToScheme(scheme), networkingv1.AddToScheme(scheme))
	return json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true}), err
}

// document is one object of a file.
type document struct {
	object runtime.Object
	kind   string
}

// decoded are the documents of texts that were decoded before: between two tests most manifests are the same.
var decoded = map[string][]document{}

// decode takes a file apart, up to the first fault.
func decode(strict runtime.Decoder, text string) (out []document, err error) {
	if known, ok := decoded[text]; ok {
		return known, nil
	}
	for documents := yaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text))); ; {
		raw, err := documents.Read()
		if errors.Is(err, io.EOF) {
			decoded[text] = out
			return out, nil
		}
		if err != nil {
			return out, err
		}
		object, kind, err := strict.Decode(raw, nil, nil)
		if err != nil {
			return out, err
		}
		out = append(out, document{object, kind.Kind})
	}
}

// read decodes everything; what does not decode, and what stands twice, is a fault.
func read(files map[string]string) (*manifests, []string) {
	m := &manifests{
		configs: map[string]*corev1.ConfigMap{}, accounts: map[string]bool{}, claims: map[string]*corev1.PersistentVolumeClaim{},
		services: map[string]*corev1.Service{}, deployments: map[string]*appsv1.Deployment{}, namespaces: map[string]*corev1.Namespace{},
		secrets: secretsOf(files["README.md"]),
	}
	strict, err := decoder()
	if err != nil {
		return m, []string{err.Error()}
	}
	var faults []string
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if filepath.Ext(name) != ".yaml" {
			continue
		}
		all, err := decode(strict, files[name])
		for _, one := range all {
			err = errors.Join(err, m.add(one, filepath.Dir(name), seen))
		}
		if err != nil {
			faults = append(faults, fmt.Sprintf("%s: %v", name, err))
		}
	}
	return m, faults
}

// add files an object. What stands in a folder belongs to one namespace.
func (m *manifests) add(d document, folder string, seen map[string]bool) error {
	meta := d.object.(metav1.Object)
	space, name := meta.GetNamespace(), meta.GetNamespace()+"/"+meta.GetName()
	if want := map[string]string{"isolated": "acme", "commercial": "commercial"}[folder]; d.kind != "Namespace" && space != want {
		return fmt.Errorf("%s %s is not in the namespace %s", d.kind, name, want)
	}
	if seen[d.kind+name] {
		return fmt.Errorf("%s %s stands twice", d.kind, name)
	}
	seen[d.kind+name] = true
	switch o := d.object.(type) {
	case *corev1.ConfigMap:
		m.configs[name] = o
	case *corev1.ServiceAccount:
		m.accounts[name] = is(o.AutomountServiceAccountToken, false)
	case *corev1.PersistentVolumeClaim:
		m.claims[name] = o
	case *corev1.Service:
		m.services[name] = o
	case *appsv1.Deployment:
		m.deployments[name] = o
	case *networkingv1.NetworkPolicy:
		m.policies = append(m.policies, o)
	case *corev1.Namespace:
		m.namespaces[o.Name] = o
	default:
		return fmt.Errorf("%s %s: no test looks at this kind", d.kind, name)
	}
	return nil
}

var (
	secretLine = regexp.MustCompile("(?m)^\\| `([a-z]+/[a-z-]+)` \\| ([^|]*) \\| [^|]* \\| ([^|]*) \\|$")
	quoted     = regexp.MustCompile("`([^`]+)`")
)

func secretsOf(readme string) map[string]secret {
	out := map[string]secret{}
	for _, line := range secretLine.FindAllStringSubmatch(readme, -1) {
		out[line[1]] = secret{words(line[2]), slices.Sorted(slices.Values(words(line[3])))}
	}
	return out
}

func words(text string) (out []string) {
	for _, word := range quoted.FindAllStringSubmatch(text, -1) {
		out = append(out, word[1])
	}
	return out
}

// containers are those of a pod, the ones that run first among them.
func containers(d *appsv1.Deployment) []corev1.Container {
	return slices.Concat(d.Spec.Template.Spec.InitContainers, d.Spec.Template.Spec.Containers)
}

// faults are all that is wrong with the manifests by themselves.
func faults(files map[string]string) []string {
	m, out := read(files)
	return slices.Concat(out, m.references(), m.addresses(), m.mounts(), m.hardening(), m.reachable())
}

func TestTheManifestsHoldTogether(t *testing.T) {
	all := files(t)
	for _, fault := range faults(all) {
		t.Error(fault)
	}
	m, _ := read(all)
	if len(m.deployments) != 6 || len(m.secrets) < 20 {
		t.Errorf("%d deployments and %d secrets were read", len(m.deployments), len(m.secrets))
	}
}
