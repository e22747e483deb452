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
			id: "M5", what: "no unique key: a second result takes the first one's place",
			edits:    []edit{{"internal/sink/commit.go", "\t\tthere, ok := first[r.Chunk]\n\t\tif !ok {", "\t\tthere, ok := first[r.Chunk]\n\t\tif false {"}},
			caughtBy: []lane{{"./internal/sink", "TestFolderIsASink", nil}},
		}, {
			id: "M6", what: "the results of a group are committed one after the other",
			edits: []edit{{
				"internal/sink/commit.go",
				"\tif err := f.log.write(frames); err != nil {\n",
				"\tfor len(frames) > 1 {\n\t\tif err := f.append(frames[:1]); err != nil {\n\t\t\treturn err\n\t\t}\n\t\tframes = frames[1:]\n\t}\n\tif err := f.log.write(frames); err != nil {\n",
			}},
			caughtBy: []lane{{"./internal/sink", "TestCrash", nil}},
		}, {
			id: "M13", what: "a sync that failed is tried again on the same file",
			edits:    []edit{{"internal/sink/log.go", "\tif err := l.file.Sync(); err != nil {\n\t\treturn", "\tif err := l.file.Sync(); err != nil && l.file.Sync() != nil {\n\t\treturn"}},
			caughtBy: []lane{{"./internal/sink", "TestFailedStep", nil}},
		}, {
			id: "M16", what: "damage in the middle of what is committed is taken for a commit that was never finished, and cut off",
			edits:    []edit{{"internal/sink/recover.go", "\tcase newest > next:\n\t\treturn bad\n", ""}},
			caughtBy: []lane{{"./internal/sink", "TestDamagedParts", nil}},
		}, {
			id: "M25", what: "redo does not fence the fetcher that believes its chunks are saved",
			edits:    []edit{{"internal/sink/redo.go", "\tclaimed := now.fence(\"redo-\"+rand.Text()).fenceVersion(", "\t_ = rand.Text\n\tclaimed := now.fenceVersion("}},
			caughtBy: []lane{{"./internal/sink", "TestCrashInRedo", nil}},
		}, {
			id: "M17", what: "a sink that was killed in a commit is built on before what was read is durable",
			edits:    []edit{{"internal/sink/recover.go", "\tif err == nil && t.rewrite >= 0 {\n\t\terr = f.log.rewrite(t.rewrite)\n\t}\n", ""}},
			caughtBy: []lane{{"./internal/sink", "TestKilledInCommit", nil}},
		},
	}
}

