// SPDX-License-Identifier: Apache-2.0

// Programs for Node.js, run with the packages of npm/package-lock.json.

package interop

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// packages installs the packages of the lock file, once for all tests and for as long as the file stays the same, and
// returns the directory that holds node_modules.
var packages = sync.OnceValues(func() (string, error) {
	inputs := []string{"package.json", "package-lock.json", ".npmrc"}
	sum := sha256.New()
	texts := map[string][]byte{}
	for _, name := range inputs {
		text, err := os.ReadFile(filepath.Join("npm", name))
		if err != nil {
			return "", err
		}
		sum.Write(text)
		texts[name] = text
	}
	cache, err := filepath.Abs(filepath.Join("..", ".cache"))
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "npm-"+hex.EncodeToString(sum.Sum(nil)[:6]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	making, err := os.MkdirTemp(cache, "npm-making-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(making)
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(making, name), text, 0o644); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	ci := exec.CommandContext(ctx, "npm", "ci", "--loglevel=error")
	ci.Dir = making
	if out, err := ci.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w: install Node.js 20 or newer with npm (Debian: apt-get install nodejs npm), "+
			"and let it reach a registry\n%s", err, out)
	}
	// Who comes second, finds it there.
	if err := os.Rename(making, dir); err != nil {
		if _, there := os.Stat(dir); there != nil {
			return "", err
		}
	}
	return dir, nil
})

// node runs a program of npm/ and returns what it prints.
func node(t *testing.T, program string, args ...string) []byte {
	t.Helper()
	dir, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("npm", program))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", append([]string{"--input-type=module", "-"}, args...)...)
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(text)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node %s: %v\n%s", program, err, complaints.String())
	}
	return out
}
