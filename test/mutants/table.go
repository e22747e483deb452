package main

// all lists the mutants.
func all() []mutant {
	return append(sinkMutants(), protocolMutants()...)
}

func sinkMutants() []mutant {
	return []mutant{
		{
			id: "M1", what: "results are not synced before the commit",
			edits:    []edit{{"internal/sink/log.go", "\tif err := l.file.Sync(); err != nil {\n\t\treturn fmt.Errorf(\"sync log: %w\", err)\n\t}\n", ""}},
			caughtBy: []lane{{"./internal/sink", "TestCrash", nil}},
		}, {
			id: "M2", what: "the folder of a new file is not synced",
			edits:    []edit{{"internal/sink/log.go", "\tif !l.made {\n\t\treturn nil\n\t}\n", "\tif true {\n\t\treturn nil\n\t}\n"}},
			caughtBy: []lane{{"./internal/sink", "TestCrash", nil}},
		}, {
			id: "M5", what: "no unique key: a second result replaces the first one",
			edits:    []edit{{"internal/sink/outcome.go", "\t\tthere, err := t.compare(r, record)\n", "\t\tvar there Comparison\n\t\tvar err error\n"}},
			caughtBy: []lane{{"./internal/sink", "TestFolderIsASink", nil}},
		}, {
			id: "M32", what: "a piece that overlaps is saved",
			edits:    []edit{{"internal/sink/outcome.go", "\tcase there.objects > 0:\n", "\tcase false:\n"}},
			caughtBy: []lane{{"./internal/sink", "TestFolderIsASink", nil}},
		}, {
			id: "M6", what: "the results of one group are committed one by one",
			edits: []edit{{
				"internal/sink/commit.go",
				"\tif err := f.log.write(frames); err != nil {\n",
				"\tfor len(frames) > 1 {\n\t\tif err := f.append(frames[:1]); err != nil {\n\t\t\treturn err\n\t\t}\n\t\tframes = frames[1:]\n\t}\n\tif err := f.log.write(frames); err != nil {\n",
			}},
			caughtBy: []lane{{"./internal/sink", "TestCrash", nil}},
		}, {
			id: "M13", what: "a failed sync is retried on the same file",
			edits:    []edit{{"internal/sink/log.go", "\tif err := l.file.Sync(); err != nil {\n\t\treturn", "\tif err := l.file.Sync(); err != nil && l.file.Sync() != nil {\n\t\treturn"}},
			caughtBy: []lane{{"./internal/sink", "TestFailedStep", nil}},
		}, {
			id: "M16", what: "damage in the middle of committed data is taken for an unfinished commit and cut off",
			edits:    []edit{{"internal/sink/recover.go", "\tcase newest > next:\n\t\treturn bad\n", ""}},
			caughtBy: []lane{{"./internal/sink", "TestDamagedParts", nil}},
		}, {
			id: "M25", what: "redo does not fence a running fetcher, which believes that the removed chunks are saved",
			edits:    []edit{{"internal/sink/claim.go", "\treturn c.fence(\"redo-\"+rand.Text()).FenceVersion(", "\treturn c.FenceVersion("}},
			caughtBy: []lane{{"./internal/sink", "TestCrashInRedo", nil}},
		}, {
			id: "M17", what: "after a kill in a commit, the sink appends before the data that it read is durable",
			edits:    []edit{{"internal/sink/recover.go", "\tif err == nil && t.rewrite >= 0 {\n\t\terr = f.log.rewrite(t.rewrite)\n\t}\n", ""}},
			caughtBy: []lane{{"./internal/sink", "TestKilledInCommit", nil}},
		}, {
			id: "M38", what: "a saver takes its results for committed, and another saver's commit has the number in the bucket's log",
			edits:    []edit{{"internal/sink/objectsink/log.go", "\t\tcase e == nil:\n\t\t\treturn errTaken\n", "\t\tcase e == nil:\n\t\t\treturn nil\n"}},
			caughtBy: []lane{{"./internal/sink/objectsink", "TestLostRace|TestRaces", nil}},
		}, {
			id: "M40", what: "a result made from an old record replaces one that was committed since",
			edits:    []edit{{"internal/sink/outcome.go", "\tcase !reflect.DeepEqual(there, old):\n", "\tcase there.Digest != old.Digest:\n"}, {"internal/sink/outcome.go", "\t\"reflect\"\n", ""}},
			caughtBy: []lane{{"./internal/sink", "TestFolderIsASink", nil}},
		},
	}
}

