// Package bucket reads and writes the objects of a bucket, for sources and sinks: of S3 and servers with its interface,
// of Google Cloud Storage, and of Azure Blob Storage, where a bucket is called a container.
//
// Endpoint and credentials are those of the provider's programs and SDKs, found in the same places:
//
//	s3://      AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_PROFILE, their
//	           files, the role of the machine or pod
//	gs://      GOOGLE_APPLICATION_CREDENTIALS, the file of gcloud, the account of the machine or pod; STORAGE_EMULATOR_HOST
//	azblob://  AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN;
//	           AZURE_TENANT_ID, AZURE_CLIENT_ID, and AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE
//
// Without credentials requests are anonymous.
//
// Requests that fail temporarily are repeated for some seconds, until the context ends; a body that breaks off while it
// is read is not. No error contains a secret.
//
// Every write has a condition: it creates an object, or replaces a version of it. So two processes cannot both write
// it. An answer may be lost: after an error other than ErrFull it is unknown whether the object was written, and
// ErrTaken may mean that an earlier attempt of the same call has written it.
package bucket
