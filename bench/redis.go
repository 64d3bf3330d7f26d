// SPDX-License-Identifier: Apache-2.0

// A Redis to measure against: a server of our own on a free port, and as much of a client as the measurement needs.

package bench

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// redis is a connection to a server that was started for one benchmark.
type redis struct {
	conn net.Conn
	in   *bufio.Reader
	out  *bufio.Writer
}

// openRedis starts a server that keeps everything in memory and nothing on disk. It ends with the benchmark.
func openRedis(b *testing.B) *redis {
	b.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		b.Fatal("redis-server is missing; on Debian: apt-get install redis-server")
	}
	address := freeAddress(b)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		b.Fatal(err)
	}
	server := exec.Command(program, "--bind", host, "--port", port, "--save", "", "--appendonly", "no",
		"--dir", b.TempDir(), "--daemonize", "no", "--loglevel", "warning")
	server.Stderr = os.Stderr
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := errors.Join(server.Process.Kill(), ignoreExit(server.Wait())); err != nil {
			b.Error(err)
		}
	})
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			b.Cleanup(func() { conn.Close() })
			return &redis{conn, bufio.NewReaderSize(conn, 1<<16), bufio.NewWriterSize(conn, 1<<16)}
		}
		if time.Since(began) > 10*time.Second {
			b.Fatalf("redis-server does not answer on %s: %v", address, err)
		}
	}
}

func ignoreExit(err error) error {
	if _, killed := errors.AsType[*exec.ExitError](err); killed {
		return nil
	}
	return err
}

// freeAddress finds a port that is free now.
func freeAddress(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// put writes one command into the pipeline (RESP, an array of strings).
func (r *redis) put(args ...string) {
	fmt.Fprintf(r.out, "*%d\r\n", len(args))
	for _, arg := range args {
		r.out.WriteByte('$')
		r.out.WriteString(strconv.Itoa(len(arg)))
		r.out.WriteString("\r\n")
		r.out.WriteString(arg)
		r.out.WriteString("\r\n")
	}
}

// answers sends the pipeline and wants n answers that all begin alike.
func (r *redis) answers(n int, want string) error {
	if err := r.out.Flush(); err != nil {
		return err
	}
	for range n {
		line, err := r.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if !strings.HasPrefix(string(line), want) {
			return fmt.Errorf("redis answered %q, want %q", line, want)
		}
	}
	return nil
}

// info returns one number that the server tells of itself.
func (r *redis) info(b *testing.B, section, field string) float64 {
	b.Helper()
	r.put("INFO", section)
	if err := r.out.Flush(); err != nil {
		b.Fatal(err)
	}
	head, err := r.in.ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	size, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(head, "$")))
	if err != nil {
		b.Fatalf("redis answered %q to INFO", head)
	}
	text := make([]byte, size+2)
	for read := 0; read < len(text); {
		n, err := r.in.Read(text[read:])
		if err != nil {
			b.Fatal(err)
		}
		read += n
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), field+":"); ok {
			number, err := strconv.ParseFloat(value, 64)
			if err != nil {
				b.Fatal(err)
			}
			return number
		}
	}
	b.Fatalf("redis does not tell %s", field)
	return 0
}

// cpu is what the server has used so far.
func (r *redis) cpu(b *testing.B) time.Duration {
	b.Helper()
	seconds := r.info(b, "cpu", "used_cpu_user") + r.info(b, "cpu", "used_cpu_sys")
	return time.Duration(seconds * float64(time.Second))
}