func protocolMutants() []mutant {
	return []mutant{
		{
			id: "M3", what: "the saver answers before it commits",
			edits:    []edit{{"internal/saver/check.go", "\tcase s.queue <- p:\n", "\tcase s.queue <- p:\n\t\ts.answerAll(p.request, wire.SaveCommitted, \"\")\n"}},
			caughtBy: []lane{{"./test/sim", "TestSinkFull|TestSinkBroken", nil}},
		}, {
			id: "M4", what: "the fetcher forgets a chunk once its mapper has sent the result",
			edits:    []edit{{"internal/ledger/mapper_report.go", "\t\te := m.holds[p]\n\t\tl.loseLease(e, m)\n", "\t\te := m.holds[p]\n\t\tif len(e.leases) == 1 {\n\t\t\tl.Saved(m.heard, p, m.id)\n\t\t\tcontinue\n\t\t}\n\t\tl.loseLease(e, m)\n"}},
			caughtBy: []lane{{"./test/sim", "TestLost", nil}},
		}, {
			id: "M7", what: "epochs are not checked: a fetcher that was replaced continues",
			edits: []edit{
				{"internal/saver/questions.go", "\tcase q.Epoch != s.sink.Epoch():\n", "\tcase false:\n"},
				{"internal/fetcher/incoming.go", "\tcase s.Epoch > c.f.grant.epoch:\n", "\tcase false:\n"},
				{"internal/mapper/state.go", "w.Epoch < s.epoch && now.Sub(s.heard) < epochHolds", "false"},
			},
			caughtBy: []lane{{"./test/sim", "TestTakeover|TestFrozenFetcherComesBack", nil}},
		}, {
			id: "M8", what: "a duplicate result is not confirmed",
			edits:    []edit{{"internal/saver/commit.go", "if outcome.Durable() {", "if outcome == sink.Committed {"}},
			caughtBy: []lane{{"./internal/saver", "TestSave", nil}},
		}, {
			id: "M9", what: "leases of a silent mapper never expire",
			edits:    []edit{{"internal/ledger/liveness.go", "\t\tcase silence >= l.cfg.GoneAfter:\n", "\t\tcase false:\n"}},
			caughtBy: []lane{{"./test/sim", "TestDeadMapper", nil}, {"./internal/ledger", ".", nil}},
		}, {
			id: "M10", what: "status 503 (no responders) counts as a confirmation",
			edits: []edit{
				{"internal/fetcher/saverclient.go", "\tif err == nil && a.Status == wire.SyncFailed", "\tif errors.Is(err, bus.ErrNobody) {\n\t\ta, err = wire.SyncAnswer{Status: wire.SyncOK}, nil\n\t}\n\tif err == nil && a.Status == wire.SyncFailed"},
				{"internal/fetcher/saverclient.go", "import (\n", "import (\n\t\"github.com/chunkline/chunkline/internal/bus\"\n"},
			},
			caughtBy: []lane{{"./test/sim", "TestSaverAway", nil}},
		}, {
			id: "M11", what: "an error in the headers of an answer is ignored",
			edits:    []edit{{"internal/bus/bus.go", "\tif !has && !coded {\n", "\tif true || !has && !coded {\n"}},
			caughtBy: []lane{{"./internal/bus", "TestSuite_nats", nil}},
		}, {
			id: "M12", what: "a request is answered with a chunk after its mapper has stopped waiting",
			edits:    []edit{{"internal/fetcher/open_requests.go", "\t\tcase !now.Before(a.until):\n", "\t\tcase false:\n"}},
			caughtBy: []lane{{"./internal/fetcher", ".", nil}},
		}, {
			id: "M14", what: "the fetcher decodes and re-encodes objects",
			edits: []edit{
				{"internal/chunk/cut.go", "\t\tchunk.Body = append(append(chunk.Body, c.held.Bytes...), '\\n')\n", "\t\tbody := c.held.Bytes\n\t\tvar v any\n\t\tif json.Unmarshal(body, &v) == nil {\n\t\t\tbody, _ = json.Marshal(v)\n\t\t}\n\t\tchunk.Body = append(append(chunk.Body, body...), '\\n')\n"},
				{"internal/chunk/cut.go", "import (\n", "import (\n\t\"encoding/json\"\n"},
			},
			caughtBy: []lane{{"./internal/chunk", ".", nil}},
		}, {
			id: "M15", what: "the last chunk is dropped if it is not full",
			edits:    []edit{{"internal/chunk/cut.go", "\tif chunk.Count == 0 || c.err != nil && c.err != io.EOF {", "\tif chunk.Count == 0 || c.err != nil && (c.err != io.EOF || chunk.Count < c.plan.Size) {"}},
			caughtBy: []lane{{"./internal/chunk", ".", nil}},
		}, {
			id: "M18", what: "lease tokens are not checked",
			edits:    []edit{{"internal/saver/check.go", "\tcase lease.Vouches(", "\tcase true || lease.Vouches("}},
			caughtBy: []lane{{"./test/sim", "TestSeeds", nil}, {"./internal/saver", ".", nil}},
		}, {
			id: "M19", what: "the fetcher counts its own outages against mappers",
			edits:    []edit{{"internal/fetcher/liveness.go", "\t\tc.ledger.Forgive(now)\n", ""}},
			caughtBy: []lane{{"./test/sim", "TestFetcherOffline|TestNATSAway", nil}},
		}, {
			id: "M20", what: "one crash is enough to skip an object",
			edits:    []edit{{"internal/ledger/poison.go", "const crashesToSkip = 2\n", "const crashesToSkip = 1\n"}},
			caughtBy: []lane{{"./internal/ledger", ".", nil}},
		}, {
			id: "M21", what: "a shadow version gets chunks whose results are saved",
			edits:    []edit{{"internal/rollout/version.go", "\tif t.Shadow.Covers(v.Name) || !v.quota.allows() {\n", "\tif !v.quota.allows() {\n"}},
			caughtBy: []lane{{"./test/sim", "TestSeeds", nil}},
		}, {
			id: "M22", what: "a version gets more than its share",
			edits:    []edit{{"internal/rollout/share.go", "return !q.limited() || q.credit >= 1", "return true"}},
			caughtBy: []lane{{"./test/sim", "TestSeeds", nil}},
		}, {
			id: "M23", what: "a suspect chunk waits for a proven mapper that may get no chunk",
			edits:    []edit{{"internal/fetcher/assign.go", "\t\tc.excludeIneligible(now)\n", ""}},
			caughtBy: []lane{{"./test/sim", "TestExcludedMapper", nil}},
		}, {
			id: "M24", what: "a confirmation from before the fetcher's claim is accepted",
			edits:    []edit{{"internal/fetcher/incoming.go", "\tcase s.Epoch < c.f.grant.epoch:\n", "\tcase false:\n"}},
			caughtBy: []lane{{"./test/sim", "TestConfirmationFromBeforeRedo", nil}},
		}, {
			id: "M26", what: "the saver is not told that a version's circuit breaker has opened",
			edits:    []edit{{"internal/rollout/breaker.go", "\t\tb.unfenced = true\n", ""}},
			caughtBy: []lane{{"./test/sim", "TestFenceVersion", nil}},
		}, {
			id: "M27", what: "a waiting result is committed although its version was fenced meanwhile",
			edits:    []edit{{"internal/sink/outcome.go", "\tcase r.Term < c.Terms[r.Version]:\n", "\tcase false && r.Term < c.Terms[r.Version]:\n"}},
			caughtBy: []lane{{"./internal/sink", "TestFolderIsASink", nil}},
		}, {
			id: "M28", what: "results of two transforms are saved under one version",
			edits:    []edit{{"internal/sink/claim.go", `return bound != "" && r.Transform != "" && bound != r.Transform`, "return false && bound == r.Transform"}},
			caughtBy: []lane{{"./internal/sink", "TestFolderIsASink", nil}},
		}, {
			id: "M29", what: "a mapper with another transform than its version gets work",
			edits:    []edit{{"internal/fetcher/transforms.go", `return m.of.transform != "" && m.of.transform != m.Transform`, "return false && m.of == nil"}},
			caughtBy: []lane{{"./internal/fetcher", "TestTransforms", nil}},
		}, {
			id: "M30", what: "the output replaces a file that the job did not write",
			edits:    []edit{{"internal/sink/output_files.go", "case f.o.Force:", "case true:"}},
			caughtBy: []lane{{"./internal/sink", "TestForeignOutput", nil}},
		}, {
			id: "M31", what: "a mapper follows a hello from an older epoch",
			edits:    []edit{{"internal/mapper/hello.go", "\treturn !h.isOld(hello, time.Now())\n", "\treturn true\n"}},
			caughtBy: []lane{{"./internal/mapper", "TestHello_oldEpoch", nil}},
		}, {
			id: "M33", what: "a lost piece's late result does not end the leases that overlap it",
			edits:    []edit{{"internal/ledger/saved.go", "\t\te := open[0]\n", "\t\te := open[0]\n\t\tif e.piece != p && len(e.leases) > 0 {\n\t\t\tbreak\n\t\t}\n"}},
			caughtBy: []lane{{"./internal/ledger", ".", nil}},
		}, {
			id: "M34", what: "the rest of a piece that is cut starts without the evidence against it",
			edits:    []edit{{"internal/ledger/piece.go", "\t\tpart.losses = slices.Clone(part.losses)\n", "\t\tpart.losses = slices.Clone(part.losses)\n\t\tif part != e {\n\t\t\tpart.losses = nil\n\t\t}\n"}},
			caughtBy: []lane{{"./internal/ledger", ".", nil}},
		}, {
			id: "M35", what: "a grant counts as one lease: only its first piece is held for the request",
			edits:    []edit{{"internal/fetcher/assign.go", "c.ledger.Lease(now, a.mapper, a.seq, size.most,", "c.ledger.Lease(now, a.mapper, a.seq*uint64(1-min(1, len(s.pieces))), size.most,"}},
			caughtBy: []lane{{"./test/sim", "TestGrantOnItsWay", nil}},
		}, {
			id: "M36", what: "a piece that its mapper no longer lists counts as saved",
			edits:    []edit{{"internal/fetcher/incoming.go", "\tc.waiting.drop(m.ID, h.Asking)\n", "\tfor _, p := range heard.Lost {\n\t\tc.ledger.Saved(now, p, m.ID)\n\t}\n\tc.waiting.drop(m.ID, h.Asking)\n"}},
			caughtBy: []lane{{"./test/sim", "TestLostHandOut", nil}},
		}, {
			id: "M37", what: "a lease token does not say which objects of the chunk it is for",
			edits:    []edit{{"internal/wire/token.go", "l.Piece.From, l.Piece.To,", "0, 0,"}},
			caughtBy: []lane{{"./internal/saver", "TestRefused", nil}},
		}, {
			id: "M39", what: "a mapper never gives back the grant that it has taken ahead",
			edits:    []edit{{"internal/mapper/ahead.go", "\t\tpatience := time.NewTimer(aheadWait)\n", "\t\tpatience := time.NewTimer(24 * time.Hour)\n"}},
			caughtBy: []lane{{"./internal/mapper", "TestAhead_givenBack", nil}},
		}, {
			id: "M41", what: "a piece whose confirmation is late or lost counts as one without failures for the circuit breaker",
			edits: []edit{
				{"internal/fetcher/saverclient.go", "confirmGrace = 50 * time.Millisecond", "confirmGrace = 0"},
				{"internal/fetcher/incoming.go", "const unknownDead = -1", "const unknownDead = 0"},
				{"internal/fetcher/incoming.go", "\t\t\tif dead != unknownDead {\n", "\t\t\tif dead >= 0 {\n"},
			},
			caughtBy: []lane{{"./test/sim", "TestFenceVersion", nil}},
		},
	}
}
