// Package webservice is the common part of requests to services and APIs: credentials
// from variables or files, and the rules for repeating a failed request. It makes no
// request itself.
package webservice
