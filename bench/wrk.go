// SPDX-License-Identifier: Apache-2.0

// Load from another process, so that what it costs is not part of what is measured.

package bench

import (
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const wrkConnections = 32

// wrk sends one request over and over, on so many connections, and returns the answers a second and the CPU time of this
// process for each of them. Answers that are not 2xx fail the benchmark.
func wrk(b *testing.B, url string, header http.Header, length time.Duration) (perSecond float64, cpu time.Duration) {
	b.Helper()
	program, err := exec.LookPath("wrk")
	if err != nil {
		b.Fatal("wrk is missing; on Debian: apt-get install wrk")
	}
	args := []string{
		"--threads", "1", "--connections", strconv.Itoa(wrkConnections), "--duration",
		strconv.Itoa(max(1, int(length.Seconds()))) + "s",
	}
	for name, values := range header {
		for _, value := range values {
			args = append(args, "--header", name+": "+value)
		}
	}
	before := processCPU()
	out, err := exec.Command(program, append(args, url)...).CombinedOutput()
	used := processCPU() - before
	text := string(out)
	if err != nil || strings.Contains(text, "Non-2xx") || strings.Contains(text, "Socket errors") {
		b.Fatalf("wrk %s: %v\n%s", url, err, text)
	}
	return number(b, text, `Requests/sec:\s+([\d.]+)`), used / time.Duration(max(1, number(b, text, `(\d+) requests in`)))
}

func number(b *testing.B, text, pattern string) float64 {
	b.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if found == nil {
		b.Fatalf("wrk said\n%s", text)
	}
	n, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// processCPU is what this process has used so far.
func processCPU() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
