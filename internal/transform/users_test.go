package transform

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestUsers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, object, want, err string }{
		{"plain", `{"uuid":"u1","fn":"Ada","ln":"Lovelace","friends":["u2","u3"]}`, `{"id":"u1","name":"Ada Lovelace"}`, ""},
		{"any order, spaces", " { \"ln\" : \"L\" ,\t\"friends\" : [ ] , \"fn\":\"F\", \"uuid\":\"u\" } ", `{"id":"u","name":"F L"}`, ""},
		{"empty strings", `{"uuid":"","fn":"","ln":""}`, `{"id":"","name":" "}`, ""},
		{"escapes stay", `{"uuid":"a\"\\","fn":"\u00e9\n\/","ln":"\\\""}`, `{"id":"a\"\\","name":"\u00e9\n\/ \\\""}`, ""},
		{"raw unicode", `{"uuid":"é","fn":"日本","ln":"😀"}`, `{"id":"é","name":"日本 😀"}`, ""},
		{"lone surrogates", `{"uuid":"\udc00","fn":"\ud83d","ln":"\ude00"}`, `{"id":"\udc00","name":"\ud83d \ude00"}`, ""},
		{"braces in strings", `{"x":{"a":"}]\"","b":[1,{"fn":"no"}]},"uuid":"u","fn":"{","ln":"]"}`, `{"id":"u","name":"{ ]"}`, ""},
		{"last duplicate", `{"uuid":"u","fn":"a","ln":"b","fn":"c"}`, `{"id":"u","name":"c b"}`, ""},
		{"last duplicate is wrong", `{"uuid":"u","fn":"a","ln":"b","fn":null}`, "", "the field fn is null, not a string"},
		{"escaped key", `{"uuid":"u","\u0066n":"a","l\u006e":"b"}`, `{"id":"u","name":"a b"}`, ""},
		{"case counts", `{"uuid":"u","FN":"a","ln":"b"}`, "", "the field fn is missing"},
		{"no uuid", `{"fn":"a","ln":"b"}`, "", "the field uuid is missing"},
		{"no ln", `{"uuid":"u","fn":"a"}`, "", "the field ln is missing"},
		{"number", `{"uuid":9007199254740993,"fn":"a","ln":"b"}`, "", "the field uuid is a number, not a string"},
		{"object", `{"uuid":"u","fn":{"a":1},"ln":"b"}`, "", "the field fn is an object, not a string"},
		{"array", `{"uuid":"u","fn":"a","ln":["b"]}`, "", "the field ln is an array, not a string"},
		{"boolean", `{"uuid":"u","fn":"a","ln":true}`, "", "the field ln is a boolean, not a string"},
		{"empty object", `{}`, "", "the field uuid is missing"},
		{"not an object", `["uuid"]`, "", "the object is an array, not {uuid, fn, ln, friends}"},
		{"null", `null`, "", "the object is null"},
		{"empty", ``, "", "not JSON"},
		{"cut", `{"uuid":"u","fn":"a","ln":"b"`, "", "not JSON"},
		{"comma", `{"uuid":"u",}`, "", "not JSON"},
		{"two values", `{"uuid":"u","fn":"a","ln":"b"} {}`, "", "not JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out := mustRun(t, mustNew(t, "users"), body(c.object), nil, Options{})
			if c.err != "" {
				wantLines(t, out)
				wantFailed(t, out, 0, c.err)
				return
			}
			wantLines(t, out, c.want)
			wantFailed(t, out)
		})
	}
}

// The output of users equals that of decoding, joining and encoding.
func TestUsersEqualsDecoding(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := map[string]any{
			"uuid": rapid.String().Draw(t, "uuid"), "fn": rapid.String().Draw(t, "fn"), "ln": rapid.String().Draw(t, "ln"),
			"friends": rapid.SliceOf(rapid.String()).Draw(t, "friends"),
			rapid.StringMatching(`x[a-z"\\{}\[\]]{0,4}`).Draw(t, "key"): map[string]any{"uuid": 1, "x": []string{"]", "\"}"}},
		}
		object, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		out, err := (&users{}).Map(context.Background(), object, nil)
		if err != nil {
			t.Fatalf("%s: %v", object, err)
		}
		var got struct{ ID, Name string }
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		id, name := in["uuid"].(string), in["fn"].(string)+" "+in["ln"].(string)
		if got.ID != id || got.Name != name {
			t.Fatalf("%s became %s", object, out)
		}
	})
}

// Bytes that are no JSON must not make it panic.
func FuzzUsers(f *testing.F) {
	f.Add([]byte(`{"uuid":"u","fn":"a\\","ln":"b","friends":[{"a":1}]}`))
	f.Add([]byte(`{"\`))
	f.Add([]byte(`{"uuid":"`))
	f.Fuzz(func(t *testing.T, object []byte) {
		out, err := (&users{}).Map(t.Context(), object, nil)
		if err == nil && json.Valid(object) && !json.Valid(out) {
			t.Errorf("%q became %q", object, out)
		}
	})
}

func TestUsersDuration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := mustNew(t, "users?duration=10s")
		b := body(`{"uuid":"u","fn":"a","ln":"b"}`, `{"uuid":"v","fn":"a","ln":"b"}`)
		began := time.Now()
		mustRun(t, tr, b, nil, Options{Timeout: time.Second})
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("a chunk took %v, want 10s", took)
		}

		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began = time.Now()
		_, err := Run(ctx, tr, b, nil, Options{})
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != 3*time.Second {
			t.Errorf("Run: %v after %v, want the end of its context after 3s", err, took)
		}
	})
}
