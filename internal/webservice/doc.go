// Package webservice is the common part of requests to services and APIs: credentials from variables or files, the
// rules for repeating a failed request, and how messages show a failure and a URL. It makes no request itself.
package webservice
