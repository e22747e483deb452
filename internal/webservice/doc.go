// Package webservice has what all requests to services of others share: credentials from
// variables or files, and when a failed request is made again. It makes no request
// itself.
package webservice
