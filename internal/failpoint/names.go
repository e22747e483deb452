package failpoint

// Names are all the places there are. A name says what has just been done
// (or, with -ing, what comes next) by which process, in its order.
//
// Those of the sink are the steps on disk, each named when it has been taken:
// sink.STEP.FILE. A kill just before the next step finds the same disk. Its
// log is log, and newlog while it is made; its ordered files are output and deadfile.
var Names = []string{
	// The sink is opened: a new one is made, or an old one recovered.
	"sink.mkdir.folder",
	"sink.syncdir.parent",
	"sink.create.newlog",
	"sink.truncate.newlog",
	"sink.write.newlog.half",
	"sink.write.newlog",
	"sink.sync.newlog",
	"sink.rename.log",
	"sink.checked",      // what is committed is known; nothing is changed yet
	"sink.truncate.log", // a commit that was not whole
	"sink.syncdir.folder",
	"sink.create.index",
	"sink.write.index.half", // also when the sink is closed
	"sink.write.index",
	"sink.truncate.index",
	"sink.sync.index",

	// A commit: a claim, results, a layout, all.
	"sink.write.log.half", // half of the bytes of one write; also in a recovery, as the next two
	"sink.write.log",
	"sink.sync.log",

	// The layout in input order.
	"sink.create.output",
	"sink.write.output.half",
	"sink.write.output",
	"sink.sync.output",
	"sink.rename.output",
	"sink.create.deadfile",
	"sink.write.deadfile.half",
	"sink.write.deadfile",
	"sink.sync.deadfile",
	"sink.rename.deadfile",

	"saver.serving",
	"saver.sync.received",
	"saver.claim.recorded",
	"saver.sync.answered",
	"saver.save.received",
	"saver.save.queued",
	"saver.group.gathered",
	"saver.group.committed",
	"saver.confirm.noted",
	"saver.save.answered", // one of the group
	"saver.confirm.sending",
	"saver.confirm.answered",
	"saver.finish.beginning",
	"saver.finish.done",
	"saver.stop.deaf", // takes no more, commits what it has

	"fetcher.claim.sending",
	"fetcher.claimed",
	"fetcher.serving",
	"fetcher.page.listed", // what an earlier fetcher left at the sink
	"fetcher.chunk.added",
	"fetcher.source.ended",
	"fetcher.lease.recorded",
	"fetcher.lease.sending",
	"fetcher.lease.sent",
	"fetcher.saved.received",
	"fetcher.saved.booked",
	"fetcher.saved.answered",
	"fetcher.mapper.lost",
	"fetcher.doubts.settled",
	"fetcher.deadletter.sending",
	"fetcher.deadletter.answered",
	"fetcher.finish.asking",
	"fetcher.finish.answered",
	"fetcher.done.said",

	"mapper.serving",
	"mapper.next.sending",
	"mapper.chunk.taken",
	"mapper.announce.sent", // careful mode: an object that is about to be touched
	"mapper.announce.flushed",
	"mapper.chunk.mapped",
	"mapper.save.sending",
	"mapper.save.answered",
	"mapper.beat.sent",
	"mapper.order.received",
	"mapper.order.answered",
	"mapper.drain.begun",
	"mapper.goodbye.sent",
	"mapper.goodbye.flushed",
}
