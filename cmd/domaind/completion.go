package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCmd prints a script for a shell. It is made from the very commands
// and flags that the program parses, and completes without running it.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (c completionCmd) Run(s streams, k *kong.Context) error {
	var write func(io.Writer, []completion)
	switch c.Shell {
	case "bash":
		write = bashCompletion
	case "zsh":
		write = zshCompletion
	case "fish":
		write = fishCompletion
	}
	var b strings.Builder
	write(&b, completions(k.Model.Node, ""))
	_, err := fmt.Fprint(s.out, b.String())
	return err
}

// completion is what may follow the words of a command.
type completion struct {
	path  string // " domain create"; "" is the program itself
	words []word
}

type word struct{ text, help string }

// completions lists what may follow each command, the program itself first.
func completions(n *kong.Node, path string) []completion {
	here := completion{path: path}
	var below []completion
	for _, child := range n.Children {
		if child.Hidden {
			continue
		}
		here.words = append(here.words, word{child.Name, child.Help})
		below = append(below, completions(child, path+" "+child.Name)...)
	}
	for _, arg := range n.Positional {
		for _, value := range arg.EnumSlice() {
			if arg.Enum != "" && value != "" {
				here.words = append(here.words, word{value, ""})
			}
		}
	}
	for _, flag := range n.Flags {
		if !flag.Hidden {
			here.words = append(here.words, word{"--" + flag.Name, flag.Help})
		}
	}
	return append([]completion{here}, below...)
}

func texts(words []word) string {
	var all []string
	for _, w := range words {
		all = append(all, w.text)
	}
	return strings.Join(all, " ")
}

// bashCompletion walks the words before the cursor down the commands, and
// offers what may follow the last one.
func bashCompletion(w io.Writer, all []completion) {
	_, _ = fmt.Fprint(w, "# bash completion for domaind: source <(domaind completion bash)\n_domaind() {\n"+
		"  local word at= next=\n  for word in \"${COMP_WORDS[@]:1:$((COMP_CWORD - 1))}\"; do\n    case \"$at $word\" in\n")
	for _, c := range all[1:] {
		_, _ = fmt.Fprintf(w, "      '%s') at='%s' ;;\n", c.path, c.path)
	}
	_, _ = fmt.Fprint(w, "    esac\n  done\n  case \"$at\" in\n")
	for _, c := range all {
		_, _ = fmt.Fprintf(w, "    '%s') next='%s' ;;\n", c.path, texts(c.words))
	}
	_, _ = fmt.Fprint(w, "  esac\n  COMPREPLY=($(compgen -W \"$next\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\n"+
		"complete -o default -F _domaind domaind\n")
}

// zshCompletion is bash's, by the layer that zsh has for it. It keeps to what
// both spell alike, and off the parameter words, which is zsh's own.
func zshCompletion(w io.Writer, all []completion) {
	_, _ = fmt.Fprint(w, "# zsh completion for domaind: source <(domaind completion zsh)\nautoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n")
	bashCompletion(w, all)
}

// fishCompletion has a condition for each command: that its words were typed,
// and for a word below it, that none of its neighbours was.
func fishCompletion(w io.Writer, all []completion) {
	_, _ = fmt.Fprint(w, "# fish completion for domaind: domaind completion fish | source\n")
	for _, c := range all {
		condition := "__fish_use_subcommand"
		if names := strings.Fields(c.path); len(names) > 0 {
			condition = "__fish_seen_subcommand_from " + strings.Join(names, "; and __fish_seen_subcommand_from ")
		}
		below := []string{"; and not __fish_seen_subcommand_from"}
		for _, word := range c.words {
			if !strings.HasPrefix(word.text, "--") {
				below = append(below, word.text)
			}
		}
		for _, word := range c.words {
			when, option := condition+strings.Join(below, " "), "-f -a '"+word.text+"'"
			if name, long := strings.CutPrefix(word.text, "--"); long {
				when, option = condition, "-l '"+name+"'"
			}
			_, _ = fmt.Fprintf(w, "complete -c domaind -n '%s' %s -d '%s'\n", when, option, fishQuoted(word.help))
		}
	}
}

func fishQuoted(s string) string {
	return strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s)
}
