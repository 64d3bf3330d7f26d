// SPDX-License-Identifier: Apache-2.0

// vidimus version and vidimus completion.

package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"example.com/vidimus/cmd/vidimus/internal/completion"
)

type versionCmd struct{}

// versionAnswer is the answer to --json.
type versionAnswer struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Run says what was built, from the build's own records.
func (c *versionCmd) Run(a *app) error {
	v := versionAnswer{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		v.Version = info.Main.Version
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Revision = s.Value
			case "vcs.time":
				v.Time = s.Value
			case "vcs.modified":
				v.Modified = s.Value == "true"
			}
		}
	}
	if a.json {
		return a.object(v)
	}
	text := fmt.Sprintf("vidimus %s, %s, %s", v.Version, v.Go, v.Platform)
	if v.Revision != "" {
		text += ", revision " + v.Revision
	}
	return a.tell("%s", text)
}

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: ${enum}."`
}

// Help is shown by --help.
func (c *completionCmd) Help() string {
	return `Put one of these into the start-up file of your shell:

    source <(vidimus completion bash)
    source <(vidimus completion zsh)
    vidimus completion fish | source`
}

// Run writes the script, made from the grammar itself.
func (c *completionCmd) Run(a *app) error {
	switch c.Shell {
	case "zsh":
		return completion.Zsh(a.out, a.model)
	case "fish":
		return completion.Fish(a.out, a.model)
	}
	return completion.Bash(a.out, a.model)
}
