// SPDX-License-Identifier: Apache-2.0

// Here the programs of PostgreSQL and PgBouncer are found, or their absence is explained.

//go:build unix

package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// remedy is what every message about a missing program ends with.
const remedy = "run `make postgres`, or set VIDIMUS_PG_BIN to the directory that holds initdb and postgres"

// places are the directories where packages put the server when it is not in PATH.
var places = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/usr/local/pgsql/bin",
	"/opt/homebrew/opt/postgresql*/bin",
}

// binaries returns the directory of initdb and postgres: the named one, else PATH, else the newest packaged one,
// else what pg_config says.
func binaries(named string, patterns []string) (string, error) {
	if named != "" {
		if !holdsServer(named) {
			return "", fmt.Errorf("VIDIMUS_PG_BIN=%s holds no initdb and postgres: %s", named, remedy)
		}
		return named, nil
	}
	if found, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(found); err == nil && holdsServer(filepath.Dir(real)) {
			return filepath.Dir(real), nil
		}
	}
	if dir := newest(patterns); dir != "" {
		return dir, nil
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		if dir := strings.TrimSpace(string(out)); holdsServer(dir) {
			return dir, nil
		}
	}
	return "", fmt.Errorf("no PostgreSQL server found in PATH or %s: %s", strings.Join(patterns, ", "), remedy)
}

// newest returns the directory with the highest version number among the patterns' matches, or "".
func newest(patterns []string) string {
	best, bestVersion := "", -1
	for _, pattern := range patterns {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			continue
		}
		for _, dir := range matches {
			if v := version(dir); v > bestVersion && holdsServer(dir) {
				best, bestVersion = dir, v
			}
		}
	}
	return best
}

// version reads the digits of the directory above bin, so "/usr/lib/postgresql/17/bin" is 17.
func version(dir string) int {
	digits := strings.Trim(filepath.Base(filepath.Dir(dir)), "abcdefghijklmnopqrstuvwxyz-@")
	major, _, _ := strings.Cut(digits, ".")
	n, err := strconv.Atoi(major)
	if err != nil {
		return 0
	}
	return n
}

// holdsServer reports whether both programs of a server are in dir.
func holdsServer(dir string) bool {
	return !slices.ContainsFunc([]string{"initdb", "postgres"}, func(name string) bool {
		info, err := os.Stat(filepath.Join(dir, name))
		return err != nil || info.IsDir() || info.Mode()&0o111 == 0
	})
}

// bouncer returns the path of PgBouncer, which Debian keeps outside an ordinary user's PATH.
func bouncer() (string, error) {
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer", "/usr/local/sbin/pgbouncer"} {
		if found, err := exec.LookPath(name); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("no pgbouncer found in PATH or /usr/sbin: run `make postgres`")
}
