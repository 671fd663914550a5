package main

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// unknownVariables returns the names in an environment, of the form of
// os.Environ, that begin as ours do, have a value, and that no command knows,
// sorted: typing errors, most likely.
func unknownVariables(model *kong.Application, environ []string) []string {
	known := map[string]bool{}
	addVariables(model.Node, known)
	var unknown []string
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "DOMAIND_") && value != "" && !known[name] {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// addVariables adds those of the flags of a command and of the commands below.
func addVariables(n *kong.Node, known map[string]bool) {
	for _, f := range n.Flags {
		for _, name := range f.Envs {
			known[name] = true
		}
	}
	for _, child := range n.Children {
		addVariables(child, known)
	}
}
