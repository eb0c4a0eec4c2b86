//go:build tools

// Package tools names the rival that `make bench` builds and measures beside this project.
package tools

import _ "sigs.k8s.io/kustomize/kustomize/v5"
