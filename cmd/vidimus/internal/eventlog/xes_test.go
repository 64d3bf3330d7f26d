// SPDX-License-Identifier: Apache-2.0

// XES beyond the plain case: names, classifiers, namespaces, odd values.

package eventlog

import (
	"bufio"
	"fmt"
	"strings"
	"testing"
)

func TestXESFindsCaseTypeAndTime(t *testing.T) {
	t.Parallel()
	const head = `<log><classifier name="Both" keys="'a b' life"/>`
	const event = `<event><string key="a b" value="x"/><string key="life" value="end"/>` +
		`<string key="no" value="7"/></event>`
	for _, c := range []struct {
		name, text string
		options    Options
		want       string
	}{
		{
			"type by the log's classifier", head + `<trace><string key="concept:name" value="1"/>` + event + "</trace></log>",
			Options{},
			"import-1 | x+end |",
		},
		{
			"type by a classifier asked for", head + `<trace><string key="concept:name" value="1"/>` + event + "</trace></log>",
			Options{TypeColumn: "Both"},
			"import-1 | x+end |",
		},
		{
			"type by an attribute asked for", head + `<trace><string key="concept:name" value="1"/>` + event + "</trace></log>",
			Options{TypeColumn: "no"},
			"import-1 | 7 |",
		},
		{
			"case by identity", head + `<trace><id key="identity:id" value="u-1"/>` + event + "</trace></log>",
			Options{},
			"import-u-1 | x+end |",
		},
		{
			"case by an attribute of the trace", head + `<trace><int key="nr" value="5"/>` + event + "</trace></log>",
			Options{CaseColumn: "nr"},
			"import-5 | x+end |",
		},
		{
			"case by an attribute of the event", head + "<trace>" + event + "</trace></log>",
			Options{CaseColumn: "no"},
			"import-7 | x+end |",
		},
		{"events without a trace", head + event + "</log>", Options{CaseColumn: "no"}, "import-7 | x+end |"},
		{"tags", head + event + "</log>", Options{CaseColumn: "no", TagColumns: []string{"life"}}, `tags ["life:end"]`},
		{
			"a time asked for", `<log><event><date key="at" value="2024-01-01"/><id key="c" value="1"/></event></log>`,
			Options{CaseColumn: "c", TypeColumn: "c", TimeColumn: "at"},
			"import-1 | 1 | 1 | 2024-01-01T00:00:00Z |",
		},
	} {
		records, err := readText(t, c.text, c.options)
		if got := show(records); err != nil || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %s (%v), want %s", c.name, got, err, c.want)
		}
	}
}

func TestXESValuesBecomeJSON(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ attribute, want string }{
		{`<int key="k" value="-007"/>`, `-7`},
		{`<int key="k" value="9223372036854775807"/>`, `9223372036854775807`},
		{`<float key="k" value="19.50"/>`, `19.50`},
		{`<float key="k" value="-INF"/>`, `"-INF"`},
		{`<float key="k" value="NaN"/>`, `"NaN"`},
		{`<float key="k" value="+5."/>`, `5`},
		{`<boolean key="k" value="0"/>`, `false`},
		{`<boolean key="k" value="True"/>`, `true`},
		{`<string key="k" value="a&#10;b&#9;&quot;\&#x1F600;"/>`, `"a\nb\t\"\\😀"`},
		{"<string key='k' value='a\r\n\tb'/>", `"a  b"`},
		{`<string key="k" value=""></string>`, `""`},
		{`<string key="k" value="a">text<!-- x --><![CDATA[<no/>]]><?pi?></string>`, `"a"`},
		{`<list key="k"/>`, `[]`},
		{
			`<list key="k"><int key="a" value="1"/><list key="a"><id key="b" value="c"/></list></list>`,
			`[{"a":1},{"a":[{"b":"c"}]}]`,
		},
		{
			`<container key="k"><string key="a" value="1"><int key="b" value="2"/></string></container>`,
			`{"a":{"value":"1","attributes":{"b":2}}}`,
		},
		{`<date key="k" value="yesterday"/>`, `"yesterday"`},
	} {
		text := xesLog(`<event><string key="concept:name" value="t"/>` + c.attribute + `</event>`)
		records, err := readText(t, text, Options{})
		want := `{"concept:name":"t","k":` + c.want + "}"
		if err != nil || len(records) != 1 || string(records[0].Data) != want {
			t.Errorf("%s: got %s (%v), want %s", c.attribute, show(records), err, want)
		}
	}
}

func TestXESKeepsToItsNamespace(t *testing.T) {
	t.Parallel()
	const text = `<x:log xmlns:x="urn:xes" xmlns="urn:other"><x:trace><string key="concept:name" value="wrong"/>` +
		`<x:string key="concept:name" value="1"/><event/><x:event><x:string key="concept:name" value="a"/>` +
		`<y:id xmlns:y="urn:xes" key="more" value="b"/><x:id xmlns:x="urn:no" key="none" value=""/></x:event>` +
		"</x:trace></x:log>"
	records, err := readText(t, text, Options{})
	want := "import-1 | a | 1 | - | {\"concept:name\":\"a\",\"more\":\"b\"}\n  meta {\"case\":{\"concept:name\":\"1\"}}\n"
	if got := show(records); err != nil || got != want {
		t.Errorf("got %s (%v), want %s", got, err, want)
	}
}

func TestXESLinesAreCounted(t *testing.T) {
	t.Parallel()
	text := "<log>\n<!--\n\n-->\n<trace><string\nkey='concept:name'\nvalue='1'/>\n\n" +
		"<event>\n<int key='n' value='x'/></event></trace></log>"
	_, err := readText(t, text, Options{})
	if err == nil || !strings.Contains(err.Error(), "line 10, trace 1, event 1: n:") {
		t.Errorf("got %v, want line 10", err)
	}
}

// BenchmarkXES reads a log like those that process mining tools write.
func BenchmarkXES(b *testing.B) {
	text := syntheticXES(500)
	b.SetBytes(int64(len(text)))
	events := 0
	for b.Loop() {
		src, err := newXES(bufio.NewReader(strings.NewReader(text)), "bench", Options{})
		if err != nil {
			b.Fatal(err)
		}
		var r Record
		for events = 0; src.next(&r) == nil; events++ {
			r = Record{}
		}
	}
	b.ReportMetric(float64(events*b.N)/b.Elapsed().Seconds(), "events/s")
}

func syntheticXES(cases int) string {
	var b strings.Builder
	b.WriteString("<log>")
	for i := range cases {
		fmt.Fprintf(&b, `<trace><string key="concept:name" value="%d"/>`, i)
		for k := range 20 {
			fmt.Fprintf(&b, "\n\t\t<event>\n\t\t\t<string key=\"org:resource\" value=\"%d\"/>\n\t\t\t", i%100)
			b.WriteString("<string key=\"lifecycle:transition\" value=\"COMPLETE\"/>\n\t\t\t")
			fmt.Fprintf(&b, "<string key=\"concept:name\" value=\"STEP_%d\"/>\n\t\t\t", k)
			b.WriteString("<date key=\"time:timestamp\" value=\"2011-10-01T00:38:44.546+02:00\"/>\n\t\t</event>")
		}
		b.WriteString("</trace>")
	}
	return b.String() + "</log>"
}
