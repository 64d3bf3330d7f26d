// SPDX-License-Identifier: Apache-2.0

// Tests that the scripts complete, in the shell itself where there is one.

package completion_test

import (
	"bytes"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"example.com/vidimus/cmd/vidimus/internal/completion"
)

type grammar struct {
	JSON bool `help:"Don't talk to people."`
	Keep struct {
		DB   string   `name:"db" help:"Where."`
		Read struct{} `cmd:"" help:"Read it."`
		Load struct {
			File   string `arg:"" help:"What."`
			Format string `enum:"csv,xes" default:"csv" short:"f" help:"How."`
		} `cmd:"" help:"Load it."`
	} `cmd:"" help:"Keep things."`
	Shell struct {
		Name string `arg:"" enum:"bash,zsh" help:"Which."`
	} `cmd:"" help:"Pick a shell."`
}

func script(t *testing.T, write func(io.Writer, *kong.Application) error) string {
	t.Helper()
	var g grammar
	parser, err := kong.New(&g, kong.Name("tool"))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := write(&out, parser.Model); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestBashCompletes sources the script in a real bash and asks it as bash would.
func TestBashCompletes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source := script(t, completion.Bash)
	for _, c := range []struct{ words, want string }{
		{"tool |", "keep shell"},
		{"tool k|", "keep"},
		{"tool keep |", "read load"},
		{"tool --json keep r|", "read"},
		{"tool keep --db keep |", "read load"},
		{"tool keep --db = x |", "read load"},
		{"tool keep load --f|", "--format"},
		{"tool keep load --|", "--help --json --db --format"},
		{"tool keep load --format |", "csv xes"},
		{"tool keep load -f x|", "xes"},
		{"tool keep load --format =|", "csv xes"},
		{"tool keep load --format = x|", "xes"},
		{"tool keep load my|", "myfile"},
		{"tool keep read |", "--help --json --db"},
		{"tool keep --db my|", "myfile"},
		{"tool keep --db a|", "a b"},
		{"tool shell |", "bash zsh"},
		{"tool shell z|", "zsh"},
	} {
		words := strings.Split(strings.TrimSuffix(c.words, "|"), " ")
		ask := source + "\ntouch myfile 'a b'\nCOMP_WORDS=(\"$@\")\nCOMP_CWORD=$(($# - 1))\n_tool\necho ${COMPREPLY[*]}\n"
		cmd := exec.CommandContext(t.Context(), "bash", append([]string{"-c", ask, "bash"}, words...)...)
		cmd.Dir = dir
		got, err := cmd.CombinedOutput()
		if err != nil || strings.TrimSpace(string(got)) != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.words, got, err, c.want)
		}
	}
}

func TestTheOthersNameEverything(t *testing.T) {
	t.Parallel()
	for shell, write := range map[string]func(io.Writer, *kong.Application) error{
		"zsh": completion.Zsh, "fish": completion.Fish,
	} {
		text := script(t, write)
		for _, want := range []string{"keep", "read", "load", "shell", "format", "csv", "xes", "db"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %s is missing in\n%s", shell, want, text)
			}
		}
	}
	if fish := script(t, completion.Fish); !strings.Contains(fish, `-d 'Don\'t talk to people.'`) {
		t.Errorf("fish: a quote is not escaped in\n%s", fish)
	}
}
