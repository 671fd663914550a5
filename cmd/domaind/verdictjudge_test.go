package main_test

import (
	"encoding/json"
	"testing"

	"github.com/domaind/domaind/gen/client"
)

// TestExpectationCanFail proves that each part of an expectation finds a
// record that breaks it.
func TestExpectationCanFail(t *testing.T) {
	good := client.DNSRecord{Purpose: client.DNSRecordPurposeMX, Status: client.RecordStatusVerified}
	bad := client.DNSRecord{
		Purpose: client.DNSRecordPurposeMX, Status: client.RecordStatusPending, Code: new("mx_conflict"),
		Detail: new("mail goes to a.b first"), Warnings: []client.Warning{{Code: "mx_owner_cname", Detail: "an alias"}},
		ObservedValues: []string{"5 c.d"},
	}
	repeats := good
	repeats.Code, repeats.Warnings = new("mx_foreign_backup"), []client.Warning{{Code: "mx_foreign_backup"}}
	cases := []struct {
		expect string
		record client.DNSRecord
		faults int
	}{
		{`{"status":"verified","code":null,"no":["*"]}`, good, 0},
		{`{"status":"pending","code":null}`, good, 1},
		{`{"status":"verified","code":null}`, repeats, 0},
		{`{"status":"verified","code":null,"no":["*"]}`, repeats, 1},
		{`{"status":"pending","code":null}`, bad, 1},
		{`{"status":"pending","code":"any"}`, bad, 0},
		{`{"status":"pending","code":"any"}`, good, 1},
		{`{"status":"pending","code":"mx_conflict"}`, bad, 0},
		{`{"status":"pending","code":"mx_*"}`, bad, 0},
		{`{"status":"pending","code":["mx_null","mx_missing"]}`, bad, 1},
		{`{"status":"verified","code":"mx_*"}`, good, 1},
		{`{"status":"pending","code":"any","warnings":["mx_owner_cname","mx_conflict"]}`, bad, 0},
		{`{"status":"pending","code":"any","warnings":["mx_partial"]}`, bad, 1},
		{`{"status":"pending","code":"any","no":["mx_conflict","mx_null"]}`, bad, 1},
		{`{"status":"pending","code":"any","says":["{host}","ALIAS","c\\.d"]}`, bad, 0},
		{`{"status":"pending","code":"any","says":["a.c","{nothing}"]}`, bad, 2},
	}
	for _, c := range cases {
		var x expectation
		if err := json.Unmarshal([]byte(c.expect), &x); err != nil {
			t.Fatal(err)
		}
		if faults := x.judge(c.record, words{"host": "a.b"}); len(faults) != c.faults {
			t.Errorf("%s: %d faults %q, want %d", c.expect, len(faults), faults, c.faults)
		}
	}
}

func TestWordsFill(t *testing.T) {
	w := words{"zone": "z.net", "i": "never"}
	got, err := w.fill(`{zone} %{i} %{zone}`, func(s string) string { return "<" + s + ">" })
	if want := `<z.net> %{i} %{zone}`; got != want || err != nil {
		t.Errorf("filled %q, %v, want %q", got, err, want)
	}
	if _, err := w.fill("{none}", func(s string) string { return s }); err == nil {
		t.Error("an unknown placeholder was taken")
	}
}
