// Verifies Cadastre's log artefacts with golang.org/x/mod/sumdb, code that is not ours.
//
// Reads one JSON document from standard input, prints the number of checks that held and exits
// with status 1 at the first that does not.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type inclusion struct {
	Index, Size int64
	Entry       []byte
	Proof       [][]byte
	Root        []byte
}

type consistency struct {
	Old, New         int64
	Proof            [][]byte
	OldRoot, NewRoot []byte
}

type document struct {
	Vkey       string
	Checkpoint string
	Text       string
	Entries    [][]byte
	Root       []byte
	Included   []inclusion
	Consistent []consistency
}

func must(what string, err error) {
	if err != nil {
		fmt.Println("refused:", what+":", err)
		os.Exit(1)
	}
}

func hash(raw []byte) (h tlog.Hash) {
	copy(h[:], raw)
	return h
}

func hashes(raw [][]byte) []tlog.Hash {
	list := []tlog.Hash{}
	for _, one := range raw {
		list = append(list, hash(one))
	}
	return list
}

// rebuild computes the root of the entries with the Go library alone.
func rebuild(entries [][]byte) tlog.Hash {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		list := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			list[i] = stored[index]
		}
		return list, nil
	})
	for i, entry := range entries {
		more, err := tlog.StoredHashes(int64(i), entry, reader)
		must("storing an entry", err)
		stored = append(stored, more...)
	}
	root, err := tlog.TreeHash(int64(len(entries)), reader)
	must("hashing the tree", err)
	return root
}

func main() {
	var doc document
	must("reading", json.NewDecoder(os.Stdin).Decode(&doc))
	checks := 0

	verifier, err := note.NewVerifier(doc.Vkey)
	must("verifier key", err)
	opened, err := note.Open([]byte(doc.Checkpoint), note.VerifierList(verifier))
	must("checkpoint", err)
	if opened.Text != doc.Text || len(opened.Sigs) != 1 {
		must("checkpoint", fmt.Errorf("another text or number of signatures"))
	}
	checks++

	if rebuild(doc.Entries) != hash(doc.Root) {
		must("root", fmt.Errorf("differs"))
	}
	checks++

	for _, p := range doc.Included {
		must(fmt.Sprintf("inclusion of %d in %d", p.Index, p.Size),
			tlog.CheckRecord(hashes(p.Proof), p.Size, hash(p.Root), p.Index, tlog.RecordHash(p.Entry)))
		checks++
	}
	for _, p := range doc.Consistent {
		must(fmt.Sprintf("consistency of %d and %d", p.Old, p.New),
			tlog.CheckTree(hashes(p.Proof), p.New, hash(p.NewRoot), p.Old, hash(p.OldRoot)))
		checks++
	}
	fmt.Println("accepted:", checks)
}
