package main_test

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/domaind/domaind/gen/api"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func help(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), binary, append(args, "--help")...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestReadmeNamesEveryVariable compares README.md with --help, both ways.
func TestReadmeNamesEveryVariable(t *testing.T) {
	variables := func(text string) []string {
		found := regexp.MustCompile(`\bDOMAIND_[A-Z_]*[A-Z]`).FindAllString(text, -1)
		slices.Sort(found)
		return slices.Compact(found)
	}
	of := readme(t)
	told, taken := variables(of), variables(help(t, "serve")+help(t, "domain", "list")+help(t, "check"))
	if len(taken) < 30 {
		t.Fatalf("--help has only %q", taken)
	}
	for _, v := range taken {
		if !slices.Contains(told, v) {
			t.Errorf("README.md does not tell of %s", v)
		}
	}
	for _, v := range told {
		if !slices.Contains(taken, v) {
			t.Errorf("README.md tells of %s, which no command takes", v)
		}
	}
}

// TestReadmeNamesEveryCommand looks for each command of --help, in a code span.
func TestReadmeNamesEveryCommand(t *testing.T) {
	_, list, _ := strings.Cut(help(t), "Commands:\n")
	commands := regexp.MustCompile(`(?m)^  ([a-z]+(?: [a-z]+)?) `).FindAllStringSubmatch(list, -1)
	if len(commands) < 15 {
		t.Fatalf("--help lists %q", commands)
	}
	for _, command := range commands {
		if !strings.Contains(readme(t), "`"+command[1]) {
			t.Errorf("README.md does not tell of %s", command[1])
		}
	}
}

// TestReadmeNamesEveryCall looks for the end of each path of the contract; what
// is common to many stands there as "…".
func TestReadmeNamesEveryCall(t *testing.T) {
	doc, err := api.GetSpec()
	if err != nil {
		t.Fatal(err)
	}
	for path := range doc.Paths.Map() {
		end := path[strings.LastIndex(path, "/"):]
		if strings.HasSuffix(end, "}") {
			end = path[strings.LastIndex(strings.TrimSuffix(path, end), "/"):]
		}
		if !strings.Contains(readme(t), end) {
			t.Errorf("README.md does not tell of %s", path)
		}
	}
}
