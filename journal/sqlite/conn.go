// SPDX-License-Identifier: Apache-2.0

// Connections to the file and the statements they keep.

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"example.com/vidimus/journal"
)

// conn is one connection. One goroutine at a time may use it.
type conn struct {
	*sqlite3.Conn
	stmts map[string]*sqlite3.Stmt
	page  pageBuilder
}

// resolve returns the one absolute name of the file, so that it cannot be opened twice under two names.
func resolve(path, vfsName string) (string, error) {
	if path == "" {
		return "", &journal.InvalidError{Field: "path", Problem: "is missing; name the file to keep the journal in"}
	}
	if vfsName != "" {
		return path, nil
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return "", &journal.InvalidError{Field: "path", Problem: err.Error()}
	}
	if real, err := filepath.EvalSymlinks(full); err == nil {
		return real, nil
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(full))
	if err != nil {
		return "", &journal.InvalidError{Field: "path", Problem: fmt.Sprintf(
			"the folder %s cannot be opened (%v); create it first", filepath.Dir(full), err)}
	}
	return filepath.Join(dir, filepath.Base(full)), nil
}

// claim makes the file if there is none, for its owner alone: it says who is signed in. An existing one keeps its mode,
// and what is kept beside it gets the same: -shm here, since SQLite's driver would let everybody read it, and -wal by
// the URI. What cannot be made here is for SQLite to make, or to complain about.
func (s *store) claim() {
	const private = 0o600
	made := func(name string, mode fs.FileMode) {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
		if err != nil {
			return
		}
		_ = f.Chmod(mode) // whatever the umask says
		_ = f.Close()
	}
	made(s.path, private)
	if info, err := os.Stat(s.path); err == nil {
		made(s.path+"-shm", info.Mode().Perm())
	}
}

// connect opens a connection that may write. In WAL mode EXTRA is FULL; it matters before the file is in WAL mode: the
// old journal must be gone for good, or it would undo everything if a power loss brought it back.
func (s *store) connect(ctx context.Context) (*conn, error) {
	c, err := s.dial(ctx,
		fmt.Sprintf("PRAGMA busy_timeout = %d", busyTimeout.Milliseconds()),
		"PRAGMA synchronous = "+s.tuning.synchronous,
		"PRAGMA journal_mode = WAL",
		fmt.Sprintf("PRAGMA wal_autocheckpoint = %d", s.tuning.checkpointPages),
		fmt.Sprintf("PRAGMA journal_size_limit = %d", walLimit),
		"PRAGMA cache_size = -65536",
		"PRAGMA temp_store = MEMORY",
	)
	if err == nil && s.tuning.vfs == "" {
		syncFolder(filepath.Dir(s.path))
	}
	return c, err
}

// syncFolder makes the names of new files durable. Where a folder cannot be synced, the system sees to that itself.
func syncFolder(name string) {
	if dir, err := os.Open(name); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
}

// connectReader opens a connection that cannot write.
func (s *store) connectReader(ctx context.Context) (*conn, error) {
	return s.dial(ctx,
		fmt.Sprintf("PRAGMA busy_timeout = %d", busyTimeout.Milliseconds()),
		"PRAGMA cache_size = -16384",
		"PRAGMA temp_store = MEMORY",
		"PRAGMA query_only = ON",
	)
}

func (s *store) dial(ctx context.Context, pragmas ...string) (*conn, error) {
	db, err := sqlite3.OpenContext(ctx, s.uri())
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, s.unavailable("open", err)
	}
	c := &conn{Conn: db, stmts: map[string]*sqlite3.Stmt{}}
	if s.alone {
		pragmas = append([]string{"PRAGMA locking_mode = EXCLUSIVE"}, pragmas...)
	}
	for _, p := range pragmas {
		if err := c.Exec(p); err != nil {
			c.close()
			return nil, s.unavailable("open", err)
		}
	}
	return c, nil
}

func (s *store) uri() string {
	u := "file:" + (&url.URL{Path: filepath.ToSlash(s.path)}).EscapedPath()
	switch {
	case s.tuning.vfs != "":
		u += "?vfs=" + s.tuning.vfs
	case !vfs.SupportsFileLocking:
		u += "?nolock=1"
	default: // what is kept beside the file has its mode
		u += "?modeof=" + strings.ReplaceAll(url.QueryEscape(s.path), "+", "%20") // SQLite knows no plus for a space
	}
	return u
}

// close releases the connection, whatever state it is in.
func (c *conn) close() {
	if c == nil {
		return
	}
	c.closeStatements()
	_ = c.Conn.Close()
}

func closeAll(conns []*conn) {
	for _, c := range conns {
		c.close()
	}
}

