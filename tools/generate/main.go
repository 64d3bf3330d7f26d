// SPDX-License-Identifier: Apache-2.0

// Command generate turns proto/ into the Go code below server/vidimusv1. It needs no program beyond Go: the parser
// is a library, and the plugins are tools of this module. With -check it writes nothing and fails where the code in
// the tree is not what the protos say.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// room is where the code goes. It is told to the plugins, not written into the protos: what is on the wire must not
// change with the module's path.
const room = "server/vidimusv1"

func main() {
	check := flag.Bool("check", false, "write nothing; fail where the tree differs")
	root := flag.String("root", "..", "the root of the repository")
	flag.Parse()
	if err := run(*root, *check); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(root string, check bool) error {
	names, request, err := compile(filepath.Join(root, "proto"))
	if err != nil {
		return err
	}
	module, err := moduleOf(root)
	if err != nil {
		return err
	}
	params := []string{"module=" + module}
	for _, name := range names {
		params = append(params, "M"+name+"="+module+"/"+room)
	}
	for plugin, extra := range map[string]string{"protoc-gen-go": "", "protoc-gen-connect-go": ",simple"} {
		request.Parameter = proto.String(strings.Join(params, ",") + extra)
		files, err := generate(plugin, request)
		if err != nil {
			return err
		}
		for _, f := range files {
			if err := put(filepath.Join(root, f.GetName()), f.GetContent(), check); err != nil {
				return err
			}
		}
	}
	return nil
}

// moduleOf reads the path of the module.
func moduleOf(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "module "); ok {
			return path, nil
		}
	}
	return "", errors.New("go.mod names no module")
}

// compile reads all protos below dir and makes of them what a plugin asks for.
func compile(dir string) ([]string, *pluginpb.CodeGeneratorRequest, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "vidimus", "v1", "*.proto"))
	if err != nil {
		return nil, nil, err
	}
	var names []string
	for _, path := range paths {
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return nil, nil, err
		}
		names = append(names, filepath.ToSlash(name))
	}
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{dir}}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(context.Background(), names...)
	if err != nil {
		return nil, nil, err
	}
	request := &pluginpb.CodeGeneratorRequest{FileToGenerate: names}
	seen := map[string]bool{}
	for _, f := range files {
		request.ProtoFile = collect(request.ProtoFile, f, seen)
	}
	return names, request, nil
}

// collect adds a file behind those it imports.
func collect(
	into []*descriptorpb.FileDescriptorProto, f protoreflect.FileDescriptor, seen map[string]bool,
) []*descriptorpb.FileDescriptorProto {
	if seen[f.Path()] {
		return into
	}
	seen[f.Path()] = true
	imports := f.Imports()
	for i := range imports.Len() {
		into = collect(into, imports.Get(i).FileDescriptor, seen)
	}
	return append(into, protodesc.ToFileDescriptorProto(f))
}

// generate runs a plugin the way protoc does: the request on its input, the files on its output.
func generate(plugin string, r *pluginpb.CodeGeneratorRequest) ([]*pluginpb.CodeGeneratorResponse_File, error) {
	in, err := proto.Marshal(r)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "tool", plugin)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", plugin, err)
	}
	var response pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(out, &response); err != nil {
		return nil, fmt.Errorf("%s: %w", plugin, err)
	}
	if response.Error != nil {
		return nil, fmt.Errorf("%s: %s", plugin, response.GetError())
	}
	return response.File, nil
}

// put writes a file, or complains that it is not the same.
func put(path, content string, check bool) error {
	const spdx = "// SPDX-License-Identifier: Apache-2.0\n"
	if !strings.HasPrefix(content, spdx) {
		content = spdx + "\n" + strings.TrimPrefix(content, spdx)
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if slices.Equal(old, []byte(content)) {
		return nil
	}
	if check {
		return fmt.Errorf("%s is not what the protos say: run make generate", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o644)
}
