// SPDX-License-Identifier: Apache-2.0

// Archives of JSON: each .json file of a tar or a folder is one event, as webhooks are often collected.

package eventlog

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// archiveFilesMax bounds the files of a folder, whose names are kept to read them in order.
const archiveFilesMax = 1 << 20

// archiveRecord makes a file an event: for "hooks/fork/created.payload.json" the stream is "<category>-fork" and the
// type "fork.created", from the folder and the name up to its first dot; for "hooks/fork/payload.json" the type is
// "fork". The time is that of the file's last change. The path is in Meta.
func archiveRecord(r *Record, category, name string, data []byte, at time.Time) (err error) {
	fail := func(problem, remedy string) error {
		return &Error{Place: name, Problem: problem, Remedy: remedy}
	}
	if !json.Valid(data) {
		return fail("not JSON", "correct the file or remove it")
	}
	folder, file := path.Base(path.Dir(name)), path.Base(name)
	if folder == "." || folder == "/" || folder == ".." {
		folder = category
	}
	r.Type = folder
	if action, _, _ := strings.Cut(strings.TrimSuffix(file, ".json"), "."); action != "" && action != "payload" {
		r.Type += "." + action
	}
	if err := checkType(r.Type); err != nil {
		return fail(err.Error(), "rename the file")
	}
	if r.Stream, err = streamName(category, folder); err != nil {
		return fail(err.Error(), "rename the folder")
	}
	compact := bytes.NewBuffer(make([]byte, 0, len(data)))
	if err := json.Compact(compact, data); err != nil {
		return fail(err.Error(), "correct the file or remove it")
	}
	if r.Time, err = utc(at.UTC(), at.String()); err != nil {
		return fail(err.Error(), "touch the file")
	}
	r.Schema, r.Data = 1, compact.Bytes()
	r.Meta = append(appendString(appendMember([]byte{'{'}, "file"), name), '}')
	r.ID = hashID(r.Stream, name, r.Type, string(r.Data))
	return nil
}

// isEventFile leaves out what is not JSON and what is hidden.
func isEventFile(name string) bool {
	return strings.HasSuffix(name, ".json") && !strings.HasPrefix(path.Base(name), ".")
}

// readEventFile reads a file of limited length.
func readEventFile(from io.Reader, name string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(from, lineBytesMax+1))
	if err == nil && len(data) > lineBytesMax {
		err = &Error{Place: name, Problem: fmt.Sprintf("longer than %d bytes", lineBytesMax), Remedy: "split or remove it"}
	}
	return data, err
}

// tarSource reads the files of a tar in their order.
type tarSource struct {
	tar      *tar.Reader
	category string
}

func newTar(from io.Reader, category string) *tarSource {
	return &tarSource{tar: tar.NewReader(from), category: category}
}

func (s *tarSource) next(r *Record) error {
	for {
		header, err := s.tar.Next()
		if errors.Is(err, tar.ErrHeader) {
			return &Error{Problem: "damaged tar, or no tar", Remedy: "pack it again, or say its Format"}
		}
		if err != nil {
			return err
		}
		if header.Typeflag != tar.TypeReg || !isEventFile(header.Name) {
			continue
		}
		data, err := readEventFile(s.tar, header.Name)
		if err != nil {
			return err
		}
		return archiveRecord(r, s.category, path.Clean(header.Name), data, header.ModTime)
	}
}

// folderSource reads the files of a folder and of those within it, in the order of their names.
type folderSource struct {
	root, category string
	names          []string
}

func newFolder(root, category string) (*folderSource, error) {
	s := &folderSource{root: root, category: category}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !isEventFile(filepath.ToSlash(name)) {
			return err
		}
		if len(s.names) == archiveFilesMax {
			return &Error{Problem: fmt.Sprintf("more than %d files", archiveFilesMax), Remedy: "name a folder within"}
		}
		relative, err := filepath.Rel(root, name)
		s.names = append(s.names, filepath.ToSlash(relative))
		return err
	})
	return s, err
}

func (s *folderSource) next(r *Record) error {
	if len(s.names) == 0 {
		return io.EOF
	}
	name := s.names[0]
	s.names = s.names[1:]
	f, err := os.Open(filepath.Join(s.root, filepath.FromSlash(name)))
	if err != nil {
		return err
	}
	data, err := readEventFile(f, name)
	info, statErr := f.Stat()
	if err := errors.Join(err, statErr, f.Close()); err != nil {
		return err
	}
	return archiveRecord(r, s.category, name, data, info.ModTime())
}
