//go:build linux

// Command endurance runs one long job of real processes in which something
// goes wrong in about one chunk of a hundred, watches what each process takes,
// and judges that nothing grows, nothing is lost and the job ends.
//
//	go run ./test/endurance -n 10000000 -rate 28000
//	go run ./test/endurance -n 200000 -rate 8000
//
// It says nothing about speed: RATE stretches the job so that there are enough
// samples. It needs Linux (/proc) and builds the programs itself.
package main
