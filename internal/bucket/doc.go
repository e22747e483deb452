// Package bucket reads and writes the objects of a bucket of S3, or of a server with its interface, for sources and sinks.
//
// Endpoint, region and credentials are those of AWS's programs and SDKs: the variables AWS_ENDPOINT_URL, AWS_REGION,
// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and AWS_PROFILE, their files, or the role of the machine or
// pod. Without credentials requests are anonymous.
//
// Requests that fail temporarily are repeated for some seconds, until the context ends; a body that breaks off while it is
// read is not. No error contains a secret.
//
// Every write has a condition: it creates an object, or replaces a version of it. So two processes cannot both write it. An
// answer may be lost: after an error other than ErrFull it is unknown whether the object was written, and ErrTaken may mean
// that an earlier attempt of the same call has written it.
package bucket
