package bucket

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// azureVariables sets these variables, and unsets all others.
func azureVariables(t *testing.T, set map[string]string) {
	t.Helper()
	for _, name := range []string{
		"AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN",
		"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST",
	} {
		t.Setenv(name, set[name])
	}
}

// Each kind of credentials goes with a request, and no error shows it.
func TestAzure_credentials(t *testing.T) {
	assertion := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(assertion, []byte("canary-assertion\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var exchanged atomic.Int32
	var form string
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		exchanged.Add(1)
		form = r.FormValue("client_secret") + r.FormValue("client_assertion") + " " + r.FormValue("scope") + " " + r.URL.Path
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"canary-token","token_type":"Bearer","expires_in":3600}`)
	}))
	defer tokens.Close()
	var authorization, query string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		authorization, query = r.Header.Get("Authorization"), r.URL.RawQuery
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, "<Error><Code>AuthorizationPermissionMismatch</Code><Message>no\nAuthorization: canary</Message></Error>")
	}))
	defer server.Close()
	key, place := base64.StdEncoding.EncodeToString([]byte("canary-key")), "BlobEndpoint="+server.URL
	application := map[string]string{
		"AZURE_STORAGE_CONNECTION_STRING": place, "AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_ID": "me", "AZURE_AUTHORITY_HOST": tokens.URL + "/",
	}
	with := func(name, value string) map[string]string {
		all := maps.Clone(application)
		all[name] = value
		return all
	}
	for _, test := range []struct {
		name                    string
		set                     map[string]string
		authorization, in, form string
	}{
		{"key", map[string]string{"AZURE_STORAGE_CONNECTION_STRING": place + ";AccountName=me;AccountKey=" + key}, "SharedKey me:", "", ""},
		{"signature", map[string]string{"AZURE_STORAGE_CONNECTION_STRING": place + ";SharedAccessSignature=sv=1&sig=canary%2Fsig"}, "", "&sig=canary%2Fsig", ""},
		{"secret", with("AZURE_CLIENT_SECRET", "canary-secret"), "Bearer canary-token", "", "canary-secret https://storage.azure.com/.default /tenant/oauth2/v2.0/token"},
		{"federated", with("AZURE_FEDERATED_TOKEN_FILE", assertion), "Bearer canary-token", "", "canary-assertion https://storage.azure.com/.default /tenant/oauth2/v2.0/token"},
		{"nothing", map[string]string{"AZURE_STORAGE_CONNECTION_STRING": place}, "", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			azureVariables(t, test.set)
			exchanged.Store(0)
			form = ""
			b := openData(t, "azblob://")
			for range 2 {
				err := b.List(t.Context(), "a", nil)
				if err == nil || !strings.Contains(err.Error(), "AuthorizationPermissionMismatch no; set AZURE_STORAGE_ACCOUNT") || strings.Contains(err.Error(), "canary") {
					t.Errorf("a refused list: %v", err)
				}
				if !strings.HasPrefix(authorization, test.authorization) || (authorization == "") != (test.authorization == "") || !strings.Contains(query, test.in) || form != test.form || exchanged.Load() > 1 {
					t.Errorf("authorization %q, query %q, form %q, exchanged %d times", authorization, query, form, exchanged.Load())
				}
			}
		})
	}
	server.Close()
	azureVariables(t, map[string]string{"AZURE_STORAGE_CONNECTION_STRING": place + ";SharedAccessSignature=sv=1&sig=canary"})
	b := openData(t, "azblob://").(*azureBucket)
	if _, err := b.try(t.Context(), call{method: http.MethodGet, url: b.at("", nil)}); err == nil || strings.Contains(err.Error(), "canary") { //nolint:bodyclose // there is no answer
		t.Errorf("without a server: %v", err)
	}
}

// Wrong settings are named, and not shown.
func TestAzure_wrongSettings(t *testing.T) {
	for want, set := range map[string]map[string]string{
		"set AZURE_STORAGE_ACCOUNT":                       {},
		"set AZURE_STORAGE_ACCOUNT to the name":           {"AZURE_STORAGE_ACCOUNT": "canary.example.com/"},
		"neither AccountName nor BlobEndpoint":            {"AZURE_STORAGE_CONNECTION_STRING": "AccountKey=canary"},
		"is not base64":                                   {"AZURE_STORAGE_ACCOUNT": "me", "AZURE_STORAGE_KEY": "canary!"},
		"AZURE_STORAGE_SAS_TOKEN is not":                  {"AZURE_STORAGE_ACCOUNT": "me", "AZURE_STORAGE_SAS_TOKEN": "canary"},
		"the BlobEndpoint of AZURE_STORAGE_CONNECTION_ST": {"AZURE_STORAGE_CONNECTION_STRING": "BlobEndpoint=https://me:canary@h"},
	} {
		azureVariables(t, set)
		if _, err := Open("azblob://", "data"); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%v: %v, want %q", set, err, want)
		}
	}
	azureVariables(t, map[string]string{"AZURE_STORAGE_ACCOUNT": "me"})
	if got := openData(t, "azblob://").(*azureBucket).at("a b/c", nil).String(); got != "https://me.blob.core.windows.net/data/a%20b%2Fc" {
		t.Errorf("an object is at %s", got)
	}
}
