// SPDX-License-Identifier: Apache-2.0

// What the columns of a CSV mean.

package eventlog

import (
	"fmt"
	"slices"
	"strings"
)

// objectPrefix begins the columns of an object-centric log (OCEL) that hold the objects of one type.
const objectPrefix = "ocel:type:"

// column is one column of a CSV.
type column struct {
	name                   string // as in the header
	label                  string // in tags
	isCase, isType, isTime bool
	isTag, isNumber        bool
	objects                bool // cells hold lists of objects
}

func (c *column) hasRole() bool { return c.isCase || c.isType || c.isTime }

// plan finds the columns that mean something.
type plan struct {
	columns []column
}

// planColumns gives each column its meaning: those named by the options, then those with usual names.
func planColumns(header []string, o Options) ([]column, error) {
	p := &plan{}
	for i, name := range header {
		if err := p.add(i, strings.TrimSpace(name)); err != nil {
			return nil, err
		}
	}
	roles := []struct {
		option, given string
		usual         []string
		mark          func(*column)
	}{
		{"CaseColumn", o.CaseColumn, usualCase(), func(c *column) { c.isCase = true }},
		{"TypeColumn", o.TypeColumn, usualType(), func(c *column) { c.isType = true }},
		{"TimeColumn", o.TimeColumn, usualTime(), func(c *column) { c.isTime = true }},
	}
	for _, role := range roles {
		i := p.find(role.given, role.usual)
		if i < 0 && role.option == "CaseColumn" && role.given == "" && p.objectCentric() {
			continue
		}
		if i < 0 {
			return nil, p.missing(role.option, role.given)
		}
		if p.columns[i].hasRole() {
			return nil, &Error{
				Place: "line 1", Field: role.option, Problem: fmt.Sprintf("column %q serves twice", p.columns[i].name),
				Remedy: "name one column each for case, type and time",
			}
		}
		role.mark(&p.columns[i])
	}
	return p.columns, p.options(o)
}

// Usual names in the order of preference, in the form that plainName gives.
func usualCase() []string {
	return []string{"case:concept:name", "caseid", "case", "ocel:oid", "traceid", "trace", "casenumber"}
}

func usualType() []string {
	return []string{"concept:name", "activity", "ocel:activity", "eventtype", "activityname", "event", "type", "task"}
}

func usualTime() []string {
	return []string{
		"time:timestamp", "timestamp", "ocel:timestamp", "completetimestamp", "eventtime", "time",
		"datetime", "date",
	}
}

// plainName makes "Case ID", "case_id" and "caseId" the same.
func plainName(name string) string {
	return strings.NewReplacer(" ", "", "_", "", "-", "").Replace(strings.ToLower(name))
}

func (p *plan) add(i int, name string) error {
	if name == "" {
		name = fmt.Sprintf("column_%d", i+1)
	}
	if err := checkText(name); err != nil {
		return &Error{Place: "line 1", Problem: "header: " + err.Error(), Remedy: "write the header in plain UTF-8"}
	}
	if slices.ContainsFunc(p.columns, func(c column) bool { return c.name == name }) {
		return &Error{Place: "line 1", Field: name, Problem: "two columns have this name", Remedy: "rename one"}
	}
	label, objects := strings.CutPrefix(name, objectPrefix)
	p.columns = append(p.columns, column{name: name, label: label, objects: objects, isTag: objects})
	return nil
}

// find returns the column given, or the first with one of the usual names, or -1.
func (p *plan) find(given string, usual []string) int {
	if given != "" {
		return slices.IndexFunc(p.columns, func(c column) bool { return c.name == given })
	}
	for _, name := range usual {
		if i := slices.IndexFunc(p.columns, func(c column) bool { return plainName(c.name) == name }); i >= 0 {
			return i
		}
	}
	return -1
}

func (p *plan) objectCentric() bool {
	return slices.ContainsFunc(p.columns, func(c column) bool { return c.objects })
}

func (p *plan) missing(option, given string) error {
	var names []string
	for _, c := range p.columns {
		names = append(names, c.name)
	}
	problem := "no column has a usual name"
	if given != "" {
		problem = fmt.Sprintf("there is no column %q", given)
	}
	list := strings.Join(names, ", ")
	if len(list) > 500 {
		list = strings.ToValidUTF8(list[:500], "") + "..."
	}
	return &Error{Place: "line 1", Field: option, Problem: problem, Remedy: "choose one of: " + list}
}

// options marks tags and numbers.
func (p *plan) options(o Options) error {
	for _, name := range o.TagColumns {
		i := p.find(name, nil)
		if i < 0 {
			return p.missing("TagColumns", name)
		}
		p.columns[i].isTag = true
	}
	for _, name := range o.NumberColumns {
		i := p.find(name, nil)
		if i < 0 {
			return p.missing("NumberColumns", name)
		}
		if p.columns[i].hasRole() || p.columns[i].objects {
			return &Error{
				Place: "line 1", Field: "NumberColumns", Problem: fmt.Sprintf("%q is case, type, time or objects", name),
				Remedy: "leave it out",
			}
		}
		p.columns[i].isNumber = true
	}
	return nil
}
