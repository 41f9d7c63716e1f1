// Package kubernetes holds manifests that a platform team may start from: an isolated cloud in one namespace and the commercial side in another, each
// Envoy and its daemons beside what they guard. Its tests hold the manifests against the Kubernetes API, the daemons and each other.
//
// It owns no code that runs, and no image.
package kubernetes