func protocolMutants() []mutant {
	return []mutant{
		{
			id: "M3", what: "the saver answers before it commits",
			edits:    []edit{{"internal/saver/commit.go", "\tcase s.queue <- p:\n", "\tcase s.queue <- p:\n\t\ts.answer(r, wire.SaveCommitted, \"\")\n"}},
			caughtBy: []lane{{"./test/sim", "TestSinkFull|TestSinkBroken", nil}},
		}, {
			id: "M4", what: "the fetcher forgets a chunk when its mapper has sent it to the saver",
			edits:    []edit{{"internal/ledger/hear.go", "\t\te := m.holds[p]\n\t\tl.loseLease(e, m)\n", "\t\te := m.holds[p]\n\t\tif len(e.leases) == 1 {\n\t\t\tl.Saved(m.heard, p, m.id)\n\t\t\tcontinue\n\t\t}\n\t\tl.loseLease(e, m)\n"}},
			caughtBy: []lane{{"./test/sim", "TestLost", nil}},
		}, {
			id: "M7", what: "no epoch is checked: a fetcher that was replaced goes on",
			edits: []edit{
				{"internal/saver/questions.go", "\tcase q.Epoch != s.sink.Epoch():\n", "\tcase false:\n"},
				{"internal/fetcher/hear.go", "\tcase s.Epoch > c.f.grant.epoch:\n", "\tcase false:\n"},
				{"internal/mapper/state.go", "w.Epoch < s.epoch && now.Sub(s.heard) < epochHolds", "false"},
			},
			caughtBy: []lane{{"./test/sim", "TestTakeover|TestFrozenFetcherComesBack", nil}},
		}, {
			id: "M8", what: "a duplicate result is not confirmed again",
			edits:    []edit{{"internal/saver/commit.go", "if outcomes[i].Durable() {", "if outcomes[i] == sink.Committed {"}},
			caughtBy: []lane{{"./internal/saver", "TestSave", nil}},
		}, {
			id: "M9", what: "no lease ever ends by silence",
			edits:    []edit{{"internal/ledger/liveness.go", "\t\tcase silence >= l.cfg.GoneAfter:\n", "\t\tcase false:\n"}},
			caughtBy: []lane{{"./test/sim", "TestDeadMapper", nil}, {"./internal/ledger", ".", nil}},
		}, {
			id: "M10", what: "503, no responders, is taken for a confirmation",
			edits:    []edit{{"internal/fetcher/saverclient.go", "\tif err == nil && a.Status == wire.SyncFailed", "\tif errors.Is(err, bus.ErrNobody) {\n\t\ta, err = wire.SyncAnswer{Status: wire.SyncOK}, nil\n\t}\n\tif err == nil && a.Status == wire.SyncFailed"}},
			caughtBy: []lane{{"./test/sim", "TestSaverAway", nil}},
		}, {
			id: "M11", what: "an error in the headers of an answer is ignored",
			edits:    []edit{{"internal/bus/bus.go", "\tif !has && !coded {\n", "\tif true || !has && !coded {\n"}},
			caughtBy: []lane{{"./internal/bus", "TestSuite_nats", nil}},
		}, {
			id: "M12", what: "a request is answered with a chunk after its mapper stopped waiting",
			edits:    []edit{{"internal/fetcher/waiting.go", "\t\tcase !now.Before(a.until):\n", "\t\tcase false:\n"}},
			caughtBy: []lane{{"./internal/fetcher", ".", nil}},
		}, {
			id: "M14", what: "the fetcher decodes objects and encodes them again",
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
			edits:    []edit{{"internal/saver/commit.go", "\tcase lease.Vouches(", "\tcase true || lease.Vouches("}},
			caughtBy: []lane{{"./test/sim", "TestSeeds", nil}, {"./internal/saver", ".", nil}},
		}, {
			id: "M19", what: "the fetcher judges mappers by a time in which it was away itself",
			edits:    []edit{{"internal/fetcher/liveness.go", "\t\tc.ledger.Forgive(now)\n", ""}},
			caughtBy: []lane{{"./test/sim", "TestFetcherOffline|TestNATSAway", nil}},
		}, {
			id: "M20", what: "one crash is enough to skip an object",
			edits:    []edit{{"internal/ledger/poison.go", "const crashesToSkip = 2\n", "const crashesToSkip = 1\n"}},
			caughtBy: []lane{{"./internal/ledger", ".", nil}},
		}, {
			id: "M21", what: "a version that only shadows gets chunks to be saved",
			edits:    []edit{{"internal/rollout/version.go", "\tif t.Shadow.Covers(v.Name) || !v.quota.allows() {\n", "\tif !v.quota.allows() {\n"}},
			caughtBy: []lane{{"./test/sim", "TestSeeds", nil}},
		}, {
			id: "M22", what: "a version gets more than its share",
			edits:    []edit{{"internal/rollout/share.go", "return !q.limited() || q.credit >= 1", "return true"}},
			caughtBy: []lane{{"./test/sim", "TestSeeds", nil}},
		}, {
			id: "M23", what: "a careful chunk waits for a proven mapper that gets no chunk",
			edits:    []edit{{"internal/fetcher/assign.go", "\t\tc.excludeIneligible(now)\n", ""}},
			caughtBy: []lane{{"./test/sim", "TestExcludedMapper", nil}},
		}, {
			id: "M24", what: "a confirmation of before the fetcher's claim is believed",
			edits:    []edit{{"internal/fetcher/hear.go", "\tcase s.Epoch < c.f.grant.epoch:\n", "\tcase false:\n"}},
			caughtBy: []lane{{"./test/sim", "TestConfirmationFromBeforeRedo", nil}},
		}, {
			id: "M26", what: "the saver is not told that a version's circuit breaker has opened",
			edits:    []edit{{"internal/rollout/breaker.go", "\t\tb.unfenced = true\n", ""}},
			caughtBy: []lane{{"./test/sim", "TestFenceVersion", nil}},
		}, {
			id: "M27", what: "a result that waits for its commit is committed though its version is fenced meanwhile",
			edits:    []edit{{"internal/sink/commit.go", "\t\tcase !ok && r.Term < bound.Terms[r.Version]:\n", "\t\tcase false && r.Term < bound.Terms[r.Version]:\n"}},
			caughtBy: []lane{{"./internal/sink", "TestFolderIsASink", nil}},
		}, {
			id: "M28", what: "results of two transforms are saved under the name of one version",
			edits:    []edit{{"internal/sink/claim.go", `return bound != "" && r.Transform != "" && bound != r.Transform`, "return false && bound == r.Transform"}},
			caughtBy: []lane{{"./internal/sink", "TestFolderIsASink", nil}},
		}, {
			id: "M29", what: "a mapper with another transform than its version gets work",
			edits:    []edit{{"internal/fetcher/transforms.go", `return m.of.transform != "" && m.of.transform != m.Transform`, "return false && m.of == nil"}},
			caughtBy: []lane{{"./internal/fetcher", "TestTransforms", nil}},
		}, {
			id: "M30", what: "the output takes the place of a file that is not the job's",
			edits:    []edit{{"internal/sink/target.go", "case f.o.Force:", "case true:"}},
			caughtBy: []lane{{"./internal/sink", "TestForeignOutput", nil}},
		}, {
			id: "M31", what: "a mapper follows a hello from an older epoch",
			edits:    []edit{{"internal/mapper/hello.go", "\treturn !h.isOld(hello, time.Now())\n", "\treturn true\n"}},
			caughtBy: []lane{{"./internal/mapper", "TestHello_oldEpoch", nil}},
		}, {
			id: "M32", what: "a lost piece's late result does not end the leases that overlap it",
			edits:    []edit{{"internal/ledger/saved.go", "\t\te := open[0]\n", "\t\te := open[0]\n\t\tif e.piece != p && len(e.leases) > 0 {\n\t\t\tbreak\n\t\t}\n"}},
			caughtBy: []lane{{"./internal/ledger", ".", nil}},
		}, {
			id: "M33", what: "the rest of a piece that is cut starts without the evidence against it",
			edits:    []edit{{"internal/ledger/piece.go", "\t\tpart.losses = slices.Clone(part.losses)\n", "\t\tpart.losses = slices.Clone(part.losses)\n\t\tif part != e {\n\t\t\tpart.losses = nil\n\t\t}\n"}},
			caughtBy: []lane{{"./internal/ledger", ".", nil}},
		},
	}
}