func (c *conn) closeStatements() {
	for _, st := range c.stmts {
		_ = st.Close()
	}
	clear(c.stmts)
}

// interruptedBy makes statements end with ctx until the returned function is called.
func (c *conn) interruptedBy(ctx context.Context) (restore func()) {
	old := c.SetInterrupt(ctx)
	return func() { c.SetInterrupt(old) }
}

// statement returns the prepared form of a constant query.
func (c *conn) statement(q string) (*sqlite3.Stmt, error) {
	if st := c.stmts[q]; st != nil {
		return st, nil
	}
	st, _, err := c.Prepare(q)
	if err != nil {
		return nil, err
	}
	c.stmts[q] = st
	return st, nil
}

// snapshot runs fn in a read transaction.
func (c *conn) snapshot(fn func() error) error {
	if err := c.exec("BEGIN"); err != nil {
		return err
	}
	err := fn()
	return errors.Join(err, c.rollback())
}

// writing runs fn in a transaction that holds the file's write lock from the start.
func (c *conn) writing(fn func() error) error {
	if err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := fn()
	if err == nil {
		err = c.exec("COMMIT")
	}
	if err != nil {
		return errors.Join(err, c.rollback())
	}
	return nil
}

// rollback ends a transaction, if there is one, even when the connection was interrupted.
func (c *conn) rollback() error {
	if c.GetAutocommit() {
		return nil
	}
	defer c.interruptedBy(context.Background())()
	return c.exec("ROLLBACK")
}

// row is a row of a result. What it returns as bytes is valid until the next row.
type row interface {
	int(col int) int64
	text(col int) string
	bytes(col int) []byte
}

// database is what queries run on: a connection of our own, or the application's transaction.
type database interface {
	// query calls each with every row, until it returns an error: errEnough ends the query without one.
	query(q string, args []any, each func(r row) error) error
	exec(q string, args ...any) error
}

var errEnough = errors.New("enough rows")

type stmtRow struct{ *sqlite3.Stmt }

func (r stmtRow) int(col int) int64    { return r.ColumnInt64(col) }
func (r stmtRow) text(col int) string  { return r.ColumnText(col) }
func (r stmtRow) bytes(col int) []byte { return r.ColumnRawBlob(col) }

// query implements [database] for a constant query.
func (c *conn) query(q string, args []any, each func(r row) error) error {
	st, err := c.statement(q)
	if err != nil {
		return err
	}
	return run(st, args, each)
}

// once is query for a text that is made up on the spot.
func (c *conn) once(q string, args []any, each func(r row) error) error {
	st, _, err := c.Prepare(q)
	if err != nil {
		return err
	}
	return errors.Join(run(st, args, each), st.Close())
}

func run(st *sqlite3.Stmt, args []any, each func(r row) error) (err error) {
	if err := bind(st, args); err != nil {
		return err
	}
	for st.Step() {
		if err = each(stmtRow{st}); err != nil {
			break
		}
	}
	if err == nil {
		err = st.Err()
	}
	_ = st.Reset() // repeats the error of the step
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// exec implements [database] for a constant statement.
func (c *conn) exec(q string, args ...any) error {
	st, err := c.statement(q)
	if err != nil {
		return err
	}
	if err := bind(st, args); err != nil {
		return err
	}
	return st.Exec()
}

func bind(st *sqlite3.Stmt, args []any) (err error) {
	for i, arg := range args {
		switch v := arg.(type) {
		case int64:
			err = st.BindInt64(i+1, v)
		case int:
			err = st.BindInt(i+1, v)
		case string:
			err = st.BindText(i+1, v)
		case []byte:
			err = bindBytes(st, i+1, v)
		case nil:
			err = st.BindNull(i + 1)
		default:
			panic(fmt.Sprintf("sqlite: argument of type %T", arg))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bindBytes stores nothing and empty alike as NULL.
func bindBytes(st *sqlite3.Stmt, at int, b []byte) error {
	if len(b) == 0 {
		return st.BindNull(at)
	}
	return st.BindBlob(at, b)
}

// binder binds the arguments of a statement one after the other, up to the first error.
type binder struct {
	st  *sqlite3.Stmt
	n   int
	err error
}

func (b *binder) int(v int64) {
	if b.n++; b.err == nil {
		b.err = b.st.BindInt64(b.n, v)
	}
}

// text stores an empty string as NULL.
func (b *binder) text(v string) {
	if b.n++; b.err != nil {
		return
	}
	if v == "" {
		b.err = b.st.BindNull(b.n)
		return
	}
	b.err = b.st.BindText(b.n, v)
}

func (b *binder) bytes(v []byte) {
	if b.n++; b.err == nil {
		b.err = bindBytes(b.st, b.n, v)
	}
}
