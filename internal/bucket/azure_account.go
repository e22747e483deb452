package bucket

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// An azureAccount is a storage account and its credentials: a key, a SAS token, an application of Microsoft Entra ID,
// or nothing.
type azureAccount struct {
	name     string
	key      string // base64
	sas      string // query of a shared access signature
	endpoint *url.URL
}

// azureAccountOf reads the variables of Azure's command line program.
func azureAccountOf(variable func(names ...string) string) (*azureAccount, error) {
	a := &azureAccount{name: variable("AZURE_STORAGE_ACCOUNT"), key: variable("AZURE_STORAGE_KEY"), sas: variable("AZURE_STORAGE_SAS_TOKEN")}
	endpoint := ""
	if connection := variable("AZURE_STORAGE_CONNECTION_STRING"); connection != "" {
		settings := map[string]string{}
		for pair := range strings.SplitSeq(connection, ";") {
			name, value, _ := strings.Cut(pair, "=")
			settings[strings.ToLower(strings.TrimSpace(name))] = value
		}
		a.name, a.key, a.sas = settings["accountname"], settings["accountkey"], settings["sharedaccesssignature"]
		if endpoint = settings["blobendpoint"]; endpoint == "" && a.name != "" {
			endpoint = cmp.Or(settings["defaultendpointsprotocol"], "https") + "://" + a.name + ".blob." + cmp.Or(settings["endpointsuffix"], "core.windows.net")
		}
		if endpoint == "" {
			return nil, errors.New("AZURE_STORAGE_CONNECTION_STRING has neither AccountName nor BlobEndpoint")
		}
	}
	if endpoint == "" {
		if strings.Trim(a.name, "abcdefghijklmnopqrstuvwxyz0123456789") != "" || a.name == "" {
			return nil, errors.New("set AZURE_STORAGE_ACCOUNT to the name of the storage account, or AZURE_STORAGE_CONNECTION_STRING")
		}
		endpoint = "https://" + a.name + ".blob.core.windows.net"
	}
	var err error
	a.endpoint, err = url.Parse(endpoint)
	if err != nil || a.endpoint.Host == "" || a.endpoint.User != nil || a.endpoint.RawQuery != "" || a.endpoint.Scheme != "http" && a.endpoint.Scheme != "https" {
		return nil, errors.New("the BlobEndpoint of AZURE_STORAGE_CONNECTION_STRING is not https://HOST or http://HOST:PORT/ACCOUNT")
	}
	return a, nil
}

// authorizer returns a function that adds the account's credentials to a request.
func (a *azureAccount) authorizer(transport *http.Transport) (func(*http.Request) error, error) {
	switch {
	case a.key != "":
		key, err := base64.StdEncoding.DecodeString(a.key)
		if err != nil || a.name == "" {
			return nil, errors.New("the account key (AZURE_STORAGE_KEY or AccountKey) is not base64, or its account has no name")
		}
		return func(r *http.Request) error {
			stamp(r)
			r.Header.Set("Authorization", "SharedKey "+a.name+":"+sign(r, a.name, key))
			return nil
		}, nil
	case a.sas != "":
		signature, err := url.ParseQuery(strings.TrimPrefix(a.sas, "?"))
		if err != nil || !signature.Has("sig") {
			return nil, errors.New("AZURE_STORAGE_SAS_TOKEN is not the query of a shared access signature, such as sv=…&sig=…")
		}
		return func(r *http.Request) error {
			stamp(r)
			r.URL.RawQuery = strings.TrimPrefix(r.URL.RawQuery+"&"+azureQuery(signature), "&")
			return nil
		}, nil
	}
	tokens := azureTokens(transport)
	return func(r *http.Request) error {
		stamp(r)
		if tokens == nil {
			return nil // anonymous
		}
		token, err := tokens.Token()
		if err != nil {
			return err
		}
		token.SetAuthHeader(r)
		return nil
	}, nil
}

// stamp adds the headers of each request.
func stamp(r *http.Request) {
	r.Header.Set("X-Ms-Version", azureVersion)
	r.Header.Set("X-Ms-Date", time.Now().UTC().Format(http.TimeFormat))
}

// sign returns the signature of a request (Microsoft, "Authorize with Shared Key").
func sign(r *http.Request, account string, key []byte) string {
	h := r.Header
	size := ""
	if r.ContentLength > 0 {
		size = strconv.FormatInt(r.ContentLength, 10)
	}
	lines := []string{
		r.Method, h.Get("Content-Encoding"), h.Get("Content-Language"), size, h.Get("Content-MD5"), h.Get("Content-Type"), "", // x-ms-date takes the place of Date
		h.Get("If-Modified-Since"), h.Get("If-Match"), h.Get("If-None-Match"), h.Get("If-Unmodified-Since"), h.Get("Range"),
	}
	var own []string
	for name := range h {
		if name := strings.ToLower(name); strings.HasPrefix(name, "x-ms-") {
			own = append(own, name+":"+h.Get(name))
		}
	}
	slices.Sort(own)
	lines = append(append(lines, own...), "/"+account+r.URL.EscapedPath())
	var query []string
	for name, values := range r.URL.Query() {
		query = append(query, strings.ToLower(name)+":"+strings.Join(values, ","))
	}
	slices.Sort(query)
	sum := hmac.New(sha256.New, key)
	sum.Write([]byte(strings.Join(append(lines, query...), "\n")))
	return base64.StdEncoding.EncodeToString(sum.Sum(nil))
}

// azureTokens gets access tokens for an application of Microsoft Entra ID, with its secret or, as on Kubernetes with
// workload identity, with a token in a file. It returns nil if the environment names no application.
func azureTokens(transport *http.Transport) oauth2.TokenSource {
	tenant, application := os.Getenv("AZURE_TENANT_ID"), os.Getenv("AZURE_CLIENT_ID")
	secret, file := os.Getenv("AZURE_CLIENT_SECRET"), os.Getenv("AZURE_FEDERATED_TOKEN_FILE")
	if tenant == "" || application == "" || secret == "" && file == "" {
		return nil
	}
	authority := strings.TrimSuffix(cmp.Or(os.Getenv("AZURE_AUTHORITY_HOST"), "https://login.microsoftonline.com"), "/")
	return oauth2.ReuseTokenSource(nil, &azureApplication{
		context: tokenContext(transport), file: file,
		config: clientcredentials.Config{
			ClientID: application, ClientSecret: secret, AuthStyle: oauth2.AuthStyleInParams,
			TokenURL: authority + "/" + tenant + "/oauth2/v2.0/token", Scopes: []string{"https://storage.azure.com/.default"},
		},
	})
}

// An azureApplication requests a token each time.
type azureApplication struct {
	context context.Context //nolint:containedctx // of the requests for tokens, which have none of their own
	config  clientcredentials.Config
	file    string // with a token, which is replaced from time to time; "" if there is a secret
}

// Token implements oauth2.TokenSource.
func (a *azureApplication) Token() (*oauth2.Token, error) {
	config := a.config
	if config.ClientSecret == "" {
		assertion, err := os.ReadFile(a.file)
		if err != nil {
			return nil, fmt.Errorf("read AZURE_FEDERATED_TOKEN_FILE: %w", err)
		}
		config.EndpointParams = url.Values{
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"client_assertion":      {strings.TrimSpace(string(assertion))},
		}
	}
	return config.Token(a.context)
}
