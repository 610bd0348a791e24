import JSON
import JobCore

/// One answer of a pool's feed: completions in their order, and where the next answer goes on.
struct CompletionPage {
  /// Bytes of a result, or of an error, that a handle in it holds at most; a larger one is left
  /// out, and the handle says so.
  static let outcomeBytesMax = 64 << 10

  /// The answer: JSON text.
  let body: [UInt8]
  /// A job, or a map, of which it tells, or whose end it passes over, while memory knows more of it
  /// than is durable: the answer has to wait for that.
  let undurable: JobNumber?

  /// Tells what comes after a place that `feed` reaches back to. What was dropped meanwhile is
  /// passed over.
  ///
  /// - Parameters:
  ///   - limit: completions in it, at most, from 1.
  ///   - bytesMax: after so many bytes no further one goes into it.
  ///   - isDurable: whether all that memory knows of a job, or a map, is durable.
  init(
    of feed: CompletionFeed, after place: FeedPlace, limit: Int, in engine: Engine,
    bytesMax: Int = Server.pageBytesMax, isDurable: (JobNumber) -> Bool
  ) {
    var writer = JSONWriter(capacity: 1_024)
    writer.beginObject()
    writer.name("completions")
    writer.beginArray()
    var (next, count) = (place, 0)
    var undurable: JobNumber?
    var index = feed.index(after: place)
    while index < feed.count, count < limit, writer.count < bytesMax {
      let entry = feed[index]
      if !isDurable(entry.number) { undurable = entry.number }
      if CompletionPage.write(entry, of: engine, to: &writer) { count += 1 }
      next = entry.place
      index += 1
    }
    writer.endArray()
    writer.member("next", integer: next)
    writer.endObject()
    body = writer.bytes
    self.undurable = undurable
  }

  /// Appends one completion; `false`: it was dropped.
  private static func write(
    _ entry: CompletionFeed.Entry, of engine: Engine, to writer: inout JSONWriter
  ) -> Bool {
    if let job = engine.store[entry.number] {
      writer.beginObject()
      writer.member("seq", integer: entry.place)
      writer.name("job")
      HandleWriter.write(
        job, of: engine, omitsOutcome: job.retainedBytes - job.submittedBytes > outcomeBytesMax,
        to: &writer)
    } else if let map = engine.store.map(entry.number) {
      writer.beginObject()
      writer.member("seq", integer: entry.place)
      writer.name("map")
      MapAnswers.write(map, of: engine, errorBytesMax: outcomeBytesMax, to: &writer)
    } else {
      return false
    }
    writer.endObject()
    return true
  }
}
