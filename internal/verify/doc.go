// Package verify compares a source with a folder sink. It relies neither on the
// fetcher's ledger nor on the sink's own totals: it cuts the source again and compares
// it, chunk by chunk, with the folder. Only a finished job can pass.
//
// It finds missing and duplicate objects, a chunk made from other objects than the
// source's, outputs that are damaged or do not match their counts, a dead letter that is
// there twice or holds another object, and an output file that does not hold the outputs
// in input order. It does not run the transform, so it cannot tell whether the outputs
// are right.
package verify
