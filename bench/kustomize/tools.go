//go:build tools

// Package tools pins kustomize, which `make bench` builds and measures for comparison.
package tools

import _ "sigs.k8s.io/kustomize/kustomize/v5"
