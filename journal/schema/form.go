// SPDX-License-Identifier: Apache-2.0

// From Go types to the forms and samples of their JSON.

package schema

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// maxDepth bounds types that hold themselves.
const maxDepth = 16

// formOf returns the form of the JSON that encoding/json makes of a type.
func formOf(t reflect.Type) (Form, error) { return formAt(t, 0) }

func formAt(t reflect.Type, depth int) (Form, error) {
	if depth > maxDepth {
		return Form{Kind: "any"}, nil
	}
	switch {
	case t.Kind() == reflect.Pointer:
		f, err := formAt(t.Elem(), depth+1)
		f.Optional = true
		return f, err
	case implements[json.Marshaler](t) && t != reflect.TypeFor[time.Time]():
		return Form{Kind: "any"}, nil
	case t == reflect.TypeFor[time.Time](), implements[encoding.TextMarshaler](t):
		return Form{Kind: "string"}, nil
	}
	switch t.Kind() {
	case reflect.String:
		return Form{Kind: "string"}, nil
	case reflect.Bool:
		return Form{Kind: "boolean"}, nil
	case reflect.Float32, reflect.Float64:
		return Form{Kind: "number"}, nil
	case reflect.Interface:
		return Form{Kind: "any", Optional: true}, nil
	case reflect.Slice, reflect.Array, reflect.Map:
		return seriesForm(t, depth)
	case reflect.Struct:
		return structForm(t, depth)
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		return Form{}, fmt.Errorf("%v cannot be JSON", t)
	default: // the whole numbers
		return Form{Kind: "integer"}, nil
	}
}

func seriesForm(t reflect.Type, depth int) (Form, error) {
	if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
		return Form{Kind: "string", Optional: true}, nil
	}
	items, err := formAt(t.Elem(), depth+1)
	f := Form{Kind: "array", Items: &items, Optional: t.Kind() != reflect.Array}
	if t.Kind() == reflect.Map {
		f.Kind = "map"
	}
	return f, err
}

func structForm(t reflect.Type, depth int) (Form, error) {
	form := Form{Kind: "object", Fields: map[string]Form{}}
	for _, field := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-" && options == "" || !field.IsExported():
			continue
		case field.Anonymous && name == "":
			continue // its fields are visible by themselves
		case name == "":
			name = field.Name
		}
		f, err := formAt(field.Type, depth+1)
		if err != nil {
			return Form{}, fmt.Errorf("field %s: %w", field.Name, err)
		}
		if strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero") {
			f.Optional = true
		}
		if strings.Contains(options, "string") {
			f.Kind = "string"
		}
		form.Fields[name] = f
	}
	return form, nil
}

func implements[I any](t reflect.Type) bool {
	i := reflect.TypeFor[I]()
	return t.Implements(i) || reflect.PointerTo(t).Implements(i)
}

// sampleOf returns a value of the type in which nothing that can be set is zero, always the same.
func sampleOf(t reflect.Type) any {
	v := reflect.New(t).Elem()
	fill(v, 0)
	return v.Interface()
}

func fill(v reflect.Value, depth int) {
	if depth > maxDepth || !v.CanSet() {
		return
	}
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(7)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth+1)
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), depth+1)
		}
	case reflect.Map:
		fillMap(v, depth)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), depth+1)
		}
	}
}

func fillMap(v reflect.Value, depth int) {
	key, item := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
	fill(key, depth+1)
	fill(item, depth+1)
	v.Set(reflect.MakeMap(v.Type()))
	v.SetMapIndex(key, item)
}
