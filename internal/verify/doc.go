// Package verify counts a source and a folder sink, trusting neither the
// fetcher's ledger nor the sink's own totals: it cuts the source anew and
// compares it with what lies in the folder, chunk by chunk. Only a finished job
// can pass.
//
// It finds an object that is missing or there twice, a chunk made from other
// objects than the source's, outputs that are damaged or do not match their
// counts, a dead letter that is doubled or holds another object, and an output
// file that is not the outputs in input order. It does not run the transform:
// whether the outputs are right is between the transform and its author.
package verify
