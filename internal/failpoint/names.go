package failpoint

// Names lists all places, for each process in the order in which it reaches them. A name stands for the last step of
// the process or, if it ends in -ing, for its next step.
//
// The places of the sink are its steps on disk, each after it was taken: sink.STEP.FILE. A kill just before the next
// step would leave the same disk. FILE is log for the log, newlog while the log is created, and output and deadfile for
// the ordered files.
var Names = []string{
	// Opening the sink: a new one is created, or an old one is recovered.
	"sink.mkdir.folder",
	"sink.syncdir.parent",
	"sink.create.newlog",
	"sink.truncate.newlog",
	"sink.write.newlog.half",
	"sink.write.newlog",
	"sink.sync.newlog",
	"sink.rename.log",
	"sink.checked",      // the committed data is known; nothing is changed yet
	"sink.truncate.log", // an incomplete commit was cut off
	"sink.syncdir.folder",
	"sink.create.index",
	"sink.write.index.half", // also when the sink is closed
	"sink.write.index",
	"sink.truncate.index",
	"sink.sync.index",

	// A commit of a claim, of results or of a merge.
	"sink.write.log.half", // half of one write; like the next two also in a recovery
	"sink.write.log",
	"sink.sync.log",

	// The merge in input order.
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
	"saver.stop.deaf", // it accepts no more results, and commits those that it has

	"fetcher.claim.sending",
	"fetcher.claimed",
	"fetcher.serving",
	"fetcher.page.listed", // chunks that an earlier fetcher had saved
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
	"mapper.careful.begun", // careful mode: before it announces the first object
	"mapper.announce.sent", // careful mode: before it maps the announced object
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
